"""Whether a null was trained well enough to be believed."""

import math

import pytest
from sample_pairs import wrong

from audit.stats import adequacy, nesting_violations


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
