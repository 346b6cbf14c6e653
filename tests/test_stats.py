"""Intervals, pairs and the verdict on the gain: closed forms, simulations, failing closed."""

import math

import numpy as np
import pytest
from scipy import stats as reference

from audit.stats import (
    ASSUMED_SEED_VARIANCE,
    Pair,
    adequacy,
    balanced_weights,
    block_jackknife,
    clopper_pearson,
    gain_interval,
    gap_interval,
    kappa,
    mcnemar,
    missing_pair,
    needs_balanced,
    nesting_violations,
    pair,
    paired_difference,
    pooled_seed_variance,
    proportion_interval,
    simultaneous_quantile,
)
from audit.verdict import holm, judge_gain, p_fail, p_pass


def wrong(share, n):
    """Errors on the first share of n images: nested, so that a harder model errs on more."""
    return (np.arange(n) < round(share * n)).astype(float)


def independent(share, n, seed):
    return (np.random.default_rng(seed).random(n) < share).astype(float)


def bet(null_error, subject_error, n=10_000, null="bagnet-9", allowance=0.0, **more):
    """A pair with independent errors of exactly these shares, and no seed spread."""
    subject = np.random.default_rng(1).permutation(wrong(subject_error, n))
    more = {"claim": True, "seed_variance": 0.0, **more}
    return pair(null, subject, wrong(null_error, n), allowance=allowance, **more)


# Shares


def test_wilson_by_hand():
    low, high = proportion_interval(0, 10)
    assert (low, high) == pytest.approx((0, 1.959964**2 / (10 + 1.959964**2)))
    assert proportion_interval(5, 10)[0] == pytest.approx(1 - proportion_interval(5, 10)[1])


@pytest.mark.parametrize(("k", "n"), [(0, 50), (3, 50), (50, 50)])
def test_clopper_pearson_equals_scipy(k, n):
    expected = reference.binomtest(k, n).proportion_ci(method="exact")
    assert clopper_pearson(k, n) == pytest.approx((expected.low, expected.high))


def test_shares_of_nothing_are_unknown():
    assert all(map(math.isnan, (*proportion_interval(0, 0), *clopper_pearson(0, 0))))


def test_mcnemar_is_the_sign_test_on_discordant_images():
    a, b = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1]), np.array([0, 0, 0, 0, 0, 0, 1, 0, 1])
    assert mcnemar(a, b) == pytest.approx(2 * (1 + 7) / 2**7)
    assert mcnemar(a, a) == 1


def test_kappa_by_hand():
    a, b = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])
    assert kappa(a, b) == 0  # half agree, as chance has it
    assert kappa(a, a) == 1
    assert kappa(a, 1 - a) == -1
    assert math.isnan(kappa(np.zeros(4), np.zeros(4)))


# Means over images


def test_difference_of_single_images_is_the_paired_t_interval():
    a, b = independent(0.3, 50, 0), independent(0.2, 50, 1)
    expected = reference.ttest_rel(a, b).confidence_interval()

    assert paired_difference(a, b)[1:] == pytest.approx((expected.low, expected.high))


def test_copies_of_images_add_no_certainty():
    a, b = independent(0.3, 50, 0), independent(0.2, 50, 1)
    once = paired_difference(a, b)
    copied = paired_difference(a.repeat(4), b.repeat(4), np.arange(50).repeat(4))

    assert copied == pytest.approx(once)
    assert np.diff(paired_difference(a.repeat(4), b.repeat(4))[1:]) < 0.6 * np.diff(once[1:])


def test_full_agreement_is_not_certainty():
    _, low, high = paired_difference(np.zeros(100), np.zeros(100))
    assert high == -low == pytest.approx(2 / 100 * reference.t.ppf(0.975, 60))
    assert math.isnan(paired_difference(np.ones(5), np.zeros(5), np.zeros(5))[1])


def test_simultaneous_quantile_is_bonferroni():
    assert simultaneous_quantile(4, 30) == pytest.approx(reference.t.ppf(1 - 0.025 / 4, 30))


def test_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).normal(size=1000)
    value, se = block_jackknife(lambda index: x[index].mean(), 1000, blocks=1000)

    assert value == pytest.approx(x.mean())
    assert se == pytest.approx(x.std(ddof=1) / math.sqrt(1000))


def test_jackknife_keeps_groups_together():
    groups = np.arange(30).repeat(3)
    seen = []
    block_jackknife(lambda index: seen.append(index) or 0.0, 90, 10, groups=groups)

    assert all(np.isin(groups, groups[index]).sum() == len(index) for index in seen)
    assert sum(90 - len(index) for index in seen) == 90


# Pairs


def test_pair_survives_storage_as_floats():
    kept = bet(0.3, 0.2, allowance=0.01, failed=False)
    assert Pair.from_detail("bagnet-9", kept.to_detail()) == kept
    failed = bet(0.3, 0.2, failed=True)
    assert all(map(math.isfinite, failed.to_detail().values()))
    assert Pair.from_detail("bagnet-9", failed.to_detail()) == failed


