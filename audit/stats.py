"""What is known of the gap and the gain, and whether a null was trained well enough.

What the numbers mean for a limit is decided in `audit.verdict`. The records of `audit.pairs` and
the general statistics of `audit.intervals` can be had from here.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.intervals import (
    IMAGE_DF,
    Array,
    block_jackknife,
    clopper_pearson,
    floor_variance,
    jackknife_error,
    kappa,
    mcnemar,
    paired_difference,
    proportion_interval,
    quantile,
    simultaneous_quantile,
)
from audit.pairs import (
    ASSUMED_SEED_VARIANCE,
    Pair,
    missing_pair,
    pair,
    pooled_seed_variance,
)

__all__ = [
    "ASSUMED_SEED_VARIANCE",
    "Adequacy",
    "Pair",
    "Violation",
    "adequacy",
    "balanced_weights",
    "block_jackknife",
    "clopper_pearson",
    "gain_interval",
    "gap_interval",
    "jackknife_error",
    "kappa",
    "mcnemar",
    "mean_and_variance",
    "missing_pair",
    "needs_balanced",
    "nesting_violations",
    "pair",
    "paired_difference",
    "pooled_seed_variance",
    "proportion_interval",
    "quantile",
    "simultaneous_quantile",
]

STEADY = 0.75  # ratio of two steps up to which the factor of U bounds what follows
ADEQUATE = 0.03  # largest allowance of an adequate null
NESTING_TOLERANCE = 0.01  # a smaller shortfall is no sign of a failed training


def mean_and_variance(pair: Pair, g: float) -> tuple[float, float, float]:
    """Mean of w = (1 - g) * e_null - e_subject, its variance, and the degrees of freedom.

    Steps 2 to 4 of the verdict. V = V_img + (1 - g)^2 * tau^2 / S. Where hardly an image tells
    the two apart, V_img is that of two discordant groups.

    Args:
        pair: What was measured.
        g: Gain that is asked for, below 1.

    Returns:
        m, V and the degrees of freedom of Student's t: those of the seeds if the seed term
        exceeds V_img, else 60 or groups - 1, whichever is less.
    """
    h = 1 - g
    mean = h * pair.error_null - pair.error_subject
    image = h * h * pair.var_null + pair.var_subject - 2 * h * pair.covariance
    image = max(image, floor_variance(min(pair.groups, pair.effective)))
    seed = h * h * pair.seed_variance / max(pair.seeds, 1)
    df = min(IMAGE_DF, pair.groups - 1)
    return mean, image + seed, max(1.0, min(pair.df, df) if seed > image else df)


def gap_interval(pair: Pair, level: float = 0.95) -> tuple[float, float, float]:
    """accuracy(subject) - accuracy(null) as a fraction, with its interval; NaN if missing."""
    mean, variance, df = mean_and_variance(pair, 0.0)
    if not math.isfinite(mean):
        return math.nan, math.nan, math.nan
    margin = quantile(df, level) * math.sqrt(variance)
    return mean, mean - margin, mean + margin


def gain_interval(pair: Pair, level: float = 0.95) -> tuple[float, float, float]:
    """The share of the null's errors that the subject removes, with its interval.

    The interval holds every g that the two-sided test of m(g) = 0 does not reject (Fieller
    1954), so that it agrees with the verdict to the last digit: its ends are found among the
    roots of the quadratics in 1 - g that bound the test.

    Returns:
        Gain, low, high. At most 1; low is -inf where no gain is too small to be excluded. NaN
        if the null makes no errors or is missing.
    """
    if not (math.isfinite(pair.error_null) and pair.error_null > 0):
        return math.nan, math.nan, math.nan
    best = pair.error_subject / pair.error_null  # 1 - gain
    points = sorted({0.0, best, *(h for h in _turning_points(pair, level) if h > 0)})
    spans = [(a, b, (a + b) / 2) for a, b in pairwise(points)]
    spans.append((points[-1], math.inf, 2 * points[-1] + 1))
    kept = [(a, b) for a, b, inside in spans if _not_rejected(pair, inside, level)]
    low, high = min([best, *(a for a, _ in kept)]), max([best, *(b for _, b in kept)])
    return 1 - best, 1 - high, 1 - low


def _not_rejected(pair: Pair, h: float, level: float) -> bool:
    """Whether the two-sided test leaves the gain 1 - h standing."""
    mean, variance, df = mean_and_variance(pair, 1 - h)
    return abs(mean) <= quantile(df, level) * math.sqrt(variance)


def _turning_points(pair: Pair, level: float) -> list[float]:
    """Every h = 1 - g where the test can change its mind: real roots of quadratics in h."""
    floor = floor_variance(min(pair.groups, pair.effective))
    seed = pair.seed_variance / max(pair.seeds, 1)
    image = np.array([pair.var_null, -2 * pair.covariance, pair.var_subject])
    flat, noise = np.array([0.0, 0.0, floor]), np.array([seed, 0.0, 0.0])
    square = np.array(
        [pair.error_null**2, -2 * pair.error_null * pair.error_subject, pair.error_subject**2]
    )
    df = max(1.0, min(IMAGE_DF, pair.groups - 1))
    polynomials = [image - flat, noise - image, noise - flat]
    for t in (quantile(df, level), quantile(min(df, pair.df), level)):
        polynomials += [square - t * t * (v + noise) for v in (image, flat)]
    roots = [np.roots(p) for p in polynomials if np.isfinite(p).all()]
    return [float(r.real) for row in roots for r in row if abs(r.imag) <= 1e-9 * (1 + abs(r))]


class Adequacy(NamedTuple):
    """Whether a null had enough training.

    Attributes:
        delta: Accuracy at the whole budget less that at half of it, a fraction.
        se: Its standard error.
        allowance: U, the accuracy that more training might still add (upper bound).
        adequate: Whether U is at most 3 points.
        decay: delta over the step before it; above 3/4 the factor of U bounds no power law.
            NaN where the step before was not positive.
    """

    delta: float
    se: float
    allowance: float
    adequate: bool
    decay: float


def adequacy(
    a_quarter: float,
    a_half: float,
    a_full: float,
    discordant_share: float,
    n_heldout: int,
    tau2: float,
    seeds: int,
) -> Adequacy:
    """How much accuracy a larger training budget could still add (docs/verdict.md).

    U = 3 * max(0, delta) + 1.645 * SE(delta), SE^2 = discordant share / n_heldout + 2 tau^2 / S.
    The factor 3 = 1 / (4/3 - 1) sums all later doublings of a power law with exponent 0.415.

    Args:
        a_quarter: Accuracy on held-out images at a quarter of the budget.
        a_half: At half of it.
        a_full: At the whole.
        discordant_share: Share of held-out images on which half and whole disagree in being
            right.
        n_heldout: Held-out images.
        tau2: Variance over seeds of one seed's accuracy.
        seeds: S.

    Returns:
        NaN and an infinite allowance where anything was not measured; an infinite allowance, too,
        where the curve clearly climbs and its last step is more than 3/4 of the one before: it has
        hardly begun.
    """
    delta, before = a_full - a_half, a_half - a_quarter
    known = math.isfinite(delta) and math.isfinite(discordant_share + tau2)
    if not known or n_heldout < 1 or seeds < 1 or discordant_share < 0 or tau2 < 0:
        return Adequacy(math.nan, math.nan, math.inf, False, math.nan)
    se = math.sqrt(discordant_share / n_heldout + 2 * tau2 / seeds)
    allowance = 3 * max(0.0, delta) + 1.645 * se
    decay = delta / before if before > 0 else math.nan
    climbing = delta > 1.645 * math.sqrt(discordant_share / n_heldout)
    if climbing and not decay <= STEADY:
        allowance = math.inf  # the steps do not shrink: no sum of them is a bound
    return Adequacy(delta, se, allowance, allowance <= ADEQUATE, decay)


class Violation(NamedTuple):
    """A null that is worse than one that sees less: `upper` was not trained properly.

    Attributes:
        lower: The blinder null.
        upper: The null that sees at least as much.
        difference: accuracy(lower) - accuracy(upper), a fraction.
        low: Lower end of its 95 % interval, above 0.
    """

    lower: str
    upper: str
    difference: float
    low: float


def nesting_violations(
    order: Sequence[tuple[str, str]],
    errors: Mapping[str, ArrayLike],
    groups: ArrayLike | None = None,
    *,
    seed_variance: float = 0.0,
) -> tuple[Violation, ...]:
    """Where a null falls short of a blinder one by more than 1 point and its interval.

    Args:
        order: (blinder, less blind) names; pairs with a null that is not in `errors` are left
            out.
        errors: (S, n) of each null on the same images.
        groups: (n,) or None.
        seed_variance: tau^2 of a trained null. Nulls with one row are taken as trained too.
    """
    broken = []
    for lower, upper in order:
        if lower not in errors or upper not in errors:
            continue
        better, worse = (np.atleast_2d(np.asarray(errors[k], dtype=float)) for k in (lower, upper))
        extra = seed_variance / len(better) + seed_variance / len(worse)
        difference, low, _ = paired_difference(worse, better, groups, extra_variance=extra)
        if difference > NESTING_TOLERANCE and low > 0:
            broken.append(Violation(lower, upper, difference, low))
    return tuple(broken)


def needs_balanced(labels: ArrayLike, n_classes: int) -> bool:
    """Whether plain accuracy may flatter: one share above 2 / C, or counts threefold apart.

    Args:
        labels: (n,) integers in [0, n_classes).
        n_classes: C. A class without images counts as imbalance.
    """
    counts = np.bincount(np.asarray(labels, dtype=int), minlength=n_classes)
    return bool(counts.max() > 2 * counts.sum() / n_classes or counts.max() > 3 * counts.min())


def balanced_weights(labels: ArrayLike) -> Array:
    """(n,) weights with which the mean error is the mean of the class errors; they sum to 1."""
    _, ids, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(counts) * counts[ids.reshape(-1)]), dtype=float)
