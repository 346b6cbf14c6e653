"""Which nulls are trained, and when one is not to be believed."""

import numpy as np
import pytest

from audit.api import load_policy
from audit.checks import ALL
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.ladder import drawn_qs, gating_qs, ladder
from audit.evidence.null_errors import needs, nesting, read_ladder
from audit.evidence.outcomes import ChosenLinear, ProofValues, Stacked
from audit.evidence.profile import PROFILES
from audit.evidence.setup import CutPoint, NullInput, Setup
from audit.jobs.job import merged
from audit.jobs.scheduler import JobResults
from audit.jobs.store import Outcome
from audit.jobs.values import Ran
from audit.policy.judge import judge, verdict
from audit.record import Measurement
from tests.samples.outcomes import chosen, curve_of, found_in_data, trained

N, CLASSES = 2000, 10


@pytest.mark.parametrize(("side", "gating", "drawn"), [
    (12, (), (5,)), (28, (5, 9), ()), (32, (5, 9), (17,)), (64, (9, 17), (33,)),
    (224, (9, 17, 33), ()),
])  # fmt: skip
def test_which_q_gate(side, gating, drawn):
    assert gating_qs(side) == gating
    assert drawn_qs(side) == drawn


def test_quick_ladder_at_32_pixels():
    nulls = ladder(32, PROFILES["quick"])
    assert [n.name for n in nulls] == [
        "prior", "colour", "moments", "statistics", "pixels", "patches-5", "cells-5", "patches-9",
        "cells-9", "bagnet-9", "coordconv-9", "stack", "sighted-9",
    ]  # fmt: skip
    assert [n.name for n in nulls if not n.claim] == ["sighted-9"]


def test_drawn_q_make_no_claim():
    nulls = ladder(32, PROFILES["full"])
    assert {n.name for n in nulls if n.q == 17} == {"bagnet-17", "sighted-17"}
    assert not any(n.claim for n in nulls if n.q == 17)


def test_without_a_gating_q_nothing_counts():
    assert not any(n.claim for n in ladder(12, PROFILES["quick"]))


def setup():
    return Setup(
        profile=PROFILES["quick"], seed=0, subject="s", architecture="resnet18",
        subject_digest="d", subject_size=32, view="v", train_digest="x", eval_digest="y",
        classes=tuple("abcdefghij"), n_train=10_000, n_eval=N, channels=3, input=NullInput(size=32),
        nulls=ladder(32, PROFILES["quick"]), cuts=(CutPoint(name="head", depth=1.0, head=True),),
    )  # fmt: skip


def case(subject=0.02, null=0.3, final=0.70, unusable=(), drop=(), sighted=0.05):
    """A case with planted errors: shares wrong of the subject and of every null."""
    plan, rng = setup(), np.random.default_rng(0)
    labels = np.arange(N) % CLASSES

    def logits(share):
        said = np.where(rng.random(N) < share, (labels + 1) % CLASSES, labels)
        return np.eye(CLASSES, dtype=np.float32)[said]

    outcomes = {}
    for job in merged((requests.facts(plan), *needs(plan))):
        name = str(job.params.get("null", ""))
        untrained = {n.name for n in plan.nulls if not n.trained}
        if job.kind == "choose" and name in untrained:
            values = ChosenLinear(status="ok", strength=1.0, heldout_accuracy=1 - null)
            outcomes[job.key] = Outcome(values, {"heldout": np.arange(2000)})
        elif job.kind == "choose":
            outcomes[job.key] = Outcome(
                chosen(curve=curve_of(0.69, 0.699, final)), {"heldout": np.arange(2000)}
            )
        elif job.kind == "fit":
            bad = {"status": "failed", "reason": "it broke"} if name in unusable else {}
            outcomes[job.key] = Outcome(trained(**bad))
        elif job.kind == "subject_outputs":
            outcomes[job.key] = Outcome(arrays={"logits": logits(subject)})
        elif job.kind in ("null_outputs", "stack") and name not in drop:
            wrong = 0.9 if name == "prior" else sighted if name.startswith("sighted") else null
            values = (
                Ran(status="ok")
                if job.kind == "null_outputs"
                else Stacked(status="ok", heldout_accuracy=0.7, n_heldout=2000)
            )
            outcomes[job.key] = Outcome(values, {"logits": logits(wrong)})
    return Case(plan, labels, np.arange(N), outcomes, {})


def verdict_of(**planted):
    from audit.checks.accuracy_gap import check as accuracy_gap

    measurements = accuracy_gap.measure(case(**planted))
    finding = next(f for f in judge(measurements, load_policy()) if f.limit == "gain")
    return finding.verdict, finding.reason


