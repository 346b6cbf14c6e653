"""The ladder of nulls: who gates, what spreads, what breaks, what the twin is held against."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from audit.api import load_policy
from audit.checks.accuracy_gap import check as accuracy_gap
from audit.checks.accuracy_gap.breakdown import halves, per_class, together
from audit.evidence import shared_jobs as requests
from audit.evidence.ladder import drawn_qs, gating_qs, ladder
from audit.evidence.null_errors import nesting, read_ladder
from audit.evidence.outcomes import NotTrained
from audit.evidence.profile import PROFILES
from audit.jobs.store import Outcome
from audit.policy.judge import judge
from tests.evidence import test_ladder
from tests.evidence.test_ladder import CLASSES, N, case, setup
from tests.samples.outcomes import found_in_data
from tests.samples.pairs import pair_of, wrong


def measured(planted):
    return {m.name.removeprefix("accuracy_gap."): m for m in accuracy_gap.measure(planted)}


@pytest.mark.parametrize(("side", "gating", "drawn"), [
    (14, (), (5,)), (15, (5,), (9,)), (27, (5, 9), ()), (51, (5, 9, 17), ()),
    (99, (9, 17, 33), ()),
])  # fmt: skip
def test_q_of_exactly_a_third_of_the_side_gates(side, gating, drawn):
    assert gating_qs(side) == gating
    assert drawn_qs(side) == drawn


@pytest.mark.parametrize("name", PROFILES)
def test_no_control_makes_a_claim(name):
    nulls = ladder(64, PROFILES[name])
    assert not any(n.claim for n in nulls if n.role == "control")
    assert all(n.claim for n in nulls if n.role == "null" and n.q in (None, 9))


def test_near_duplicates_are_no_more_images():
    copied = dataclasses.replace(case(), given_groups=np.arange(N) // 20)  # 100 groups
    (found,) = [f for f in judge(accuracy_gap.measure(copied), load_policy()) if f.limit == "gain"]
    assert (found.verdict, found.reason) == ("inconclusive", "FEW_IMAGES")


def test_copies_add_no_certainty_to_the_accuracy():
    def width(groups):
        found = accuracy_gap.accuracy_of_subject(SimpleNamespace(groups=groups), errors)
        return found.high - found.low

    errors = wrong(0.3, 100).repeat(20)
    assert width(np.arange(100).repeat(20)) > 4 * width(np.arange(2000))


def test_the_accuracy_of_a_null_holds_the_spread_of_its_seeds():
    found = measured(case(null=0.3))["accuracy.bagnet-9"]  # one seed: a point is assumed
    assert (found.high - found.low) / 2 == pytest.approx(
        2 * math.sqrt(0.21 / N + 0.01**2), rel=0.03
    )


def test_the_stack_varies_like_a_trained_null():
    known, stack = read_ladder(case()), setup().null("stack")
    assert known.seed_variance > 0
    assert known.pair(stack, np.zeros(N)).seed_variance == known.seed_variance
    assert known.pair(setup().null("colour"), np.zeros(N)).seed_variance == 0


def test_the_stack_lacks_what_its_worst_member_lacks():
    known, stack = read_ladder(case()), setup().null("stack")
    worse = known.adequacy["bagnet-9"]._replace(allowance=0.2)
    known = dataclasses.replace(known, adequacy=known.adequacy | {"bagnet-9": worse})
    assert known.allowance(stack) == known.pair(stack, np.zeros(N)).allowance == 0.2
    assert read_ladder(case(unusable=("bagnet-9",))).allowance(stack) == math.inf


def test_the_spread_of_the_seeds_is_in_the_allowance():
    known = read_ladder(case())
    assert known.adequacy["bagnet-9"].se == pytest.approx(math.sqrt(0.05 / 2000 + 2 * 0.01**2))


def test_one_failed_seed_of_two_breaks_a_null(monkeypatch):
    two = setup().model_copy(update={"profile": setup().profile.model_copy(update={"seeds": 2})})
    monkeypatch.setattr(test_ladder, "setup", lambda: two)
    planted = case()
    assert read_ladder(planted).unusable == {}
    second = requests.fit(two, two.null("bagnet"), 1).key
    planted.outcomes[second] = Outcome(NotTrained(reason="it diverged"))
    assert read_ladder(planted).unusable == {"bagnet-9": "it diverged"}


def test_who_sees_more_must_not_be_worse():
    order = set(
        nesting(setup().model_copy(update={"nulls": ladder(32, PROFILES["default"])}), trained=True)
    )
    wanted = {("bagnet-5", "bagnet-9"), ("bagnet-9", "sighted-9"), ("circular-9", "coordconv-9")}
    assert wanted <= order
    assert not {(b, a) for a, b in wanted} & order
    assert "colour" in read_ladder(case(null=0.95)).unusable  # it errs more often than the prior


def test_the_twin_is_held_against_the_best_null():
    found = measured(case(null=0.3, sighted=0.05))
    twin = found["twin_minus_null"]
    assert twin.low < 0.25 < twin.high
    assert twin.low > 0.15
    assert found["twin_gain.bagnet-9"].value == pytest.approx(1 - 0.05 / 0.3, abs=0.05)
    assert {name for name in found if name.startswith("both_right.")} < {
        f"both_right.{n.name}" for n in setup().nulls if n.claim}  # fmt: skip


def test_a_twin_that_failed_says_nothing():
    found = measured(case(unusable=("sighted-9",)))
    assert math.isnan(found["twin_minus_null"].value)
    assert found["twin_minus_null"].note == "it broke"
    assert not [name for name in found if name.startswith("twin_gain.")]


def uneven():
    """Half of all images are of class 0; only the prior keeps the nulls from telling the others."""
    planted, counts = case(), np.array([1100, *[100] * 9])
    labels = np.arange(CLASSES).repeat(counts)
    evidence = np.where(np.arange(N)[:, None] % 10 < 7, np.eye(CLASSES)[labels], 0)  # of 70 %
    logits = (evidence + np.log(counts / N)).astype(np.float32)
    plan, subject = planted.setup, np.where(labels == 1, 0, labels)  # class 1 is never told
    for null in plan.nulls:
        planted.outcomes[requests.null_outputs(plan, null).key].arrays["logits"] = logits
    own = np.eye(CLASSES, dtype=np.float32)[subject]
    planted.outcomes[requests.subject_outputs(plan).key].arrays["logits"] = own
    planted.outcomes[requests.facts(plan).key] = Outcome(
        found_in_data(train_counts=tuple((5 * counts).tolist()))
    )
    return dataclasses.replace(planted, given_labels=labels)


def test_uneven_classes_are_judged_in_balanced_accuracy_too():
    """Every class weighs the same, and the nulls lose their log prior."""
    found = measured(uneven())
    claims = {f"balanced_gain.{n.name}" for n in setup().nulls if n.claim}
    assert {name for name in found if name.startswith("balanced_gain.")} == claims
    plain, fair = found["gain.bagnet-9"].detail, found["balanced_gain.bagnet-9"].detail
    assert (plain["error_subject"], plain["error_null"]) == pytest.approx((0.05, 0.45))
    assert (fair["error_subject"], fair["error_null"]) == pytest.approx((0.1, 0.27), abs=0.005)


class Alone:
    groups = np.arange(1000)


def test_which_images_only_one_gets_right():
    """The subject errs on 10 %, the null on these and 20 % more."""
    subject, null = wrong(0.1, 1000), wrong(0.3, 1000)
    shares = {m.name.split(".")[1]: m.value for m in together(Alone, null[None], subject, "stack")}
    assert shares == pytest.approx(
        {"both_right": 0.7, "only_subject_right": 0.2, "only_null_right": 0, "both_wrong": 0.1}
    )
    where = {m.name.split(".")[1]: m.value for m in halves(Alone, null, subject, "stack")}
    assert where == pytest.approx({"null_wrong": 2 / 3, "null_right": 1})


def test_a_class_gap_counts_copies_once_and_seeds():
    class Two:
        labels, groups = np.zeros(200, int), np.arange(200)

        class setup:
            classes = ("a",)

    def width(groups, spread):
        Two.groups = groups
        against = pair_of("x", subject, null, claim=True, allowance=0, seed_variance=spread)
        (gap,) = [m for m in per_class(Two, null[None], subject, against) if "class_gap" in m.name]
        return gap.high - gap.low

    subject, null = wrong(0.1, 50).repeat(4), wrong(0.3, 50).repeat(4)
    once = width(np.arange(200), 0.0)
    assert width(np.arange(50).repeat(4), 0.0) > 1.8 * once
    assert width(np.arange(200), 0.1**2) > 2 * once


def test_the_twin_has_a_spread_of_its_own():
    planted = case()
    found = {m.name: m for m in accuracy_gap.measure(planted)}
    own = found["accuracy_gap.twin_gain.colour"].detail["var_subject"]
    assert own == pytest.approx(0.05 * 0.95 / 2000 + read_ladder(planted).seed_variance, rel=0.1)
