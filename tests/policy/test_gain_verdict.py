"""The verdict on the gain: it fails closed, and agrees with numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats as reference

from audit.policy.gain_verdict import fails_early, holm, judge_gain, p_fail, p_pass, solves
from audit.stats.paired import missing_pair
from tests.samples.pairs import bet, pair_of, wrong


def test_a_good_subject_passes():
    found = judge_gain([bet(0.3, 0.15), bet(0.4, 0.15, null="prior")], 0.10)
    assert (found.verdict, found.reason, found.null) == ("pass", "", "bagnet-9")
    assert max(found.p_pass.values()) < 1e-6


def test_a_bad_subject_fails():
    found = judge_gain([bet(0.3, 0.3), bet(0.4, 0.3, null="prior")], 0.10)
    assert (found.verdict, found.reason, found.null) == ("fail", "CAUSE_UNKNOWN", "bagnet-9")


def test_a_fail_lies_with_the_data_where_the_sighted_twin_fails_too():
    pairs, twin = [bet(0.3, 0.3)], bet(0.3, 0.31)
    assert judge_gain(pairs, 0.10, twins=[twin]).reason == "DATA_LOCAL"
    assert judge_gain(pairs, 0.10, twins=[bet(0.3, 0.1)]).reason == "SUBJECT_WEAK"
    starved = twin.model_copy(update={"status": "failed"})
    assert judge_gain(pairs, 0.10, twins=[starved]).reason == "SUBJECT_WEAK"


@pytest.mark.parametrize("subject", [0.0, 0.0001, 0.001, 0.3])
@pytest.mark.parametrize("n", [50, 300, 10_000])
def test_nothing_passes_a_perfect_null(subject, n):
    assert (
        judge_gain([bet(0.0, subject, n=n), bet(0.3, subject, n, "prior")], 0.1).verdict != "pass"
    )


def test_solved_data_fail_whatever_the_subject():
    for subject in (0.0, 0.0005, 0.2):
        found = judge_gain([bet(0.001, subject)], 0.10)
        assert (found.verdict, found.reason) == ("fail", "DATA_LOCAL")


@pytest.mark.parametrize("claims", [[], [bet(0.3, 0.1, claim=False)]])
def test_without_a_claim_there_is_no_verdict(claims):
    found = judge_gain(claims, 0.10)
    assert (found.verdict, found.reason) == ("inconclusive", "NO_CLAIM_RUNG")


def test_one_missing_null_prevents_a_pass_but_not_a_fail():
    gone = missing_pair("stack", claim=True, note="crashed")
    found = judge_gain([bet(0.3, 0.1), gone], 0.10)
    assert (found.verdict, found.reason, found.null) == ("inconclusive", "NOT_MEASURED", "stack")
    assert judge_gain([bet(0.3, 0.4), gone], 0.10).verdict == "fail"


@pytest.mark.parametrize("more", [{"failed": True}, {"allowance": 0.5}, {"allowance": math.nan}])
def test_a_failed_or_starved_null_prevents_a_pass_but_not_a_fail(more):
    found = judge_gain([bet(0.3, 0.1, **more)], 0.10)
    assert (found.verdict, found.reason) == ("inconclusive", "WEAK_NULL")
    assert judge_gain([bet(0.3, 0.4, **more)], 0.10).verdict == "fail"


def test_holm_adjusts_a_fail_for_the_number_of_nulls():
    close = bet(0.3, 0.29, n=1000)  # alone a fail, one of eight not
    assert 0.025 / 8 < p_fail(close, 0.18) < 0.025
    assert judge_gain([close], 0.18).verdict == "fail"
    others = [bet(0.6, 0.29, n=1000, null=f"easy-{i}") for i in range(7)]
    assert judge_gain([close, *others], 0.18).verdict == "inconclusive"


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06}
    )


def test_equal_names_are_refused():
    with pytest.raises(ValueError, match="differ"):
        judge_gain([bet(0.3, 0.2), bet(0.3, 0.2)], 0.10)


def test_p_values_by_hand():
    """m = 0.9 * 0.3 - 0.2, V = (0.81 * 0.21 + 0.16) / 10,000 for independent errors."""
    one = bet(0.3, 0.2).model_copy(update={"covariance": 0.0})
    t = 0.07 / math.sqrt((0.81 * 0.21 + 0.16) / 9999)
    assert p_pass(one, 0.1) == pytest.approx(reference.t.sf(t, 60), rel=1e-6)
    allowed = one.model_copy(update={"allowance": 0.07 / 0.9})
    assert p_pass(allowed, 0.1) == pytest.approx(0.5)
    assert p_fail(allowed, 0.1) == pytest.approx(reference.t.cdf(t, 60))


def test_degrees_of_freedom_lie_between_those_of_images_and_seeds():
    """1 / df is the mean of 1 / 60 and 1 / 4, weighted by the shares of the variance."""
    one = bet(0.3, 0.2).model_copy(update={"seed_variance": 1e-5, "seeds": 3, "df": 4.0})
    image = 0.81 * one.var_null + one.var_subject - 1.8 * one.covariance
    seed = 0.81 * 1e-5 / 3
    df = (image + seed) / (image / 60 + seed / 4)
    assert p_pass(one, 0.1) == pytest.approx(reference.t.sf(0.07 / math.sqrt(image + seed), df))


def test_a_null_whose_seeds_spread_may_not_have_solved_the_data():
    nulls = np.stack([wrong(share, 10_000) for share in (0.001, 0.003, 0.012)])
    subject = wrong(0.0, 10_000)
    assert not solves(pair_of("x", subject, nulls, claim=True, allowance=0))
    assert solves(pair_of("x", subject, nulls[:2].repeat(2, 0), claim=True, allowance=0))


def test_a_fail_says_what_to_do():
    pairs = [bet(0.3, 0.3)]
    assert "stop_at_fail=false" in judge_gain(pairs, 0.1).explanation
    starved = judge_gain(pairs, 0.1, twins=[bet(0.3, 0.1, allowance=0.3)]).explanation
    assert starved.endswith("Train the model longer, otherwise or on more images.")
    able = judge_gain(pairs, 0.1, twins=[bet(0.3, 0.1)]).explanation
    assert "so the data allow it" in able
    unable = judge_gain(pairs, 0.1, twins=[bet(0.3, 0.31)]).explanation
    assert "it lies with the data" in unable


def test_an_early_look_asks_one_null_that_training_images_chose_whether_it_solves_the_data():
    pairs = [bet(0.0, 0.0, n=620), *(bet(0.2, 0.0, n=620, null=f"n{i}") for i in range(6))]
    best = pairs[0].null
    assert fails_early(pairs, 0.1, 0.0025, best)
    assert not fails_early(pairs, 0.1, 0.0025, "n1")
    assert not fails_early([bet(0.0, 0.0, n=580), *pairs[1:]], 0.1, 0.0025, best)
    assert not fails_early([], 0.1, 0.0025, "")
    many = [bet(0.2, 0.0, n=620, null=f"m{i}") for i in range(20)]  # the verdict would not agree
    assert not fails_early([*pairs, *many], 0.1, 0.0025, best)
