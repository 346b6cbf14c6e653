"""What no gate may pass: limits on gains, intervals that are missing, twins, copies, curves."""

import math

import numpy as np
import pytest

from audit.policy.gain_verdict import judge_gain, solves
from audit.policy.headline import headline
from audit.policy.judge import judge
from audit.policy.limits import Limit, Policy
from audit.stats.adequacy import adequacy
from audit.stats.paired import ASSUMED_SEED_VARIANCE, Pair
from tests.samples import pairs as sample_pairs
from tests.samples.pairs import pair_of
from tests.samples.policy import GAIN, NAN, bet, gain_finding, measured, one_limit, read

ACCURACY = "accuracy_gap.accuracy.subject"


@pytest.mark.parametrize("name", [GAIN, "accuracy_gap.balanced_gain.bagnet-9"])
@pytest.mark.parametrize("side", ["at_least", "above"])
def test_every_limit_on_a_gain_is_judged_by_its_rules(side, name):
    """The interval alone would pass: the null was starved."""
    starved = bet(0.3, 0.1, allowance=0.3, name=name)
    (found,) = judge([starved], one_limit(name, **{side: 0.1}))
    assert (found.verdict, found.reason) == ("inconclusive", "WEAK_NULL")
    (found,) = judge([bet(0.3, 0.1, name=name)], one_limit(name, **{side: 0.1}))
    assert found.verdict == "pass"


@pytest.mark.parametrize("null", ["bagnet-9", "stack"])
@pytest.mark.parametrize("side", ["at_least", "above"])
@pytest.mark.parametrize(
    "planted", [{"allowance": 0.03}, {"failed": True}, {"allowance": math.inf}]
)
def test_relative_to_a_null_counts_what_more_training_might_add_to_it(planted, side, null):
    gap = measured(f"accuracy_gap.gap.{null}", 0.1, 0.05, 0.15)
    weak = bet(0.2, 0.1, name=f"accuracy_gap.gain.{null}", **planted)
    (found,) = judge([gap, weak], one_limit(ACCURACY, relative_to=null, **{side: 0.04}))
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize("unit", ["fraction", "points", "gain", "dimensions", "ratio", "nats"])
def test_an_estimate_of_any_unit_needs_an_interval(unit):
    (found,) = judge([measured(value=0.9, unit=unit)], one_limit(at_least=0.1))
    assert (found.verdict, found.reason) == ("inconclusive", "NO_INTERVAL")


@pytest.mark.parametrize(("side", "bound", "worst"), [
    ("at_least", 0.5, "t.1"), ("above", 0.5, "t.1"), ("at_most", 0.1, "t.0"), ("below", 0.1, "t.0")
])  # fmt: skip
def test_of_two_points_that_miss_the_limit_the_worse_is_shown(side, bound, worst):
    curve = [measured("t.0", 0.3, 0.29, 0.31), measured("t.1", 0.2, 0.19, 0.21)]
    (found,) = judge(curve, one_limit("t.*", **{side: bound}))
    assert (found.verdict, found.measurements[0]) == ("fail", worst)


def test_an_optional_limit_that_was_measured_keeps_its_severity():
    miss = measured(value=0.2, low=0.19, high=0.21)
    for severity in ("gate", "warn"):
        (found,) = judge([miss], one_limit(severity=severity, optional=True, at_most=0.1))
        assert (found.verdict, found.severity) == ("fail", severity)
        (found,) = judge(
            [measured(value=NAN)], one_limit(severity="gate", optional=True, at_most=1)
        )
        assert found.severity == "gate"


def head(*measurements):
    policy = one_limit("accuracy_gap.gain.*", at_least=0.1)
    return headline(judge(measurements, policy), measurements)


def test_a_twin_that_was_not_measured_does_not_help():
    gone = measured("accuracy_gap.twin_minus_null", NAN)
    assert "helps too" not in head(bet(0.3, 0.1), gone)


def test_data_that_no_null_solves_are_not_called_solved():
    twin = bet(0.3, 0.32, name="accuracy_gap.twin_gain.bagnet-9")
    said = head(bet(0.3, 0.3), twin)
    assert "of these images right" not in said
    assert said.endswith("and training a sighted model on these data did not help either.")


def test_the_least_of_several_gains_is_the_headline():
    good, easy = bet(0.3, 0.1), bet(0.9, 0.1, name="accuracy_gap.gain.prior")
    policy = Policy(limits=tuple(
        Limit(name=m.name, measure=m.name, comparator="at_least", bound=0.1, severity="gate")
        for m in (easy, good)
    ))  # fmt: skip
    said = headline(judge([good, easy], policy), [good, easy])
    assert said.startswith("This model makes 67% fewer errors than one that sees only 9")


def test_a_wrong_order_is_named_before_a_leak():
    leak = measured("data.exact_leaks", 7, unit="count")
    order = measured("labels.permutation_claimed", 1, 1, 1, unit="count", note="as planted")
    none = {"comparator": "at_most", "bound": 0, "severity": "gate"}
    limits = tuple(Limit(name=m.name, measure=m.name, **none) for m in (leak, order))
    found = judge([leak, order], Policy(limits=limits))
    assert headline(found, [leak, order]).startswith("The outputs stand in another order")