def test_a_good_model_passes_and_a_bad_one_fails():
    assert verdict_of() == ("pass", "")
    assert verdict_of(subject=0.32) == ("fail", "SUBJECT_WEAK")


def test_a_perfect_null_lets_nothing_pass():
    assert verdict_of(null=0.0, subject=0.0) == ("fail", "DATA_LOCAL")


def test_no_error_is_no_certainty():
    """0 errors in n: Wilson's interval begins at 1 / (1 + 1.96^2 / n)."""
    from audit.checks.accuracy_gap import check as accuracy_gap

    found = {m.name: m for m in accuracy_gap.measure(case(null=0.0))}
    accuracy = found["accuracy_gap.accuracy.colour"]
    assert accuracy.value == accuracy.high == 1
    assert accuracy.low == pytest.approx(1 / (1 + 1.96**2 / N), abs=1e-6)


def test_a_starved_null_lets_nothing_pass():
    """It still gained 20 points over the second half of its budget."""
    assert verdict_of(subject=0.2, final=0.9)[0] == "inconclusive"


@pytest.mark.parametrize("missing", ["bagnet-9", "sighted-9"])
@pytest.mark.parametrize("measure", ["gap", "accuracy", "kappa", "mcnemar", "gain", "allowance"])
def test_a_null_that_is_missing_has_no_number_under_any_name(measure, missing):
    """A limit on all nulls must not pass by those that are left."""
    from audit.checks.accuracy_gap import check as accuracy_gap

    found = {m.name: m for m in accuracy_gap.measure(case(drop=(missing,)))}
    assert np.isnan(found[f"accuracy_gap.{measure}.{missing}"].value)
    assert np.isnan(found["accuracy_gap.twin_minus_null"].value) == (missing == "sighted-9")
    if missing == "bagnet-9":
        assert np.isnan(found["accuracy_gap.twin_gain.bagnet-9"].value)


def test_dimensions_that_are_missing_have_no_number_under_any_name():
    from audit.checks.dimension import last_layer as intrinsic_dimension

    found = {m.name: m.value for m in intrinsic_dimension.measure(case())}
    for name in ("last_layer.subject", "untrained.bagnet-9", "log_ratio.subject"):
        assert np.isnan(found[f"intrinsic_dimension.{name}"])


def test_a_null_that_failed_or_is_missing_lets_nothing_pass():
    assert verdict_of(unusable=("bagnet-9",))[0] == "inconclusive"
    assert verdict_of(drop=("coordconv-9",))[0] == "inconclusive"


def test_a_null_worse_than_a_blinder_one_is_broken():
    """The sighted twin errs on 5 % and BagNet-9 on 0.5 %: the twin was not trained properly."""
    found = read_ladder(case(null=0.005))
    assert "sighted-9" in found.unusable
    assert "not trained properly" in found.unusable["sighted-9"]
    assert "sighted-9" not in read_ladder(case()).unusable


def test_a_null_that_is_far_worse_here_than_held_out_was_made_for_other_data():
    """It was right on 70 % of held-out training images, and is on half of these."""
    assert "other data" in read_ladder(case(null=0.5)).unusable["bagnet-9"]
    assert verdict_of(null=0.5)[0] == "inconclusive"
    assert "bagnet-9" not in read_ladder(case(null=0.33)).unusable


def test_a_flat_curve_counts_only_where_the_same_recipe_teaches_the_sighted_twin():
    """BagNet-9 is as good as a histogram of colours: is there nothing to learn, or did it not?"""
    assert "bagnet-9" not in read_ladder(case(sighted=0.05)).unusable
    assert "not shown" in read_ladder(case(null=0.7, final=0.3, sighted=0.7)).unusable["bagnet-9"]
    assert verdict_of(null=0.7, final=0.3, sighted=0.7)[0] == "inconclusive"
    alone = read_ladder(case(null=0.7, final=0.3, drop=("sighted-9",)))
    assert "not shown" in alone.unusable["bagnet-9"]  # without a twin nothing tells
    assert "bagnet-9" not in read_ladder(case(sighted=0.3)).unusable  # two thirds of 90 % are right


def test_a_model_that_loses_to_a_null_is_not_said_to_beat_it():
    from audit.checks.accuracy_gap import check as accuracy_gap

    def said(**planted):
        return accuracy_gap.section(accuracy_gap.measure(case(**planted)), [], ()).summary

    assert "more errors than it" in said(subject=0.5)
    assert "beats" not in said(subject=0.5)
    assert "of its errors (" in said()


def test_a_null_no_better_than_the_prior_is_broken():
    """CoordConv errs as often as guessing: the quick profile has no other net to hold it to."""
    planted = case(null=0.95)
    assert "coordconv-9" in read_ladder(planted).unusable


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.NAME)
def test_every_check_can_say_that_it_crashed(check):
    nan = Measurement(
        check=check.NAME, quantity="crashed", value=float("nan"), unit="count", note="why"
    )
    section = check.section([nan], [], ())
    assert section.name == check.NAME
    assert check.section([], [], ()).summary