@pytest.mark.parametrize(
    "damage",
    [{"error_null": math.nan}, {"status": 7.0}, {"n": 0.0}, {"n": 9.5}, {"var_null": -1.0}],
)
def test_damaged_details_are_missing_pairs(damage):
    found = Pair.from_detail("x", bet(0.3, 0.2).to_detail() | damage)
    assert found.status == "missing"
    assert found.claim


def test_empty_details_and_unknown_allowances_cannot_pass():
    detail = bet(0.3, 0.1).to_detail()
    del detail["allowance"]
    assert p_pass(Pair.from_detail("x", detail), 0.1) == 1
    assert Pair.from_detail("x", {}).status == "missing"


def test_predictions_that_are_not_numbers_make_a_missing_pair():
    broken = pair("x", [0, 1, math.nan], [0, 1, 1], claim=True, allowance=0)
    assert broken.status == "missing"


def test_shapes_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="not paired"):
        pair("x", np.zeros(5), np.zeros((3, 4)), claim=True, allowance=0)


def test_seed_variance_excludes_what_images_explain():
    rng = np.random.default_rng(0)
    level = 0.3 + rng.normal(0, 0.02, (40, 3, 1))
    tables = [*(rng.random((40, 3, 2000)) < level).astype(float)]

    assert math.sqrt(pooled_seed_variance(tables)) == pytest.approx(0.02, rel=0.2)
    flat = [*(rng.random((40, 3, 2000)) < 0.3).astype(float)]
    assert pooled_seed_variance(flat) < 0.5 * 0.21 / 2000  # three deviations of the estimate


def test_seed_variance_of_one_seed_is_assumed_and_said_so():
    one = pair("x", wrong(0.2, 500), wrong(0.3, 500), claim=True, allowance=0)
    assert one.seed_variance == ASSUMED_SEED_VARIANCE == pooled_seed_variance([np.zeros((1, 9))])
    assert "assumed" in one.note
    assert pooled_seed_variance([]) == 0
    assert bet(0.3, 0.2).seed_variance == 0


def test_the_larger_seed_variance_is_used():
    nulls = np.stack([wrong(0.2, 1000), wrong(0.3, 1000), wrong(0.4, 1000)])
    for pooled in (None, 1e-4):
        own = pair("x", wrong(0.1, 1000), nulls, claim=True, allowance=0, seed_variance=pooled)
        assert own.seed_variance == pytest.approx(0.01, rel=0.05)
    more = pair("x", wrong(0.1, 1000), nulls, claim=True, allowance=0, seed_variance=0.5)
    assert more.seed_variance == 0.5


def test_balanced_weights_average_the_classes():
    labels = np.array([0] * 90 + [1] * 10)
    subject = np.where(labels == 0, 0.0, 1.0)
    balanced = pair(
        "x", subject, subject, claim=True, allowance=0, weights=balanced_weights(labels)
    )

    assert balanced.error_subject == pytest.approx(0.5)
    assert balanced.effective == pytest.approx(1 / (0.25 / 90 + 0.25 / 10))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([10, 10, 10], False), ([10, 29], False), ([10, 31], True), ([40, 10, 50, 50], True)],
)
def test_imbalance(counts, expected):
    assert needs_balanced(np.arange(len(counts)).repeat(counts), len(counts)) is expected


def test_a_share_above_twice_the_even_one_is_imbalance():
    assert needs_balanced(np.arange(10).repeat([25, *[10] * 9]), 10)
    assert needs_balanced(np.array([0, 0, 1, 1]), 3)  # a class without images


# Gap and gain


def test_gap_interval_is_the_paired_interval():
    a, b = independent(0.3, 400, 0), independent(0.2, 400, 1)
    found = gap_interval(pair("x", b, a, claim=True, allowance=0, seed_variance=0))

    assert found == pytest.approx(paired_difference(a, b))


def test_gain_interval_ends_where_the_test_rejects():
    """The interval and the verdict agree: at its ends the one-sided p is 0.025."""
    one = bet(0.3, 0.2, n=1000)
    gain, low, high = gain_interval(one)

    assert gain == pytest.approx(1 / 3)
    assert p_pass(one, low) == pytest.approx(0.025, rel=1e-6)
    assert p_fail(one, high) == pytest.approx(0.025, rel=1e-6)


def test_gain_interval_agrees_with_a_scan_when_seeds_dominate():
    nulls = np.stack([independent(p, 4000, i) for i, p in enumerate((0.26, 0.3, 0.35))])
    one = pair("x", independent(0.2, 4000, 9), nulls, claim=True, allowance=0)
    _, low, high = gain_interval(one)
    grid = np.linspace(-3, 0.999, 8001)
    kept = grid[[p_pass(one, g) > 0.025 and p_fail(one, g) > 0.025 for g in grid]]

    assert (low, high) == pytest.approx((kept.min(), kept.max()), abs=1e-3)


def test_gain_over_a_perfect_null_is_no_number():
    assert all(map(math.isnan, gain_interval(bet(0.0, 0.1))))
    assert all(map(math.isnan, gain_interval(missing_pair("x", claim=True))))


def test_gain_over_an_almost_perfect_null_is_unbounded():
    _, low, high = gain_interval(bet(0.002, 0.01, n=1000))
    assert low == -math.inf
    assert high < 1