def test_the_data_allow_it_only_where_the_twin_beats_every_null():
    bet = sample_pairs.bet
    pairs = [bet(0.3, 0.3), bet(0.5, 0.3, null="prior")]
    twins = [bet(0.3, 0.27), bet(0.5, 0.27, null="prior")]  # undecided and passed
    assert "the data allow it" not in judge_gain(pairs, 0.1, twins=twins).explanation


def test_one_unlucky_twin_of_eight_does_not_blame_the_data():
    bet = sample_pairs.bet
    close, pairs = bet(0.3, 0.29, n=1000), [bet(0.3, 0.3)]
    others = [bet(0.6, 0.29, n=1000, null=f"easy-{i}") for i in range(7)]
    assert judge_gain(pairs, 0.18, twins=[close]).reason == "DATA_LOCAL"
    assert judge_gain(pairs, 0.18, twins=[close, *others]).reason == "SUBJECT_WEAK"


def test_copies_do_not_make_data_solved():
    none, groups = np.zeros(4000), np.arange(100).repeat(40)
    more = {"claim": True, "allowance": 0, "seed_variance": 0}
    assert solves(pair_of("x", none, none, **more))
    assert not solves(pair_of("x", none, none, groups, **more))


@pytest.mark.parametrize("key", ["effective", "error_subject", "error_null", "var_subject",
                                 "seed_variance", "df"])  # fmt: skip
def test_impossible_details_are_missing_pairs(key):
    detail = sample_pairs.bet(0.3, 0.2).to_detail()
    assert Pair.from_detail("x", detail | {key: -0.5}).status == "missing"


def test_an_allowance_below_zero_helps_nobody():
    detail = sample_pairs.bet(0.3, 0.2).to_detail()
    assert Pair.from_detail("x", detail | {"allowance": -0.5}).allowance == 0
    assert sample_pairs.bet(0.3, 0.2, allowance=-0.5).allowance == 0


def test_the_assumed_spread_of_seeds_is_one_point():
    assert pytest.approx(0.01**2) == ASSUMED_SEED_VARIANCE  # as its note and docs/verdict.md say
    one = pair_of("x", np.zeros(500), np.arange(500) % 2, claim=True, allowance=0)
    assert one.seed_variance == pytest.approx(0.01**2)


def test_a_curve_that_rises_after_a_fall_has_no_bound():
    """The step before the last was not positive: nothing says that the steps shrink."""
    assert adequacy(0.54, 0.50, 0.54, 0.1, 5000, 1e-6, 3).allowance == math.inf
    assert adequacy(math.nan, 0.50, 0.54, 0.1, 5000, 1e-6, 3).allowance == math.inf


def test_a_fall_counts_from_the_highest_point_with_its_margin():
    found = adequacy(0.66, 0.60, 0.60, 0.05, 2000, 0, 3)
    assert found.allowance == pytest.approx(0.06 + 1.645 * 1.25 * 0.005)


def test_a_limit_that_turns_its_side_loses_its_words(tmp_path):
    def words(text):
        return {x.name: x.statement for x in read(tmp_path, text).limits}["exact_leaks"]

    assert "no more than" in words("limits:\n  exact_leaks: {at_most: 3}")
    assert words("limits:\n  exact_leaks: {at_least: 3}") == ""


def test_one_fail_is_not_hidden_by_what_was_not_measured():
    curve = [measured("t.0", NAN), measured("t.1", 0.3, 0.29, 0.31)]
    (found,) = judge(curve, one_limit("t.*", at_most=0.1))
    assert (found.verdict, found.measurements[0]) == ("fail", "t.1")
    undecided, name = bet(0.3, 0.1, allowance=0.3), "accuracy_gap.balanced_gain.bagnet-9"
    assert gain_finding(undecided, bet(0.3, 0.35, name=name)).verdict == "fail"


def test_the_best_of_eight_nulls_solves_less_easily():
    none = pair_of("x", np.zeros(500), np.zeros(500), claim=True, allowance=0, seed_variance=0)
    assert solves(none)  # at most 0.7 %
    assert not solves(none, 8)  # at most 1.1 %


def test_the_null_that_is_most_in_the_way_is_named():
    made = sample_pairs.bet
    pairs = [made(0.3, 0.26, n=500, null="far"), made(0.29, 0.26, n=500, null="near")]
    found = judge_gain(pairs, 0.10)
    assert (found.verdict, found.null) == ("inconclusive", "near")


def test_near_copies_and_told_places_are_named():
    leak = measured("data.near_leaks", 0.01, 0.01, 0.01, unit="fraction")
    (found,) = judge([leak], one_limit("data.near_leaks", at_most=0.001))
    assert headline([found], [leak]).startswith("Near copies of training images stand")
    weak = bet(0.3, 0.3, name="accuracy_gap.gain.coordconv-9")
    assert "patches and is told where each lies makes as few errors" in head(weak)


def test_the_gain_is_named_before_other_limits():
    weak = bet(0.3, 0.3)
    low = measured("accuracy_gap.accuracy.subject", 0.7, 0.69, 0.71, "fraction")
    limits = tuple(
        Limit(name=m.name, measure=m.name, comparator="at_least", bound=bound, severity="gate")
        for m, bound in ((low, 0.9), (weak, 0.1))
    )
    said = headline(judge([weak, low], Policy(limits=limits)), [weak, low])
    assert said.startswith("A model that sees only 9×9-pixel patches makes")
    assert said.endswith("Failed, too: accuracy_gap.accuracy.subject.")