@pytest.mark.parametrize("change", [
    {"subject_digest": "e"}, {"view": "w"}, {"eval_digest": "z"}, {"seed": 1},
    {"order": (1, 0)},
])  # fmt: skip
def test_what_determines_predictions_is_in_the_key(change):
    changed = setup().model_copy(update=change)
    assert requests.subject_outputs(changed).key != requests.subject_outputs(setup()).key


def test_nulls_of_another_side_are_other_nulls():
    null = setup().null("bagnet")
    others = ({"size": 31}, {"size": 33}, {"size": 33, "crop_pct": 0.9})
    plans = [setup().model_copy(update={"input": NullInput(**other)}) for other in others]
    assert len({requests.fit(plan, null).key for plan in plans}) == 3


def test_nulls_do_not_depend_on_the_subject():
    other = setup().model_copy(update={"subject_digest": "e", "view": "w"})
    null = setup().null("bagnet")
    assert requests.fit(other, null).key == requests.fit(setup(), null).key


def test_a_crashed_check_is_never_a_pass():
    from audit.pipeline.audit import measured

    class Crashing:
        NAME = "crashing"

        @staticmethod
        def measure(case):
            raise ZeroDivisionError("as planted")

    found, reason = measured(Crashing, case())
    assert reason == "ZeroDivisionError: as planted"
    assert np.isnan(found[0].value)
    from audit.checks.accuracy_gap import check as accuracy_gap

    policy = load_policy()
    gates = [f for f in judge(accuracy_gap.measure(case()), policy) if f.limit == "gain"]
    assert verdict(gates, ()) == ("pass", 0)
    assert verdict(gates, ("crashing",)) == ("inconclusive", 3)


def test_a_local_null_below_colour_was_not_trained():
    """Starved at chance its learning curve is flat, and looks as if it had finished."""
    order = nesting(setup(), trained=True)
    assert {("colour", n.name) for n in setup().nulls if n.trained} <= set(order)
    assert ("prior", "stack") not in order


def test_the_stack_needs_no_prior():
    named = [job.params.get("null") for job in requests.stack(setup()).after]
    assert "prior" not in named
    assert "colour" in named


def looked(subject, null=0.3, **changes):
    """Whether the early looks stop an audit, and after how many of them."""
    from audit.pipeline import looks

    planted, seen = case(subject=subject, null=null), []
    found = planted.setup.profile.model_copy(update=changes)
    setup = planted.setup.model_copy(update={"profile": found})

    def run(jobs, small):
        seen.append([n.name for n in small.nulls])
        outcomes = {
            job.key: planted.outcomes[job.key] for job in jobs if job.key in planted.outcomes
        }
        facts = requests.facts(small).key
        arrays = {"eval_labels": planted.labels, "eval_groups": planted.groups}
        return JobResults(outcomes=outcomes | {facts: Outcome(found_in_data(), arrays)})

    return looks.early_fail(setup, load_policy(), run), seen


def test_a_model_that_is_clearly_too_weak_fails_before_anything_is_trained():
    stopped, seen = looked(subject=0.4)
    assert seen == [["prior", "colour", "moments", "statistics", "pixels", "patches-9", "cells-9"]]
    assert not any(n.trained for n in stopped.nulls)


@pytest.mark.parametrize("subject", [0.02, 0.27])  # good; as good as the limit asks
def test_a_model_that_is_not_clearly_too_weak_goes_on_to_the_trained_nulls(subject):
    stopped, seen = looked(subject=subject)
    assert stopped is None
    assert len(seen) == 2
    assert {"patches-5", "cells-5"} <= set(seen[1])


def test_who_wants_everything_is_not_stopped():
    assert looked(subject=0.4, stop_at_fail=False) == (None, [])


def test_a_null_whose_blindness_is_refuted_is_no_witness():
    """It may see too much: a model that it beats has not failed."""
    planted = case(subject=0.32, null=0.05)
    broken = {"receptive_field": ProofValues(holds=False, largest=1.0, checked=12)}
    for null in (n for n in planted.setup.nulls if n.claim and n.name.endswith("-9")):
        job = requests.fit(planted.setup, null)
        planted.outcomes[job.key] = Outcome(trained(status="failed", reason="b", proofs=broken))
    known = read_ladder(planted)
    assert "bagnet-9" in known.unusable
    assert not {"bagnet-9", "coordconv-9", "patches-9", "stack"} & set(known.errors)
    assert {"bagnet-5", "colour"} & set(known.errors)
