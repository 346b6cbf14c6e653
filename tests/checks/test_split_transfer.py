"""Transfer between halves of the classes: what is copied, what is fresh, what is measured."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audit import checks
from audit.api import load_policy
from audit.baselines.images import Images, statistics
from audit.baselines.train import predict
from audit.checks.transfer import jobs as transfer_requests
from audit.checks.transfer import split as split_transfer
from audit.checks.transfer.retrain import Curve, Start, beginning, learn
from audit.checks.transfer.run_split import curve_of, restored, seed_for
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.data.dataset import Dataset, dataset_digest
from audit.data.idx import array_split
from audit.evidence.case import Case
from audit.evidence.class_split import classes_of_a
from audit.evidence.context import JobContext
from audit.evidence.examine import Experiment, examine, set_up
from audit.evidence.profile import profile
from audit.jobs.execute import execute
from audit.jobs.job import merged
from audit.jobs.store import Outcome, Store
from audit.model.network.split import outputs
from audit.model.spec import ModelSpec, Preprocessing
from audit.policy.judge import judge
from tests.samples.audits import KWARGS, picture
from tests.samples.outcomes import retrained

CLASSES = ("bright", "dark", "upper", "lower", "striped")
SPEC = ModelSpec("resnet10t", KWARGS, 5, 1, 16)
PROFILE = profile("quick", transfer_images=60, transfer_seen=256, cuts=2).model_copy(
    update={"transfer_rates": (1.0,)}
)


def painted(per_class, seed):
    """Five classes that mirrors leave alone: halves, stripes, brighter and darker ones."""
    rng, labels = np.random.default_rng(seed), np.repeat(np.arange(5), per_class)
    kinds = [np.asarray(picture((label - 2) % 3, rng)).T.astype(int) for label in labels]
    shift = {0: 60, 1: -60}
    images = [k + shift.get(i, 0) for k, i in zip(kinds, labels.tolist(), strict=True)]
    return np.stack(images).clip(0, 255).astype(np.uint8), labels.astype(np.int64)


def split(name, per_class, seed):
    images, labels = painted(per_class, seed)
    return array_split(name, images, labels, [f"{name}/{i}" for i in range(len(labels))])


def drawn():
    train, evaluation = split("train", 30, 0), split("eval", 40, 1)
    digest = dataset_digest(CLASSES, train, evaluation)
    return Dataset(CLASSES, train, evaluation, digest, True, (), 0, "drawn")


@pytest.fixture(scope="module")
def dataset():
    return drawn()


def subject(seed=9):
    view = Preprocessing(16, 1, (0.4,), (0.2,), "bilinear", 1.0)
    return SimpleNamespace(
        name="m", spec=SPEC, preprocessing=view, model=SPEC.build(seed), class_names=None,
        weights_digest=str(seed),
    )  # fmt: skip


def opened(dataset, others=None, **more):
    """Setup and context of an audit."""
    examined = examine(subject(), Experiment(dataset, extra=others or {}, **more))
    setup, cuts = set_up(examined, PROFILE), examined.cuts
    context = JobContext(dataset, subject(), setup, cuts, others=others or {}, all_cuts=cuts)
    return setup, context


@pytest.fixture(scope="module")
def experiment(dataset):
    setup, context = opened(dataset, transfer_classes=("upper", "bright"))
    jobs = merged(split_transfer.needs(setup))
    return setup, context, execute(jobs, context, Store(None), Progress(quiet=True), checks.kinds())


def test_a_division_is_the_seed_s():
    drawn = [classes_of_a(CLASSES, (), wanted=True, seed=s) for s in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1
    assert all(len(half) == 2 for half in drawn)


@pytest.mark.parametrize("given", [("upper",), ("upper", "upper"), ("upper", "cat"), CLASSES[:4]])
def test_a_side_with_one_class_or_an_unknown_one_is_refused(given):
    with pytest.raises(AuditError, match="TRANSFER_CLASSES: --transfer-classes needs"):
        classes_of_a(CLASSES, given, wanted=False, seed=0)


def test_too_few_classes_for_a_random_division_are_not_measured(dataset):
    assert classes_of_a(("a", "b", "c"), (), wanted=True, seed=0) == ()
    setup, _ = opened(dataset)
    asked = setup.profile.model_copy(update={"split_transfer": True})
    assert "needs four" in split_transfer.lacking(setup.model_copy(update={"profile": asked}))


def test_nothing_is_asked_for_by_default(dataset):
    assert split_transfer.needs(opened(dataset)[0]) == ()


def test_two_kinds_of_b_are_refused(dataset):
    with pytest.raises(AuditError, match="both --transfer-classes and --transfer-data"):
        opened(dataset, {"transfer": dataset}, transfer_classes=("upper", "bright"))


def test_another_checkpoint_finds_all_of_it_in_the_store(dataset):
    asked = Experiment(dataset, transfer_classes=("upper", "bright"))
    made = [set_up(examine(subject(seed), asked), PROFILE) for seed in (9, 10)]
    keys = [
        {job.key for job in split_transfer.needs(setup) if job.kind.startswith("split")}
        for setup in made
    ]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 2 + 2 * 5


def test_the_first_seed_of_the_own_curve_keeps_its_key(dataset):
    setup, _ = opened(dataset)
    again, other = (
        transfer_requests.own_network(setup, setup.cuts[0], "frozen", s) for s in (0, 1)
    )
    assert (again.params["seed"], other.params["seed"]) == (0, 1)
    assert again.params["base_seed"] == other.params["base_seed"] == 0


def test_all_is_judged_on_the_classes_of_its_side(experiment):
    setup, _, done = experiment
    assert not done.failures
    assert len(base_job(setup, done, "a").arrays["errors"]) == 2 * 40
    for job in split_transfer.needs(setup):
        if job.kind == "split_network":
            assert len(done.outcomes[job.key].arrays["errors"]) == 3 * 40


SHARES = {"b": 0.2, "a": 0.2, "bnb": 0.2, "bnb_plus": 0.2, "anb": 0.4, "anb_plus": 0.1,
          "untrained": 0.5}  # fmt: skip


def values_of(job):
    return retrained(chance=0.35) if job.kind == "split_base" else retrained()


def case_of(dataset, **changes):
    """Evidence of two seeds, with these shares of errors on images that differ in hardness."""
    setup, _ = opened(dataset, transfer_classes=("upper", "bright"))
    two = setup.profile.model_copy(update={"transfer_seeds": 2})
    setup, rng = setup.model_copy(update={"profile": two}), np.random.default_rng(0)
    outcomes = {}
    for job in split_transfer.needs(setup)[1:]:  # the first are the facts of the data
        what = str(job.params.get("curve", job.params.get("side")))
        n = 80 if what == "a" else 120
        errors = np.arange(n) < round((SHARES | changes)[what] * n) + rng.integers(0, 2)
        outcomes[job.key] = Outcome(values_of(job), {"errors": errors.astype(float)})
    labels = dataset.eval.labels
    return Case(setup, labels, np.arange(len(labels)), outcomes, {})


def test_every_network_and_effect_is_measured_on_b(dataset):
    found = {m.name.removeprefix("split_transfer."): m for m in
             split_transfer.measure(case_of(dataset))}  # fmt: skip
    kinds = {"bnb", "bnb_plus", "anb", "anb_plus", "untrained"}
    effects = {"coadaptation": 0.0, "specialisation": 0.2, "gain": 0.1}
    assert {name.split(".")[0] for name in found} == {"base"} | kinds | set(effects)
    assert {m.n for m in found.values()} == {120}
    for name, value in effects.items():
        assert found[f"{name}.head"].value == pytest.approx(value, abs=0.02)
        assert found[f"{name}.head"].low < value < found[f"{name}.head"].high


def test_what_the_tasks_are_is_read_from_no_note(dataset):
    base, *others = split_transfer.measure(case_of(dataset))
    told = split_transfer.section([base.model_copy(update={"note": "x"}), *others], ())
    assert told.summary.startswith("A: bright, upper; B: dark, lower, striped. baseB reaches")


def test_the_curves_in_words(dataset):
    told = split_transfer.section(split_transfer.measure(case_of(dataset)), ())
    assert told.summary.startswith("A: bright, upper; B: dark, lower, striped. baseB reaches")
    assert "instead of its own costs B at most" in told.summary
    assert len(told.charts[0].series) == 5
    assert "2 seeds" in told.rows[0]["note"]


@pytest.mark.parametrize(("changes", "effect", "words"), [
    ({"bnb": 0.3}, "specialisation", "only the classifier anew ends"),
    ({"bnb_plus": 0.3}, "coadaptation", "BnB+ at head ends"),
    ({"bnb_plus": 0.05}, "coadaptation", "baseB was not trained to its end"),
    ({"a": 0.7}, "gain", "baseA reaches 29"),
])  # fmt: skip
def test_where_controls_fail_nothing_is_measured(dataset, changes, effect, words):
    found = {m.name: m for m in split_transfer.measure(case_of(dataset, **changes))}
    one = found[f"split_transfer.{effect}.head"]
    assert math.isnan(one.value)
    assert words in one.note
    assert "Not measured, " in split_transfer.section([*found.values()], ()).summary


def test_a_base_that_still_learns_leaves_the_other_effects_with_a_note(dataset):
    found = {m.name: m for m in split_transfer.measure(case_of(dataset, bnb_plus=0.05))}
    for effect in ("specialisation", "gain"):
        one = found[f"split_transfer.{effect}.head"]
        assert not math.isnan(one.value)
        assert "with longer training this may differ" in one.note


def test_a_base_that_learned_nothing_has_curves_and_no_effects(dataset):
    made = split_transfer.measure(case_of(dataset, b=0.63))
    effects = [m for m in made if m.quantity in split_transfer.EFFECTS]
    assert len(effects) == 6
    assert all(math.isnan(m.value) and "baseB reaches" in m.note for m in effects)
    told = split_transfer.section(made, ())
    assert "not surely more than the share of the largest class" in told.summary
    assert len(told.charts[0].series) == 5


def test_a_model_without_cuts_says_so(dataset):
    case = case_of(dataset)
    setup = case.setup.model_copy(update={"cuts": (), "all_cuts": ()})
    made = split_transfer.measure(Case(setup, case.labels, case.groups, {}, {}))
    assert all(math.isnan(m.value) and "could not be cut" in m.note for m in made)
    (finding,) = [f for f in judge(made, load_policy()) if f.limit == "specialisation"]
    assert (finding.verdict, finding.reason) == ("inconclusive", "NOT_MEASURED")
    assert "could not be cut" in split_transfer.section(made, ()).summary


def base_job(setup, done, side, seed=0):
    return done.outcomes[transfer_requests.base(setup, side, seed).key]


def test_at_n_0_it_is_the_base_from_scratch(experiment):
    setup, context, done = experiment
    job = transfer_requests.base(setup, "b")
    curve = curve_of(job, context, done.outcomes, "b")
    again = learn(curve, Start(), seed_for(0, "b"), lambda _: None)
    stored = base_job(setup, done, "b").arrays
    for name, value in again.network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), stored[f"weights.{name}"])


def test_halves_have_equally_many_images_and_labels_from_zero(experiment):
    setup, context, done = experiment
    job = transfer_requests.base(setup, "b")
    a, b = (curve_of(job, context, done.outcomes, side) for side in ("a", "b"))
    assert len(a.images) == len(b.images) == len(a.groups) == len(b.groups) == 60
    assert (a.spec.num_classes, b.spec.num_classes) == (2, 3)
    assert (a.images.labels.unique().tolist(), b.images.labels.unique().tolist()) == (
        [0, 1], [0, 1, 2])  # fmt: skip


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("place", ["layer3", "head"])
def test_frozen_layers_of_a_stay_bit_by_bit_and_the_others_are_fresh(experiment, place, cached):
    setup, context, done = experiment
    curve = curve_of(transfer_requests.base(setup, "b"), context, done.outcomes, "b")
    donor, cut = restored(base_job(setup, done, "a"), SPEC, 2), context.all_cuts[place]
    before = {k: v.clone() for k, v in donor.state_dict().items()}
    start = Start(donor, cut, frozen=True, cached=cached)
    fresh = beginning(curve.spec, start, 5).state_dict()
    after = learn(curve, start, 5, lambda _: None).network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in cut.before)
    learned = [name for name in cut.after if name.endswith("weight") and after[name].ndim > 1]
    assert all(not torch.equal(fresh[name], after[name]) for name in learned)
    assert all(fresh[name].shape != before[name].shape or not torch.equal(fresh[name], before[name])
               for name in learned)  # fmt: skip


def test_stored_features_and_pixels_teach_the_same(experiment):
    setup, context, done = experiment
    curve = curve_of(transfer_requests.base(setup, "b"), context, done.outcomes, "b")
    donor, cut = restored(base_job(setup, done, "b"), SPEC, 3), context.all_cuts["layer3"]
    ways = [
        learn(curve, Start(donor, cut, frozen=True, cached=way), 5, lambda _: None)
        for way in (True, False)
    ]
    logits = [predict(way.network, curve.images) for way in ways]
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-2, atol=1e-2)


def test_at_the_stem_all_kinds_are_one_network(experiment):
    setup, context, done = experiment
    stem = context.all_cuts["stem"]
    donors = [restored(base_job(setup, done, side), SPEC, k) for side, k in (("a", 2), ("b", 3))]
    spec = replace(SPEC, num_classes=3)
    made = [beginning(spec, Start(d, stem, frozen=f), 7) for d in donors for f in (True, False)]
    shapes = [{name: value.shape for name, value in net.state_dict().items()} for net in made]
    assert shapes[0] == shapes[1] == shapes[2] == shapes[3]
    learning = [{name for name, p in net.named_parameters() if p.requires_grad} for net in made]
    assert learning[0] == learning[2] < learning[1] == learning[3]
    states = [net.state_dict() for net in made]
    assert all(torch.equal(states[0][name], states[3][name]) for name in stem.after)


def test_behind_everything_bnb_is_a_linear_probe():
    """Against scikit-learn's logistic regression on the same last hidden layer."""
    from sklearn.linear_model import LogisticRegression

    from audit.model.network.split import find_cuts

    pixels, labels = (torch.from_numpy(v) for v in painted(60, 3))
    images = Images(pixels[:, None], labels, *statistics(pixels[:, None]))
    donor = learn(Curve(SPEC, images, 2560, (1.0,)), Start(), 1, lambda _: None).network
    head = find_cuts(donor, (1, 16, 16))[-1]
    probe = learn(Curve(SPEC, images, 12_800, (10.0,)), Start(donor, head, frozen=True), 2,
                  lambda _: None)  # fmt: skip
    pixels, labels = (torch.from_numpy(v) for v in painted(60, 4))
    new = replace(images, pixels=pixels[:, None], labels=labels)
    with torch.no_grad():
        seen, unseen = (
            outputs(donor, im.normalised(torch.arange(len(im))))[0].numpy() for im in (images, new)
        )
    linear = LogisticRegression(max_iter=2000).fit(seen, images.labels.numpy())
    right = float((predict(probe.network, new).argmax(1) == new.labels).double().mean())
    assert right == pytest.approx(linear.score(unseen, new.labels.numpy()), abs=0.04)


