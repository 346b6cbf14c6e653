"""Shares, means over images and their intervals: closed forms, and nothing without images."""

import math

import numpy as np
import pytest
from scipy import stats as reference

from audit.stats.intervals import (
    block_jackknife,
    clopper_pearson,
    crossing,
    effective_count,
    group_ids,
    kappa,
    mcnemar,
    paired_difference,
    proportion_interval,
    simultaneous_quantile,
)
from tests.samples.pairs import independent

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


@pytest.mark.parametrize("names", [[7, 3, 7, 9], [-5, 2**40, -5, 0], ["b", "a", "b", "c"]])
def test_groups_may_have_any_names(names):
    ids, count = group_ids(names, 4)
    assert count == 3
    assert (ids[0] == ids[2], len(set(ids.tolist())), ids.max()) == (True, 3, 2)
    with pytest.raises(ValueError, match="4 group labels for 5"):
        group_ids(names, 5)


def test_effective_count_by_hand():
    even = np.full(6, 1 / 6)
    assert effective_count(None, even) == pytest.approx(6)
    assert effective_count([0, 0, 0, 1, 2, 3], even) == pytest.approx(36 / 12)  # n^2 / sum n_g^2
    assert effective_count(None, np.array([0.5, 0.5, 0, 0, 0, 0])) == pytest.approx(2)


def test_crossing_finds_a_root_from_either_side():
    assert crossing(lambda x: x**3 - 2, 0, 5) == pytest.approx(2 ** (1 / 3), abs=1e-13)
    assert crossing(lambda x: 1 - x, 3, -9) == pytest.approx(1, abs=1e-13)
    assert crossing(lambda x: -1.0, 0, 5) == 5  # it never becomes positive
    assert crossing(lambda x: 1.0, 0, 5) == 0  # it is so from the beginning
    assert crossing(lambda x: math.nan, 0, 5) == 5
