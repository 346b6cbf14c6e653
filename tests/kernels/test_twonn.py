"""TwoNN: closed forms, known manifolds, invariances, refusals."""

import math

import numpy as np
import pytest
import torch

from audit.kernels import twonn
from audit.kernels.estimators import gride, two_nn
from audit.kernels.neighbours import nearest
from audit.kernels.twonn import intrinsic_dimension, log_ratio, mean_of


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def log_mu(x):
    r1, r2 = nearest(x, 2).distances.T
    return (r2 / r1).log().numpy()


def pareto(d, n, seed):
    return np.random.default_rng(seed).exponential(1 / d, n)


@pytest.mark.parametrize(("method", "kept"), [("mle", 1.0), ("censored", 0.9)])
def test_exact_ratios_give_the_dimension_without_bias(method, kept):
    """log mu ~ Exp(7): mean 7, standard deviation 7 / sqrt(n - 2) with n ratios kept."""
    values = [two_nn(pareto(7, 500, seed), method) for seed in range(400)]

    sd = 7 / math.sqrt(500 * kept - 2)
    assert np.mean(values) == pytest.approx(7, abs=4 * sd / 20)
    assert np.std(values) == pytest.approx(sd, rel=0.15)


def test_line_fit_is_near():
    assert np.mean([two_nn(pareto(7, 500, s), "fit") for s in range(100)]) == pytest.approx(7, 0.02)


def test_estimators_by_hand():
    logs = np.log([2.0, 2.0, 4.0, 1000.0])  # three of four kept; the last counts as 4
    assert two_nn(logs, "censored", 0.25) == pytest.approx(2 / (6 * math.log(2)))
    assert two_nn(logs[:3], "mle") == pytest.approx(2 / (4 * math.log(2)))
    # -log(1 - F) at 1/4, 2/4 against log 2, log 2: half discarded
    expected = (-math.log(0.75) - math.log(0.5)) * math.log(2) / (2 * math.log(2) ** 2)
    assert two_nn(logs, "fit", 0.5) == pytest.approx(expected)


