"""Training anew behind a cut: what is stored, what is run again, what chooses the rate, keys."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audit.baselines.images import Images, statistics
from audit.baselines.train import Diverged
from audit.checks.transfer import jobs as transfer_requests
from audit.checks.transfer import own as transfer
from audit.checks.transfer import retrain as retraining
from audit.checks.transfer import run_own as executor
from audit.checks.transfer.retrain import Curve, Features, Start, learn, prefix_features
from audit.evidence import shared_jobs as requests
from audit.evidence.context import JobContext
from audit.evidence.decide import Training, set_up_nulls
from audit.evidence.profile import PROFILES
from audit.evidence.setup import CutPoint, NullInput
from audit.jobs.store import Outcome
from audit.model.network.split import find_cuts
from audit.model.spec import ModelSpec
from tests.samples.audits import KWARGS

SPEC = ModelSpec("resnet10t", KWARGS, 3, 3, 16)
KNOWN = Training(
    classes=("a", "b"), train_digest="t", n_train=100, channels=1, input=NullInput(size=28)
)
N = 60


def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (N, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(N) % 3, *statistics(pixels))


def cut_at(name):
    return next(cut for cut in find_cuts(SPEC.build(0), (3, 16, 16)) if cut.name == name)


def quiet(_):
    pass


def test_a_stored_prefix_is_not_run_again_to_judge_a_rate(monkeypatch):
    judged, accuracy = [], retraining.accuracy
    curve, start = (
        Curve(SPEC, images(), 64, (1.0, 0.3)),
        Start(SPEC.build(1), cut_at("layer3"), True),
    )
    expected = learn(curve, replace(start, cached=False), 5, quiet).trials
    monkeypatch.setattr(
        retraining, "accuracy", lambda net, data: judged.append(data) or accuracy(net, data)
    )
    assert learn(curve, start, 5, quiet).trials == pytest.approx(expected, abs=0.1)
    assert [type(data) for data in judged] == [Features] * 2


def test_parts_of_what_is_stored_are_no_copies():
    whole = prefix_features(SPEC.build(1), cut_at("layer2"), images())
    part = whole.subset(torch.tensor([5, 9, 2])).subset(torch.tensor([2, 0]))
    assert part.values[0] is whole.values[0]
    assert part.labels.tolist() == whole.labels[[2, 5]].tolist()
    (got,) = part.normalised(torch.arange(2))
    assert torch.equal(got, whole.values[0][0, [2, 5]])
    (drawn,) = part.batch(torch.tensor([1]), "mirror", torch.Generator().manual_seed(0))
    assert any(torch.equal(drawn[0], whole.values[0][view, 5]) for view in (0, 1))


def test_what_is_stored_is_what_the_prefix_gives_and_lies_alike():
    donor, cut, given = SPEC.build(1), cut_at("layer2"), images()
    (values,) = prefix_features(donor, cut, given).values
    x = given.normalised(torch.arange(N))
    prefix = retraining.split(donor, cut)[0]
    for view, batch in zip(values, (x, x.flip(3)), strict=True):
        (expected,) = prefix(batch.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(view, expected)
        assert view.stride() == expected.stride()


def learned_from(monkeypatch, groups):
    """Which images each training of a curve is given; None: all of them."""
    parts = []

    def noted(curve, start, features, part, **_):
        parts.append(part)
        return SPEC.build(0)

    monkeypatch.setattr(retraining, "train_once", noted)
    learn(Curve(SPEC, images(), 64, (1.0, 0.3), groups), Start(), 0, quiet)
    return parts


def test_near_duplicates_of_what_is_learned_choose_no_rate(monkeypatch):
    groups = np.arange(N) // 6
    kept = learned_from(monkeypatch, groups)[0].numpy()
    held = np.setdiff1d(np.arange(N), kept)
    assert len(held) == 12
    assert not set(groups[kept]) & set(groups[held])


def test_where_all_images_are_near_duplicates_no_rate_is_chosen(monkeypatch):
    assert learned_from(monkeypatch, np.zeros(N, dtype=np.int64)) == [None]


def setup_of(subject):
    return set_up_nulls(KNOWN, PROFILES["default"], 0, None).model_copy(
        update={"subject_digest": subject, "network_digest": "n", "eval_digest": "e",
                "cuts": (CutPoint(name="head", depth=1.0, head=True),)}
    )  # fmt: skip


def test_the_model_s_own_curve_knows_its_near_duplicates(monkeypatch):
    curves = []
    monkeypatch.setattr(executor, "learn", lambda curve, *_: curves.append(curve) or diverge())
    setup, index = setup_of("one"), np.arange(0, 100, 2)[:N]
    known = {requests.train_facts(setup).key: Outcome(arrays={"train_groups": np.arange(100) // 8})}
    context = SimpleNamespace(
        cuts={"head": cut_at("head")}, subject=SimpleNamespace(spec=SPEC, model=None),
        some=lambda *_: index, retraining_images=lambda _: images(), resume_state=None, device=None,
    )  # fmt: skip
    executor.transfer(
        transfer_requests.own_network(setup, setup.cuts[0], "tuned"), context, known, quiet
    )
    assert curves[0].groups.tolist() == (index // 8).tolist()


def diverge():
    raise Diverged


def own_jobs(subject):
    """The jobs of the model's own curve and its outputs, by key."""
    setup = setup_of(subject)
    jobs = (*transfer.needs(setup), requests.subject_outputs(setup, untrained=True))
    return {job.key: job for job in jobs if job.kind != "facts"}


def test_other_weights_share_what_is_untrained_and_nothing_else():
    first, second = own_jobs("one"), own_jobs("two")
    shared = [first[key] for key in first.keys() & second.keys()]
    assert {(job.kind, job.params.get("mode")) for job in shared} == {
        ("transfer", "untrained"), ("subject_outputs", None)}  # fmt: skip
    assert len(first) - len(shared) == 3  # frozen, tuned, and the model's own outputs


def test_a_trial_is_planned_as_it_is_done():
    assert transfer_requests.TRIAL == retraining.TRIAL


def test_all_networks_of_a_curve_share_the_decoded_images(monkeypatch):
    decoded = []
    monkeypatch.setattr(
        JobContext, "subject_images", lambda *asked: decoded.append(asked[2].tolist()) or images()
    )
    view = SimpleNamespace(in_chans=1, img_size=8)
    context = JobContext(None, SimpleNamespace(preprocessing=view), None)
    for last in (2, 2, 3, 3, 2):
        context.retraining_images(np.array([1, last]))
    assert decoded == [[1, 2], [1, 3], [1, 2]]
    monkeypatch.setattr("audit.evidence.context.MEMORY", 64)
    for _ in range(2):
        context.retraining_images(np.array([4, 5]))
    assert decoded[3:] == [[4, 5], [4, 5]]
