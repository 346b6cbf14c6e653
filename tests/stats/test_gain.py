"""Gap and gain with their intervals, which agree with the verdict to the last digit."""

import math

import numpy as np
import pytest

from audit.policy.gain_verdict import p_fail, p_pass
from audit.stats.gain import gain_interval, gap_interval
from audit.stats.intervals import paired_difference
from audit.stats.paired import missing_pair
from tests.samples.pairs import bet, independent, pair_of


def test_gap_interval_is_the_paired_interval():
    a, b = independent(0.3, 400, 0), independent(0.2, 400, 1)
    found = gap_interval(pair_of("x", b, a, claim=True, allowance=0, seed_variance=0))

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
    one = pair_of("x", independent(0.2, 4000, 9), nulls, claim=True, allowance=0)
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
        low, high = gain_interval(pair_of("x", subject, nulls, claim=True, allowance=0))[1:]
        hits += low <= 1 / 3 <= high
    assert hits / 250 >= 0.92


def test_the_gain_of_a_subject_without_errors_ends_at_one():
    gain, low, high = gain_interval(bet(0.3, 0.0, n=1000))
    assert (gain, high) == (1, 1)
    assert 0.98 < low < 1