def test_values_of_dadapy_and_scikit_dimension():
    """Made with DADApy 0.3.1 and scikit-dimension 0.5.0; see tests/test_peers.py."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((600, 12)))
    logs = log_mu(x)

    assert two_nn(logs, "fit") == pytest.approx(10.7267797696, rel=1e-8)
    assert two_nn(logs, "mle") == pytest.approx(10.5802112142, rel=1e-8)
    assert two_nn(logs) == pytest.approx(10.6004525309, rel=1e-8)


def test_one_huge_ratio_hardly_moves_the_default():
    logs = pareto(7, 500, 0)
    spoiled = np.append(logs[:-1], 1e3)

    assert two_nn(spoiled) == pytest.approx(two_nn(logs), rel=0.01)
    assert two_nn(spoiled, "mle") < 1


@pytest.mark.parametrize(("n1", "sd"), [(1, 0.159), (2, 0.112), (8, 0.049)])
def test_gride_recovers_seven(n1, sd):
    """Exact sampler: mu = (Gamma(n1) / Gamma(n1) + 1)^(1 / d)."""
    rng = np.random.default_rng(0)
    draws = [np.log(rng.gamma(n1, size=2000) / rng.gamma(n1, size=2000) + 1) for _ in range(60)]
    values = [gride(logs / 7, n1) for logs in draws]

    assert np.mean(values) == pytest.approx(7, abs=4 * sd / math.sqrt(60))
    assert np.std(values) == pytest.approx(sd, rel=0.35)


def test_flat_torus_has_two_dimensions_at_every_scale():
    angles = 2 * math.pi * uniform(2000, 2)
    found = intrinsic_dimension(torch.cat([angles.cos(), angles.sin()], 1))

    assert found.low < 2 < found.high
    assert found.second == pytest.approx(2, abs=0.15)
    assert [point.n for point in found.curve] == [2000, 1000, 500, 250]
    assert all(point.value == pytest.approx(2, abs=0.15) for point in found.curve)


@pytest.mark.parametrize(("d", "mean", "sd"), [(2, 1.97, 0.12), (10, 8.38, 0.5), (20, 14.95, 0.9)])
def test_cubes_read_low_by_the_known_bias(d, mean, sd):
    """Means of 200 draws of 500 points, by the plain estimate (REFERENCE: cubes are worse)."""
    values = [two_nn(log_mu(uniform(500, d, seed=s)), "mle") for s in range(8)]

    assert np.mean(values) == pytest.approx(mean, abs=4 * sd / math.sqrt(8))


@pytest.mark.parametrize("d", range(1, 21))
def test_hypercubes_of_one_to_twenty_dimensions(d):
    """2,000 points read d, less what the edges take (measured: 1 % at 2, a quarter at 20)."""
    cube = torch.nn.functional.pad(uniform(2000, d, seed=d), (0, 5))
    value, sd = two_nn(log_mu(cube)), d / math.sqrt(1800)

    assert 0.987**d * d - 4 * sd < value < d + 4 * sd


def swiss_roll(n, noise=0.0):
    """A rolled-up sheet, in 10 dimensions, with noise in all of them."""
    angle, height = 1.5 * math.pi * (1 + 2 * uniform(n)), 21 * uniform(n, seed=1)
    roll = torch.stack([angle * angle.cos(), height, angle * angle.sin()], 1)
    return torch.nn.functional.pad(roll, (0, 7)) + noise * normal(n, 10, seed=2)


def test_a_swiss_roll_has_two_dimensions():
    found = intrinsic_dimension(swiss_roll(3000))

    assert found.value == pytest.approx(2, abs=0.12)
    assert found.second == pytest.approx(2, abs=0.12)


def test_noise_is_seen_at_small_scales_and_decimation_looks_beyond():
    found = intrinsic_dimension(swiss_roll(3000, noise=0.2))
    values = [point.value for point in found.curve]

    assert values == sorted(values, reverse=True)
    assert values[0] > 1.3 * values[-1] > 2
    assert found.second < found.value


def test_decimation_agrees_with_fewer_points_from_the_start():
    """The mean over disjoint parts of 250 is what clouds of 250 points read."""
    at_250 = twonn.scale_curve(normal(2000, 10), (0.125,))[0]
    fresh = [two_nn(log_mu(normal(250, 10, seed=s + 1))) for s in range(16)]

    assert at_250.n == 250
    assert at_250.value == pytest.approx(np.mean(fresh), rel=0.08)


def test_rounding_is_no_direction():
    """A grid on a line, bent into 64 float32 coordinates: rounding alone spans the other 63."""
    steps = torch.arange(400.0)[:, None] + 0.01 * uniform(400, 1)
    found = intrinsic_dimension(steps @ normal(1, 64))

    assert "span 1 dimensions" in found.reason


def test_rotation_scale_and_place_change_nothing():
    x = normal(400, 5).double()
    turn = torch.linalg.qr(normal(5, 5, seed=3).double()).Q
    before, after = intrinsic_dimension(x), intrinsic_dimension(1e3 * x @ turn + 7)

    assert after.value == pytest.approx(before.value, rel=1e-9)
    assert after.low == pytest.approx(before.low, rel=1e-9)


def test_duplicates_are_merged_in_order():
    x = normal(100, 3)

    assert torch.equal(twonn._first_of_equals(torch.cat([x, x[10:20]])), torch.arange(100))


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_copies_up_to_rounding_change_nothing_but_the_count(noise):
    x = normal(500, 5)
    copied = torch.cat([x, x[:50] + noise * normal(50, 5, seed=4)])
    clean, found = intrinsic_dimension(x), intrinsic_dimension(copied)

    assert (found.n, found.duplicates) == (500, 50)
    assert found.value == clean.value


GRID = torch.cartesian_prod(torch.arange(20.0), torch.arange(20.0))
REFUSED = {
    "30 distinct points are too few": normal(30, 3),
    "features are constant": torch.ones(300, 3),
    "not finite": torch.full((300, 3), math.inf),
    "50% of the points are copies": normal(60, 4).repeat(2, 1),
    "equally far": GRID,
    "or there are none": torch.empty(0, 3),
    "span 1 dimensions": torch.arange(400.0)[:, None] + 0.01 * uniform(400, 1),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_degenerate_clouds_are_refused_with_a_reason(reason):
    found = intrinsic_dimension(REFUSED[reason])

    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert reason in found.reason


def test_interval_covers_the_mean_of_many_draws():
    """Nominal 95 %; 40 draws: fewer than 34 hits once in 100 runs."""
    found = [intrinsic_dimension(normal(300, 5, seed=s), fractions=()) for s in range(40)]
    mean = np.exp(np.mean([math.log(f.value) for f in found]))
    hits = sum(f.low <= mean <= f.high for f in found)

    assert hits >= 34
    assert all(1.1 < f.high / f.low < 2 for f in found)


def ratio_of(a, b):
    return log_ratio(*(intrinsic_dimension(x, fractions=()) for x in (a, b)))


def test_log_ratio_of_twice_the_dimensions():
    ratio, low, high = ratio_of(normal(600, 4), normal(600, 2, seed=1))

    assert low < math.log(2) < high
    assert 0.2 < ratio < 1


def test_log_ratio_is_paired_and_antisymmetric():
    x = normal(400, 6)
    assert ratio_of(x, 2 * x) == pytest.approx((0, 0, 0), abs=1e-9)
    ab, ba = ratio_of(x, x.tanh()), ratio_of(x.tanh(), x)
    assert ab == pytest.approx((-ba[0], -ba[2], -ba[1]))
    assert all(map(math.isnan, ratio_of(x, torch.zeros(400, 6))))
    with pytest.raises(ValueError, match="not paired"):
        ratio_of(x, normal(300, 6))


def test_an_estimate_that_was_refused_has_no_ratio():
    """A jittered plane in ten dimensions has linear rank 2 and a larger estimate."""
    side = torch.arange(20.0)
    flat = torch.cartesian_prod(side, side) @ torch.eye(2, 10)
    grid = flat + 1e-4 * normal(400, 2) @ torch.eye(2, 10)
    assert "span 2 dimensions" in intrinsic_dimension(grid).reason
    assert all(map(math.isnan, ratio_of(normal(400, 10), grid)))


def test_decimation_needs_enough_points():
    sizes = [point.n for point in twonn.scale_curve(normal(200, 3), (1.0, 0.5, 0.1))]
    assert sizes == [200, 100]


def test_a_ratio_to_several_networks_is_wider_by_their_spread():
    own = intrinsic_dimension(normal(400, 6, seed=9), fractions=())
    flat, deep = (intrinsic_dimension(normal(400, d, seed=3), fractions=()) for d in (3, 12))
    one, alike, apart = mean_of([flat]), mean_of([flat] * 3), mean_of([flat, deep, deep])

    assert one is flat
    assert log_ratio(own, alike) == pytest.approx(log_ratio(own, one))
    value, low, high = log_ratio(own, apart)
    logs = [math.log(d.value) for d in (flat, deep, deep)]
    assert value == pytest.approx(math.log(own.value) - np.mean(logs))
    by_draws = 4.303 * np.std(logs, ddof=1) / math.sqrt(3)  # t with two degrees of freedom
    assert (high - low) / 2 == pytest.approx(by_draws, rel=0.15)
    assert math.log(apart.high / apart.value) == pytest.approx(by_draws, rel=0.15)


def test_networks_of_which_one_has_no_dimension_have_none():
    known, none = (intrinsic_dimension(x) for x in (normal(400, 4), torch.zeros(400, 4)))
    found = mean_of([known, none, known])

    assert math.isnan(found.value)
    assert found.reason.startswith("One of 3 networks: All points are equal")
