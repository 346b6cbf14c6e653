"""The check of the read-outs: what is learned on, what is compared, and what it says without."""

import math

import numpy as np
import pytest
import torch

from audit.api import load_policy
from audit.checks.probes import check
from audit.checks.probes import jobs as probe_requests
from audit.checks.probes.outcomes import ReadOut
from audit.checks.probes.run import material, probes
from audit.data.load import load_dataset
from audit.evidence.case import Case
from audit.evidence.context import JobContext
from audit.evidence.decide import points
from audit.evidence.features import PIXELS, groups
from audit.evidence.profile import profile
from audit.evidence.setup import CutPoint, ExtraDataset, NullInput, Setup
from audit.evidence.shared_jobs import train_facts
from audit.jobs.job import counter
from audit.jobs.store import Outcome
from audit.model.checkpoint import load_subject
from audit.model.network.split import find_cuts
from audit.policy.judge import judge

CUTS = tuple(
    CutPoint(name=name, depth=depth, head=name == "head")
    for name, depth in (("stem", 0.1), ("a", 0.3), ("b", 0.6), ("c", 1.0), ("head", 1.0))
)


def setup_of(cuts=CUTS, **changes):
    return Setup(
        profile=profile("quick", probe_cuts=99, probe_svm=True), seed=0, subject="m",
        architecture="a", subject_digest="s", subject_size=16, view="v", train_digest="t",
        eval_digest="e", classes=("x", "y", "z"), n_train=180, n_eval=240, channels=1,
        input=NullInput(size=16),
        nulls=(), all_cuts=cuts,
    ).model_copy(update=changes)  # fmt: skip


def read_out(**changes):
    """What was read out of 100 of 180 images."""
    given = dict.fromkeys(("rows", "widths", "strengths", "edges", "heldout"), ())
    given |= {"reasons": {}, "images": 100, "asked": 180, "heldout_images": 20, "seconds": 1.0}
    return ReadOut(**given | changes)


