"""Executors: what they promise beyond their numbers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audit import checks
from audit.baselines.images import Images
from audit.baselines.patch_net import PatchNet, PatchSampling
from audit.baselines.train import Recipe, predict
from audit.checks.accuracy_gap.pictures import map_of
from audit.checks.transfer.retrain import Features
from audit.core.progress import Progress, duration
from audit.evidence.choose_recipe import Rehearsals, patch_sampling
from audit.evidence.decide import spread
from audit.evidence.ladder import make_null
from audit.evidence.outputs import quarter
from audit.evidence.recipes import beats_next, crop_side, milder, search_grid
from audit.jobs.execute import execute
from audit.jobs.kind import Kind
from audit.jobs.store import Outcome, Store
from audit.jobs.values import NoValues
from tests.samples.kinds import job_of, patch
from tests.samples.outcomes import Noted, retrained


def test_every_kind_has_an_executor_and_a_version():
    for kind in checks.kinds().values():
        assert callable(kind.executor())
        assert kind.version > 0


def test_a_job_that_raises_takes_only_those_that_need_it(monkeypatch):
    def raising(*_):
        raise RuntimeError("as planted")

    patch(monkeypatch, fit=raising)
    patch(monkeypatch, stack=lambda *_: Outcome(Noted(number=1)))
    bad = job_of("fit", label="training x")
    needy, other = job_of("facts", label="f", after=(bad,)), job_of("stack", label="s")
    context, progress = SimpleNamespace(device="cpu"), Progress(quiet=True)
    done = execute([bad, needy, other], context, Store(None), progress, checks.kinds())
    assert "as planted" in done.failures[bad.key]
    assert "needs what failed" in done.failures[needy.key]
    assert done.outcomes[other.key].values == Noted(number=1)


def test_an_executor_that_gives_other_values_than_its_kind_fails():
    """What was stored could not be read again."""
    for values, words in ((NoValues(), "NoValues are not"), (Noted(), "Noted are not")):
        fit = replace(checks.kinds()["fit"], executor=lambda v=values: lambda *_: Outcome(v))
        job, context = fit.job("x"), SimpleNamespace(device="cpu")
        done = execute([job], context, Store(None), Progress(quiet=True), {"fit": fit})
        assert f"{words} the values of a job 'fit'" in done.failures[job.key]


def test_a_kind_gives_arrays_only_unless_it_says_more():
    kind = Kind("new", 1, lambda: lambda *_: Outcome(arrays={"x": np.zeros(2)}))
    job, context = kind.job("x"), SimpleNamespace(device="cpu")
    done = execute([job], context, Store(None), Progress(quiet=True), {"new": kind})
    assert list(done.outcomes[job.key].arrays["x"]) == [0, 0]


def test_an_entry_whose_values_fit_no_record_is_done_again(tmp_path, monkeypatch):
    store, context = Store(tmp_path), SimpleNamespace(device="cpu")
    job = job_of("fit", label="x")
    store.put("fit", job.key, Outcome(retrained()))
    patch(monkeypatch, fit=lambda *_: Outcome(Noted(number=7)))
    done = execute([job], context, store, Progress(quiet=True), checks.kinds())
    assert done.outcomes[job.key].values == Noted(number=7)
    assert done.reused == set()
    again = execute([job], context, store, Progress(quiet=True), checks.kinds())
    assert (again.reused, again.outcomes[job.key].values) == ({job.key}, Noted(number=7))


def test_stored_jobs_are_not_done_again(monkeypatch):
    store, calls = Store(None), []
    patch(monkeypatch, fit=lambda *_: calls.append(1) or Outcome(Noted(number=1)))
    job = job_of("fit", label="x")
    context, kinds = SimpleNamespace(device="cpu"), checks.kinds()
    execute([job], context, store, Progress(quiet=True), kinds)
    again = execute([job], context, store, Progress(quiet=True), kinds)
    assert calls == [1]
    assert again.reused == {job.key}


@pytest.mark.parametrize(("side", "shift"), [(28, 8), (32, 8), (33, 12), (64, 16), (224, 56)])
def test_relocation_is_a_quarter_or_more_and_fits_the_stride(side, shift):
    assert quarter(side) == (shift, shift)
    assert quarter((side, 32)) == (shift, 8)


def rehearsals(*wholes):
    """Four images of class 0, of which the half budget gets the first two; two classes."""
    found = Rehearsals(torch.zeros(4, dtype=torch.int64))
    for whole in wholes:
        found.add(25, {PatchSampling(): torch.eye(2)[[1, 1, 1, 1]]})
        found.add(50, {PatchSampling(): torch.eye(2)[[0, 0, 1, 1]]})
        found.add(100, {PatchSampling(): torch.eye(2)[list(whole)]})
    return found


def test_those_patches_vote_that_do_best_at_the_largest_budget():
    far, near, mirrored = PatchSampling(4), PatchSampling(2), PatchSampling(2, mirrored=True)
    right, half, wrong = (torch.eye(2)[[0] * n + [1] * (4 - n)] for n in (4, 2, 0))
    found = Rehearsals(torch.zeros(4, dtype=torch.int64))
    for budget in (25, 50):
        found.add(budget, {far: right, near: wrong, mirrored: wrong})
    assert (found.best, found.curve[-1].accuracy) == (far, 1.0)
    assert found.add(100, {far: half, near: half, mirrored: right}) == 1.0
    assert (found.best, [point.accuracy for point in found.curve]) == (
        mirrored,
        [0.0, 0.0, 1.0],
    )
    found.add(200, {mirrored: half, near: half, far: half})
    assert found.best == far  # equal


@pytest.mark.parametrize(
    ("kind", "augment", "votes"),
    [
        ("coordconv", "none", {(4, False), (2, False)}),
        ("sighted", "mirror", {(4, False), (4, True)}),
        ("bagnet", "none", {(4, False), (2, False)}),
        ("bagnet", "mirror-crop", {(4, False), (2, False), (4, True), (2, True)}),
    ],
)
def test_only_blind_networks_vote_by_closer_patches_and_some_by_mirrored_ones(kind, augment, votes):
    net = PatchNet(kind, q=9, num_classes=3, in_chans=1, width=8, blocks=1)
    pixels = torch.randint(0, 256, (2, 1, 33, 33), dtype=torch.uint8)
    images = Images(pixels, torch.zeros(2, dtype=torch.int64), torch.zeros(1), torch.ones(1))
    found = patch_sampling(net.eval(), images, Recipe(images_seen=1, augment=augment))
    assert set(found) == votes
    assert net.vote == PatchSampling()
    for vote, logits in found.items():
        torch.testing.assert_close(logits, predict(net.sampling(vote), images))


def test_discordance_of_one_seed_is_the_share_that_only_one_budget_gets_right():
    assert rehearsals((0, 1, 0, 1)).discordance == 0.5


def test_seeds_are_averaged_image_by_image_before_budgets_are_compared():
    found = rehearsals((0, 1, 0, 1), (0, 0, 1, 1))
    assert [p.accuracy for p in found.curve] == [0, 0.5, 0.5]
    assert found.discordance == (0.5**2 + 0.5**2) / 4


def test_rehearsals_over_more_seeds_know_the_budget_better():
    one, three = rehearsals((0, 0, 1, 1)), rehearsals(*[(0, 0, 1, 1)] * 3)
    assert three.adequacy.se < one.adequacy.se


def test_the_grid_of_rates_goes_on_beyond_its_edge_and_no_further():
    scores, edge = search_grid(lambda rate: rate, [0.1, 0.2], n=1000)
    assert sorted(scores) == [0.1, 0.2, 0.4, 0.8]
    assert edge
    assert not search_grid(lambda rate: 0.5, [0.1, 0.2], n=1000)[1]


@pytest.mark.parametrize(("q", "side", "crop"), [(5, 33, 21), (9, 33, 21), (17, 33, 21),
                                                 (5, 17, 9), (9, 29, 17), (9, 17, 0)])  # fmt: skip
def test_crops_are_covered_by_patches_and_smaller_than_the_image(q, side, crop):
    assert crop_side(q, side) == crop


def test_an_edge_counts_only_beyond_its_interval():
    assert beats_next({0.1: 0.50, 0.2: 0.80}, 0.2, n=1000)
    assert not beats_next({0.1: 0.79, 0.2: 0.80}, 0.2, n=1000)
    # 5 points; the interval of their difference is 3.9, and the two intervals overlap
    assert beats_next({0.1: 0.65, 0.05: 0.60}, 0.1, n=1200)


def test_overfit_nulls_are_regularised_as_their_claim_allows():
    """Augmentation moves pixels, and the coordinates are of the image as it is."""
    recipe = Recipe(images_seen=100)
    told, blind = (make_null(kind, 9, claim=True) for kind in ("coordconv", "bagnet"))
    assert [(r.weight_decay, r.augment) for r in milder(recipe, told)] == [(5e-3, "none")]
    assert [r.augment for r in milder(recipe, blind)] == ["none", "mirror-crop"]


def test_features_give_one_view_of_each_image():
    values = torch.arange(2 * 5 * 3.0).view(2, 5, 3)
    data = Features((values,), torch.arange(5), torch.arange(5))
    (got,) = data.batch(torch.tensor([1, 4]), "mirror", torch.Generator().manual_seed(0))
    for row, i in zip(got, (1, 4), strict=True):
        assert any(torch.equal(row, values[view, i]) for view in (0, 1))


def test_evidence_map_of_a_constant_network_is_flat():
    torch.manual_seed(0)
    net = PatchNet("bagnet", q=9, num_classes=3, in_chans=1, width=8, blocks=1).eval()
    evidence = map_of(net, torch.zeros(1, 1, 28, 29), target=1)
    assert evidence.shape == (28, 29)
    assert np.ptp(evidence) == pytest.approx(0, abs=1e-6)


class FakeCut:
    unassigned = ()

    def __init__(self, name, before, shared=()):
        self.name, self.before, self.shared = name, before, shared


def test_cuts_are_spread_and_end_before_the_classifier():
    cuts = [FakeCut(str(i), (i,)) for i in range(6)] + [FakeCut("head", (5,))]
    assert [c.name for c in spread(cuts, 99)] == ["0", "1", "2", "3", "4", "head"]
    assert [c.name for c in spread(cuts, 2)][-1] == "head"
    assert len(spread(cuts, 4)) == 4
    assert spread([], 2) == []
    assert [c.name for c in spread(cuts, 1)] == ["head"]
    assert "x" not in [c.name for c in spread([FakeCut("x", (9,), ("w",)), *cuts], 99)]


def test_remaining_time_follows_what_was_seen():
    progress = Progress(quiet=True)
    progress.start(1000.0)
    progress._started -= 10  # half is done in ten seconds
    progress.job("x", 500.0)
    progress.finish_job()
    assert progress.remaining() == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(("seconds", "words"), [(2, "a few s"), (42, "40 s"), (600, "10 min"),
                                                (5000, "83 min"), (7200, "2 h 0 min")])  # fmt: skip
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