def test_gain_interval_covers():
    """250 audits of 1,000 images, 3 seeds, spread 1 point: nominal 95 %."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(250):
        hard = rng.random(1000) < 0.4
        nulls = (rng.random((3, 1000)) < 0.75 + rng.normal(0, 0.025, (3, 1))) & hard
        subject = (rng.random(1000) < 0.5) & hard
        low, high = gain_interval(pair("x", subject, nulls, claim=True, allowance=0))[1:]
        hits += low <= 1 / 3 <= high
    assert hits / 250 >= 0.92


# The verdict


def test_a_good_subject_passes():
    found = judge_gain([bet(0.3, 0.15), bet(0.4, 0.15, null="prior")], 0.10)
    assert (found.verdict, found.reason, found.null) == ("pass", "", "bagnet-9")
    assert max(found.p_pass.values()) < 1e-6


def test_a_bad_subject_fails():
    found = judge_gain([bet(0.3, 0.3), bet(0.4, 0.3, null="prior")], 0.10)
    assert (found.verdict, found.reason, found.null) == ("fail", "SUBJECT_WEAK", "bagnet-9")


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


def test_almost_solved_data_leave_no_headroom():
    found = judge_gain([bet(0.02, 0.0, n=1000)], 0.10)
    assert (found.verdict, found.reason) == ("inconclusive", "NO_HEADROOM")
    assert found.more_images == 1500  # 20 errors; 50 at 2,500 images


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


def test_few_images():
    found = judge_gain([bet(0.5, 0.1, n=199)], 0.10)
    assert (found.verdict, found.reason, found.more_images) == ("inconclusive", "FEW_IMAGES", 1)
    grouped = bet(0.5, 0.1, n=1000, groups=np.arange(1000) // 10)
    assert judge_gain([grouped], 0.10).more_images == 1000


def test_the_advised_number_of_images_decides():
    found = judge_gain([bet(0.3, 0.24, n=500)], 0.10)
    assert found.reason == "FEW_IMAGES"
    n = 500 + found.more_images
    assert judge_gain([bet(0.3, 0.24, n=int(1.05 * n))], 0.10).verdict == "pass"
    assert judge_gain([bet(0.3, 0.24, n=int(0.9 * n))], 0.10).verdict == "inconclusive"


def test_few_seeds():
    nulls = np.stack([wrong(0.25, 10_000), wrong(0.35, 10_000)])
    subject = np.random.default_rng(1).permutation(wrong(0.2, 10_000))
    one = pair("x", subject, nulls, claim=True, allowance=0)
    assert judge_gain([one], 0.10).reason == "FEW_SEEDS"


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


def test_seed_degrees_of_freedom_where_seeds_dominate():
    one = bet(0.3, 0.2).model_copy(update={"seed_variance": 0.01, "seeds": 3, "df": 4.0})
    variance = 0.81 * (one.var_null + 0.01 / 3) + one.var_subject - 1.8 * one.covariance
    expected = reference.t.sf(0.07 / math.sqrt(variance), 4)
    assert p_pass(one, 0.1) == pytest.approx(expected)


# Training


def test_adequacy_by_hand():
    found = adequacy(0.60, 0.66, 0.67, discordant_share=0.08, n_heldout=2000, tau2=3e-5, seeds=3)
    se = math.sqrt(0.08 / 2000 + 2e-5)
    assert found[:3] == pytest.approx((0.01, se, 0.03 + 1.645 * se))
    assert not found.adequate
    assert found.decay == pytest.approx(1 / 6)


def test_a_null_that_no_longer_climbs_is_adequate():
    found = adequacy(0.6, 0.67, 0.665, discordant_share=0.05, n_heldout=2000, tau2=0, seeds=3)
    assert found.adequate
    assert found.allowance == pytest.approx(1.645 * 0.005)


def test_unknown_training_is_not_adequate():
    found = adequacy(0.6, math.nan, 0.665, 0.05, 2000, 0, 3)
    assert found.allowance == math.inf
    assert not found.adequate


def test_nesting_broken_by_more_than_a_point_and_its_interval():
    errors = {"prior": wrong(0.5, 2000), "colour": wrong(0.6, 2000), "bagnet": wrong(0.495, 2000)}
    order = [("prior", "colour"), ("bagnet", "prior"), ("prior", "unknown")]
    (broken,) = nesting_violations(order, errors)

    assert (broken.lower, broken.upper) == ("prior", "colour")
    assert broken.difference == pytest.approx(0.1)
    assert nesting_violations(order, errors, seed_variance=0.01) == ()


def test_a_curve_that_has_hardly_begun_has_no_bound():
    """Steps that do not shrink: their sum is no bound on what more training would add."""
    assert adequacy(0.40, 0.47, 0.54, 0.1, 5000, 1e-6, 3).allowance == math.inf
    assert adequacy(0.40, 0.50, 0.54, 0.1, 5000, 1e-6, 3).allowance < 0.2
    assert adequacy(0.54, 0.54, 0.541, 0.1, 5000, 1e-6, 3).allowance < 0.03