def case_of(setup, accuracies, reasons=None, n=400, other=None, edges=()):
    """A case whose read-outs are right on so many images, the same ones as far as they go."""
    rows = (("subject", PIXELS, "logistic"), *accuracies)
    wrong = [np.arange(n) >= n // 2, *(np.arange(n) >= n * a for a in accuracies.values())]
    one = (1,) * len(rows)
    values = read_out(rows=rows, widths=one, strengths=one, edges=edges or ("",) * len(rows),
                      heldout=one, reasons=reasons or {})  # fmt: skip
    arrays = {"wrong": np.stack(wrong).astype(np.uint8), "index": np.arange(n),
              "groups": np.arange(n)}  # fmt: skip
    key = probe_requests.probes(setup, other).key
    return Case(setup, np.zeros(n, int), np.arange(n), {key: Outcome(values, arrays)}, {})


def all_read(subject, twin=0.4):
    """Accuracies by row: `subject` of each cut, the twin's and the SVM's all the same."""
    found = {}
    for cut, right in zip(CUTS, subject, strict=True):
        found[("subject", cut.name, "logistic")] = right
        found[("subject", cut.name, "hinge")] = right
        found[("untrained", cut.name, "logistic")] = twin
    return found


def measured(case):
    return {m.name.removeprefix("probes."): m for m in check.measure(case)}


def test_the_last_layers_are_compared_with_the_middle_ones_and_with_the_twin():
    setup = setup_of()
    found = measured(case_of(setup, all_read([0.5, 0.6, 0.8, 0.9, 0.9])))
    last = found["last_minus_middle"]
    assert last.value == pytest.approx(0.9 - (0.6 + 0.8) / 2)
    assert last.low < last.value < last.high
    assert last.note.startswith("head minus the mean of a, b; learned on 100 training images (of")
    assert found["gain.b"].value == pytest.approx(0.4)
    assert (found["linear.b"].at, found["linear.b"].n) == (0.6, 400)
    (finding,) = [f for f in judge([*found.values()], load_policy()) if f.limit == "probe_gain"]
    assert (finding.verdict, finding.severity) == ("pass", "info")


@pytest.mark.parametrize(("depths", "middle"), [
    ((0.1, 0.3, 0.6, 1.0, 1.0), "ab"), ((0.1, 0.8, 0.9, 1.0, 1.0), "a"),
    ((0.05, 0.1, 0.2, 0.9, 1.0), "b"), ((1.0, 1.0, 1.0, 1.0, 1.0), ""),
])  # fmt: skip
def test_the_middle_lies_between_a_quarter_and_three_quarters(depths, middle):
    names = ("stem", "a", "b", "c", "head")
    cuts = [CutPoint(name=n, depth=d, head=False) for n, d in zip(names, depths, strict=True)]
    assert "".join(cut.name for cut in check.middle_of(cuts)) == middle


def test_a_cut_that_tells_nothing_is_named_and_not_judged():
    rows = {
        k: v for k, v in all_read([0.5, 0.6, 0.8, 0.9, 0.9]).items() if k[:2] != ("subject", "b")
    }
    found = measured(case_of(setup_of(), rows, {"subject.b": "the features are not all finite"}))
    for name in ("linear.b", "svm.b", "gain.b", "last_minus_middle"):
        assert math.isnan(found[name].value)
        assert found[name].note
    assert found["linear.b"].note == "the features are not all finite"
    assert not math.isnan(found["gain.a"].value)


def test_a_read_out_at_the_end_of_its_search_says_so():
    rows = all_read([0.5, 0.6, 0.8, 0.9, 0.9])
    at_edge = {("untrained", "b", "logistic"): "greatest", ("subject", "head", "logistic"): "least"}
    edges = ("", *(at_edge.get(row, "") for row in rows))  # the first is of the pixels
    found = measured(case_of(setup_of(), rows, edges=edges))
    assert "C 1, the largest that was tried" in found["untrained.b"].note
    assert "the smallest" in found["linear.head"].note
    for name in ("gain.b", "gain.head", "last_minus_middle"):
        assert "the best C is the last that was tried" in found[name].note
    assert "the best C" not in found["gain.a"].note


@pytest.mark.parametrize(("changes", "why"), [
    ({"training_images": False}, "the training images"), ({"all_cuts": ()}, "no place between"),
])  # fmt: skip
def test_without_training_images_or_cuts_it_says_so(changes, why):
    setup = setup_of(**changes)
    assert check.needs(setup) == ()
    found = check.measure(Case(setup, np.zeros(1), np.zeros(1), {}, {}))
    assert [m.name for m in found] == ["probes.last_minus_middle"]
    assert why in check.section(found, ()).summary
    assert [f.verdict for f in judge(found, load_policy()) if f.limit == "probe_gain"] == [
        "inconclusive"]  # fmt: skip


def test_other_data_are_measured_under_their_own_names():
    other = ExtraDataset(name="birds", train_digest="a", eval_digest="b", classes=("p", "q"),
                         n_train=90, n_eval=80, seen=7)  # fmt: skip
    setup = setup_of(probe=other, training_images=False)
    case = case_of(setup, all_read([0.5, 0.6, 0.8, 0.7, 0.6]), other=other)
    assert [job.params["of"] for job in check.needs(setup)] == ["probe"]
    found = measured(case)
    assert found["other_last_minus_middle"].high < 0
    assert "of birds" in found["other_pixels"].note
    assert "7 evaluation images are training images" in found["other_pixels"].note
    section = check.section(check.measure(case), ())
    assert "On the other data a linear model reads 60.0 %" in section.summary
    assert [chart.title[-14:] for chart in section.charts] == ["the other data"]
    assert {row["data"] for row in section.rows} == {"its own task", "the other data"}


def test_few_cuts_are_spread_with_the_last_among_them():
    quick = setup_of(profile=profile("quick"))
    assert [cut.name for cut in probe_requests.cuts_read(quick)] == ["b", "head"]
    one = setup_of(profile=profile("quick", probe_cuts=1))
    assert [cut.name for cut in probe_requests.cuts_read(one)] == ["head"]
    none = setup_of(profile=profile("quick", probe_cuts=0))
    assert check.needs(none) == ()
    assert check.measure(Case(none, np.zeros(1), np.zeros(1), {}, {})) == []


@pytest.fixture(scope="module")
def context(model, data):
    subject, dataset = load_subject(model), load_dataset(data)
    cuts = find_cuts(subject.model, subject.spec.input_shape)[-3:]
    setup = setup_of(points(cuts), probe=ExtraDataset(name="o", train_digest="t", eval_digest="e",
                     classes=dataset.classes, n_train=180, n_eval=240))  # fmt: skip
    named = {cut.name: cut for cut in cuts}
    return JobContext(dataset, subject, setup, others={"probe": dataset}, all_cuts=named)


def test_a_trained_network_is_read_out_better_than_a_fresh_one(context):
    job, ticks = probe_requests.probes(context.setup), []
    known = {train_facts(context.setup).key: Outcome(arrays={"train_groups": np.arange(180)})}
    found = probes(job, context, known, ticks.append)
    again = probes(job, context, known, lambda share: None)
    assert np.array_equal(found.arrays["wrong"], again.arrays["wrong"])
    right = {tuple(row): 1 - found.arrays["wrong"][i].mean()
             for i, row in enumerate(found.values.rows)}  # fmt: skip
    last = context.setup.all_cuts[-1].name
    assert right["subject", last, "logistic"] > 0.9
    assert right["subject", last, "hinge"] > 0.9
    assert right["untrained", last, "logistic"] < right["subject", last, "logistic"]
    assert len(right) == 3 * len(context.setup.all_cuts) + 1
    assert (found.values.images, found.values.heldout_images) == (180, 36)
    assert ticks[-1] == 1
    assert ticks == sorted(ticks)


def test_other_data_bring_their_own_groups(context):
    job = probe_requests.probes(context.setup, context.setup.probe)
    found = probes(job, context, {}, lambda share: None)
    assert found.arrays["groups"].shape == found.arrays["index"].shape == (240,)


def test_near_duplicates_of_other_data_are_looked_for_once(context, monkeypatch):
    index = np.arange(20)
    first = groups(context, "probe", "eval", index)
    monkeypatch.setattr("audit.evidence.features.fingerprints", None)
    assert groups(context, "probe", "eval", index) is first


def test_features_that_are_not_finite_are_named(context, monkeypatch):
    first = next(iter(context.all_cuts))
    monkeypatch.setattr("audit.evidence.features.pooled", lambda value, *_: torch.full(
        (len(value), 3), torch.nan))  # fmt: skip
    job = probe_requests.probes(context.setup, context.setup.probe)
    found = probes(job, context, {}, lambda share: None)
    assert found.values.reasons[f"subject.{first}"] == "the features are not all finite numbers"
    assert [row[1] for row in found.values.rows] == [PIXELS]


def test_what_does_not_fit_into_memory_is_left_out_and_said(context, monkeypatch):
    monkeypatch.setattr("audit.checks.probes.run.MEMORY", 0)
    monkeypatch.setattr("audit.checks.probes.run.FEWEST", 60)
    job = probe_requests.probes(context.setup, context.setup.probe)
    given = material(job, context, {}, tuple(context.all_cuts.values()), asked=2000)
    assert len(given.train) == 60
    assert given.kept == 48
    assert np.bincount(given.train.labels[:48]).tolist() == [16, 16, 16]
    values = read_out(images=60, heldout_images=12)
    assert check.learned(values, None).startswith("learned on 60 training images (of 180: the")


def test_the_share_never_exceeds_one():
    seen = []
    count = counter(3, seen.append)
    for n in (2, 2):
        count(n)
    assert seen == [2 / 3, 1.0]


def drawn(*rights):
    """A case with untrained networks that are right on these shares of the images, at every cut."""
    rows = all_read([0.9] * 5, rights[0])
    for draw, right in enumerate(rights[1:], 1):
        rows |= {(f"untrained-{draw}", cut.name, "logistic"): right for cut in CUTS}
    return setup_of(profile=profile("quick", untrained_draws=len(rights))), rows


def test_what_the_model_gains_is_over_the_mean_of_untrained_networks_with_their_spread():
    one, alike, apart = (measured(case_of(*drawn(*rights)))
                         for rights in ((0.4,), (0.4, 0.4, 0.4), (0.3, 0.4, 0.5)))  # fmt: skip
    for found in (one, alike, apart):
        assert found["gain.b"].value == pytest.approx(0.5)
        assert found["untrained.b"].value == pytest.approx(0.4)
    widths = [found["gain.b"].high - found["gain.b"].low for found in (one, alike, apart)]
    assert widths[2] > 3 * widths[1]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)
    assert apart["gain.b"].note == "mean of 3 untrained networks"
    assert "one untrained network" in one["gain.b"].note


def test_a_cut_that_one_untrained_network_lacks_has_no_gain():
    setup, rows = drawn(0.4, 0.4, 0.4)
    del rows["untrained-2", "b", "logistic"]
    found = measured(case_of(setup, rows, {"untrained-2.b": "it is constant"}))
    assert math.isnan(found["gain.b"].value)
    assert found["untrained.b"].note == "it is constant"