def test_other_data_are_b_and_the_model_is_a(dataset):
    setup, context = opened(dataset, {"transfer": dataset})
    jobs = [job for job in split_transfer.needs(setup) if job.kind == "split_network"]
    of_a = [job for job in jobs if job.params["curve"] in ("anb", "anb_plus")]
    assert all("subject" in job.params and not job.after for job in of_a)
    assert {job.params["side"] for job in split_transfer.needs(setup) if job.kind == "split_base"
            } == {"b"}  # fmt: skip
    done = execute([of_a[0]], context, Store(None), Progress(quiet=True), checks.kinds())
    assert done.outcomes[of_a[0].key].arrays["errors"].shape == (200,)


def test_other_data_bring_groups_and_no_specialisation(dataset):
    """The same images twice: as many groups as there are different ones."""
    twice = replace(dataset, eval=dataset.eval.select(np.arange(400) // 2))
    setup, context = opened(dataset, {"transfer": twice})
    base = transfer_requests.base(setup, "b")
    done = execute([base], context, Store(None), Progress(quiet=True), checks.kinds())
    groups = done.outcomes[base.key].arrays["groups"]
    assert len(groups) == 400
    assert (groups[::2] == groups[1::2]).all()
    outcomes = {}
    for job in split_transfer.needs(setup):
        wrong = (np.arange(400) < 160).astype(float)
        outcomes[job.key] = Outcome(values_of(job), {"errors": wrong, "groups": groups})
    found = {m.name: m for m in split_transfer.measure(Case(setup, np.zeros(1), np.zeros(1),
             outcomes, {}))}  # fmt: skip
    assert math.isnan(found["split_transfer.specialisation.head"].value)
    assert "a budget of its own" in found["split_transfer.specialisation.head"].note
    assert "a budget of its own" in found["split_transfer.gain.head"].note
    assert "a budget of its own" in found["split_transfer.anb.head"].note
    assert "a budget of its own" not in found["split_transfer.bnb.head"].note
    base = found["split_transfer.base"]
    alone = proportion(400)
    assert base.high - base.low > 1.3 * alone  # half as many groups: wider by the root of two


def proportion(n):
    """Width of the interval of 60 % on n images of their own."""
    return 2 * 2.0 * (0.6 * 0.4 / n) ** 0.5


def test_the_command_line_takes_names_between_commas():
    from audit.commands.options import CommaSeparated
    from audit.inputs.repeat import joined

    names = CommaSeparated().convert('cat, dog,"a, b"', None, None)
    assert names == ("cat", "dog", "a, b")
    assert CommaSeparated().convert(joined(names), None, None) == names


def test_near_duplicates_widen_the_effects(dataset):
    alone = case_of(dataset)
    copied = replace(alone, given_groups=np.arange(len(alone.labels)) // 8)

    def widths(case):
        return {m.name: m.high - m.low for m in split_transfer.measure(case)}

    a, b = widths(alone), widths(copied)
    for name in ("base", "anb.head"):
        assert b[f"split_transfer.{name}"] > 1.5 * a[f"split_transfer.{name}"]


def test_images_that_are_left_out_do_not_count(dataset):
    """Every second image of A and of B."""
    whole = case_of(dataset)
    case = replace(whole, left_out=frozenset(range(0, len(whole.labels), 2)))
    assert {m.n for m in split_transfer.measure(case)} == {60}


def test_what_a_failed_base_or_control_leaves_out(dataset):
    found = {m.name: m for m in split_transfer.measure(case_of(dataset, a=0.7))}
    for effect in ("specialisation", "gain"):
        one = found[f"split_transfer.{effect}.head"]
        assert math.isnan(one.value)
        assert "baseA reaches" in one.note
    assert not math.isnan(found["split_transfer.coadaptation.head"].value)


def test_networks_that_share_a_base_do_not_vary_independently(dataset, monkeypatch):
    told, real = [], split_transfer.effects
    monkeypatch.setattr(
        split_transfer, "effects", lambda *a, **k: told.append(k["independent"]) or real(*a, **k)
    )
    split_transfer.measure(case_of(dataset))
    assert told == [False] * 3
