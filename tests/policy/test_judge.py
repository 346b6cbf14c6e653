"""Limits are judged so that nothing unmeasured ever passes."""

import datetime
import math

import pytest

from audit.policy.judge import decided_early, judge, verdict
from audit.policy.waivers import Waiver
from tests.samples.policy import GAIN, NAN, bet, finding, gain_finding, measured, one_limit

# Intervals


@pytest.mark.parametrize(
    ("side", "low", "high", "expected"),
    [
        ("at_least", 0.1, 0.3, "pass"),
        ("at_least", 0.05, 0.0999, "fail"),
        ("at_least", 0.05, 0.1, "inconclusive"),
        ("above", 0.1, 0.3, "inconclusive"),
        ("above", 0.05, 0.1, "fail"),
        ("at_most", 0.05, 0.1, "pass"),
        ("at_most", 0.05, 0.3, "inconclusive"),
        ("at_most", 0.11, 0.3, "fail"),
        ("below", 0.05, 0.1, "inconclusive"),
        ("below", 0.1, 0.3, "fail"),
        ("at_least", NAN, NAN, "inconclusive"),
        ("at_least", 0.2, NAN, "inconclusive"),
        ("at_least", 0.9, 0.2, "inconclusive"),
    ],
)
def test_the_whole_interval_has_to_meet_or_miss_the_limit(side, low, high, expected):
    policy = one_limit(**{side: 0.1})
    (found,) = judge([measured(value=0.2, low=low, high=high)], policy)
    assert found.verdict == expected


@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["at_least", "at_most", "above", "below"])
@pytest.mark.parametrize("unit", ["points", "count"])
def test_what_is_no_number_never_passes_and_never_fails(value, side, unit):
    (found,) = judge([measured(value=value, unit=unit, low=0, high=0)], one_limit(**{side: 0}))
    assert (found.verdict, found.reason) == ("inconclusive", "NOT_MEASURED")


@pytest.mark.parametrize(("count", "expected"), [(0, "pass"), (1, "fail")])
def test_counts_need_no_interval(count, expected):
    (found,) = judge(
        [measured("data.exact_leaks", count, unit="count")], one_limit("data.*", at_most=0)
    )
    assert (found.verdict, found.low, found.high) == (expected, count, count)


def test_shares_of_the_data_need_no_interval_but_estimates_do():
    policy = one_limit("*", at_most=0.9)
    assert judge([measured("data.near_leaks", 0.1, unit="fraction")], policy)[0].verdict == "pass"
    (found,) = judge([measured("position.effect", 0.1)], policy)
    assert (found.verdict, found.reason) == ("inconclusive", "NO_INTERVAL")


def test_the_worst_point_of_a_curve_decides():
    cuts = [
        measured(f"t.{i}", v, v - 0.01, v + 0.01, at=i / 4) for i, v in enumerate((0.01, 0.2, 0.3))
    ]
    (found,) = judge(cuts, one_limit("t.*", at_most=0.05))

    assert (found.verdict, found.value) == ("fail", 0.3)
    assert found.measurements == ("t.2", "t.0", "t.1")
    assert "at 0.50" in found.explanation


def test_one_unmeasured_point_of_a_curve_prevents_a_pass():
    (found,) = judge([measured("t.0", 0, 0, 0), measured("t.1", NAN)], one_limit("t.*", at_most=1))
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize("severity", ["gate", "warn", "info"])
def test_limits_without_a_measurement_are_inconclusive(severity):
    (found,) = judge([measured("y")], one_limit(severity=severity, at_most=1))
    assert (found.verdict, found.reason, found.severity) == (
        "inconclusive",
        "NOT_MEASURED",
        severity,
    )


def test_optional_limits_without_a_measurement_do_not_gate():
    (found,) = judge([], one_limit(at_most=1, optional=True))
    assert (found.verdict, found.severity) == ("inconclusive", "warn")


# The gain


def test_the_gain_is_judged_by_its_own_rules():
    assert gain_finding(bet(0.3, 0.1)).verdict == "pass"
    starved = gain_finding(bet(0.3, 0.1, allowance=0.3))  # its interval is the same
    assert (starved.verdict, starved.reason) == ("inconclusive", "WEAK_NULL")


def test_no_gain_passes_where_every_patch_null_saw_reduced_images():
    small = bet(0.3, 0.1, sides=(64, 144))
    found = gain_finding(small)
    assert (found.verdict, found.reason) == ("inconclusive", "NULLS_REDUCED")
    assert "saw the images at 64 pixels, the model at 144" in found.explanation
    assert gain_finding(small, bet(0.3, 0.1, name=GAIN.replace("9", "17"))).verdict == "pass"
    assert gain_finding(bet(0.3, 0.4, sides=(64, 144))).verdict == "fail"


@pytest.mark.parametrize("sides", [(), (64,), (math.nan, math.nan), (32, math.nan)])
def test_no_gain_passes_where_it_is_not_known_what_the_nulls_saw(sides):
    assert gain_finding(bet(0.3, 0.1, sides=sides)).reason == "NULLS_REDUCED"


def test_thumbnails_and_nulls_that_do_not_gate_stand_in_for_no_patch_null():
    small = bet(0.3, 0.1, sides=(64, 144))
    pixels = bet(0.3, 0.1, sides=(), name="accuracy_gap.gain.pixels")
    larger = bet(0.3, 0.1, claim=False, name="accuracy_gap.gain.bagnet-33")
    assert gain_finding(small, pixels, larger).reason == "NULLS_REDUCED"
    asked = one_limit("accuracy_gap.gain.pixels", at_least=0.1)
    assert judge([small, pixels], asked)[0].reason == "NULLS_REDUCED"


