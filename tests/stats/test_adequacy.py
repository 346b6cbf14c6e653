"""Whether a null was trained well enough to be believed."""

import math

import pytest

from audit.stats.adequacy import adequacy, nesting_violations
from tests.samples.pairs import wrong


def test_adequacy_by_hand():
    found = adequacy(
        0.60, 0.66, 0.67, discordant_share=0.08, n_heldout=2000, seed_variance=3e-5, seeds=3
    )
    se = math.sqrt(0.08 / 2000 + 2e-5)
    assert found[:3] == pytest.approx((0.01, se, 3 * (0.01 + 1.645 * se)))
    assert not found.adequate
    assert found.decay == pytest.approx(1 / 6)


def test_a_null_that_no_longer_climbs_is_adequate():
    found = adequacy(
        0.6, 0.67, 0.665, discordant_share=0.05, n_heldout=2000, seed_variance=0, seeds=3
    )
    assert found.adequate
    assert found.allowance == pytest.approx(3 * 1.645 * 0.005)


def test_both_steps_bound_what_is_left_where_the_last_is_noisy():
    found = adequacy(
        0.66, 0.665, 0.67, discordant_share=0.08, n_heldout=2000, seed_variance=3e-5, seeds=3
    )
    assert found.allowance == pytest.approx(9 / 7 * (0.01 + 1.645 * 1.25 * found.se))


def test_a_power_law_with_exponent_0_415_is_bounded_exactly():
    """Steps that shrink by 3/4, without noise: U is all that is left, by either bound."""
    quarter, half, full = (0.7 - 0.12 * 0.75**k for k in (0, 1, 2))
    assert adequacy(quarter, half, full, 0, 2000, 0, 3).allowance == pytest.approx(0.7 - full)


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


def test_a_curve_that_falls_leaves_at_least_its_fall_open():
    """The half budget made a stronger null than the whole: that much is known to be missing."""
    assert adequacy(0.62, 0.66, 0.60, 0.05, 2000, 1e-6, 3).allowance > 0.06
    by_chance = adequacy(0.66, 0.66, 0.655, 0.05, 2000, 0, 3)  # SE is half a point
    assert by_chance.allowance == pytest.approx(9 / 7 * 1.645 * 1.25 * 0.005)


def test_a_curve_that_has_hardly_begun_has_no_bound():
    """Steps that do not shrink: their sum is no bound on what more training would add."""
    assert adequacy(0.40, 0.47, 0.54, 0.1, 5000, 1e-6, 3).allowance == math.inf
    assert adequacy(0.40, 0.50, 0.54, 0.1, 5000, 1e-6, 3).allowance < 0.2
    assert adequacy(0.54, 0.54, 0.541, 0.1, 5000, 1e-6, 3).allowance < 0.03