def test_a_pattern_of_stars_does_not_escape_the_rules_of_the_gain():
    (found,) = judge([bet(0.3, 0.1, allowance=0.3)], one_limit("*", at_least=0.1))
    assert found.verdict == "inconclusive"


def test_the_finding_names_the_deciding_null_first():
    found = gain_finding(bet(0.5, 0.1, name="accuracy_gap.gain.prior"), bet(0.3, 0.1))
    assert found.measurements == (GAIN, "accuracy_gap.gain.prior")
    assert found.value == pytest.approx(2 / 3)
    assert found.low < found.value < found.high


def test_only_claims_are_judged():
    other = bet(0.1, 0.1, claim=False, name="accuracy_gap.gain.bagnet-33")
    assert gain_finding(bet(0.3, 0.1), other).verdict == "pass"
    assert gain_finding(other).reason == "NO_CLAIM_RUNG"


@pytest.mark.parametrize("detail", [{}, {"claim": 1.0, "error_null": 0.4}])
def test_a_gain_without_its_statistics_is_not_measured(detail):
    gone = measured("accuracy_gap.gain.stack", 0.9, 0.8, 1.0, "gain", detail=detail)
    assert gain_finding(bet(0.3, 0.1), gone).reason == "NOT_MEASURED"


def test_a_gain_that_is_nan_is_not_measured_whatever_its_detail_says():
    good = bet(0.3, 0.1)
    assert gain_finding(good.model_copy(update={"value": NAN})).reason == "NOT_MEASURED"


def test_the_worse_of_plain_and_balanced_holds():
    good, name = bet(0.3, 0.1), "accuracy_gap.balanced_gain.bagnet-9"
    assert gain_finding(good, bet(0.3, 0.1, name=name)).verdict == "pass"
    found = gain_finding(good, bet(0.3, 0.35, name=name))
    assert (found.verdict, found.measurements) == ("fail", (name,))
    assert gain_finding(bet(0.3, 0.35), bet(0.3, 0.1, name=name)).verdict == "fail"


def test_a_null_without_a_balanced_gain_prevents_a_pass():
    balanced = bet(0.3, 0.1, name="accuracy_gap.balanced_gain.bagnet-9")
    prior = bet(0.5, 0.1, name="accuracy_gap.gain.prior")
    found = gain_finding(bet(0.3, 0.1), prior, balanced)
    assert (found.verdict, found.reason) == ("inconclusive", "NOT_MEASURED")


def test_a_fail_lies_with_the_data_where_the_twin_fails():
    twin = bet(0.3, 0.32, name="accuracy_gap.twin_gain.bagnet-9")
    assert gain_finding(bet(0.3, 0.3), twin).reason == "DATA_LOCAL"
    assert gain_finding(bet(0.3, 0.3)).reason == "CAUSE_UNKNOWN"


# The verdict


@pytest.mark.parametrize(
    ("gates", "crashed", "expected"),
    [
        (["pass", "pass"], [], ("pass", 0)),
        (["pass", "fail", "inconclusive"], ["transfer"], ("fail", 1)),
        (["pass", "inconclusive"], [], ("inconclusive", 3)),
        (["pass"], ["transfer"], ("inconclusive", 3)),
        ([], [], ("inconclusive", 3)),
    ],
)
def test_exit_codes(gates, crashed, expected):
    assert verdict([finding(gate) for gate in gates], crashed) == expected


def test_only_gates_decide():
    others = [finding("fail", "warn"), finding("inconclusive", "info")]
    assert verdict([finding("pass"), *others]) == ("pass", 0)
    assert verdict(others) == ("inconclusive", 3)


def closed(name, trained, **more):
    """A gain over a patch null of an audit that says which nulls were trained."""
    one = bet(0.3, 0.1, name=f"accuracy_gap.gain.{name}", **more)
    return one.model_copy(update={"detail": one.detail | {"trained": float(trained)}})


def test_closed_forms_let_nothing_pass_and_both_claims_need_a_trained_null():
    alone = [closed("patches-9", False), closed("cells-9", False)]
    bag, told = closed("bagnet-9", True), closed("coordconv-9", True)
    stopped = gain_finding(*alone)
    assert (stopped.verdict, stopped.reason) == ("inconclusive", "NOT_MEASURED")
    assert "stop_at_fail=false" in stopped.explanation
    for one in (bag, told, closed("bagnet-17-half", True, sides=(16, 32))):
        assert gain_finding(*alone, one).verdict == "inconclusive"
    assert gain_finding(*alone, bag, told).verdict == "pass"
    reduced = closed("coordconv-9-half", True, sides=(16, 32))
    assert gain_finding(*alone, bag, reduced).reason == "NULLS_REDUCED"


def test_an_early_look_fails_what_is_clear_and_asks_no_waived_gate():
    policy = one_limit("accuracy_gap.gain.*", "gate", at_least=0.1)
    weak, close = [bet(0.3, 0.4)], [bet(0.3, 0.26)]
    assert decided_early(weak, policy, 0.0025)
    assert not decided_early(close, policy, 0.0025)
    assert not decided_early(weak, one_limit("accuracy_gap.gain.*", "warn", at_least=0.1), 0.0025)
    excused = Waiver(limit="it", reason="r", until=datetime.date(2099, 1, 1))
    assert not decided_early(weak, policy.model_copy(update={"waivers": (excused,)}), 0.0025)
