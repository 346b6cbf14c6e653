"""What is known of the gap and the gain, and whether a null was trained well enough.

What the numbers mean for a limit is decided in `audit.verdict`. The records of `audit.pairs` and
the general statistics of `audit.intervals` can be had from here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.intervals import (
    IMAGE_DF,
    Array,
    block_jackknife,
    clopper_pearson,
    crossing,
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

LAST_STEP, LAST_STEPS = 3.0, 9 / 7  # what is left, in units of the last doubling, or the last two
WIDER = 1.25  # standard error of whole less quarter, in units of that of whole less half
STEADY = 0.75  # ratio of two steps up to which the factor of U bounds what follows
ADEQUATE = 0.03  # largest allowance of an adequate null
NESTING_TOLERANCE = 0.01  # a smaller shortfall is no sign of a failed training


def mean_and_variance(pair: Pair, g: float) -> tuple[float, float, float]:
    """Mean of w = (1 - g) * e_null - e_subject, its variance, and the degrees of freedom.

    Steps 2 to 4 of the verdict (docs/verdict.md): V = V_img + (1 - g)^2 * tau^2 / S.

    Args:
        pair: What was measured.
        g: Gain that is asked for, below 1.

    Returns:
        m, V and the degrees of freedom of Student's t.
    """
    mean, image, seed = contrast(pair, 1.0, 1 - g)
    return mean, image + seed, freedom(pair, image, seed)


def contrast(pair: Pair, subject: float, null: float) -> tuple[float, float, float]:
    """A weighted difference of two errors, its variance over images, and that over seeds.

    Where hardly an image tells the two apart, the first is that of two discordant groups.

    Args:
        pair: What was measured.
        subject: Weight of the subject's error, not negative; 1 in the verdict.
        null: Weight of the null's, from which it is taken off; 1 - g in the verdict.
    """
    mean = null * pair.error_null - subject * pair.error_subject
    image = (
        null * null * pair.var_null
        + subject * subject * pair.var_subject
        - 2 * null * subject * pair.covariance
    )
    image = max(image, subject * subject * floor_variance(pair.effective))
    return mean, image, null * null * pair.seed_variance / max(pair.seeds, 1)


def freedom(pair: Pair, image: float, seed: float) -> float:
    """Degrees of freedom of Student's t for the sum of two variances.

    1 / df is the mean of 1 / df of the two parts, weighted by their shares of the sum. The images
    have 60 or groups - 1, whichever is less; the seeds have `pair.df`. (Satterthwaite's squared
    shares leave the error of a noisy null's test at up to 3.6 % instead of 2.5.)
    """
    share = seed / (image + seed) if seed > 0 and math.isfinite(image) else 0.0
    of_images = max(1.0, min(IMAGE_DF, pair.groups - 1))
    return 1 / ((1 - share) / of_images + share / max(1.0, pair.df))


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
    1954), so that it agrees with the verdict to the last digit. 1 - g is the tangent of an angle
    between 0 (the subject makes no errors) and a right one (infinitely more than the null), so
    that both ends of the interval are ordinary places to look at.

    Returns:
        Gain, low, high. At most 1; low is -inf where no gain is too small to be excluded. NaN
        if the null makes no errors or is missing.
    """
    if not (math.isfinite(pair.error_null) and pair.error_null > 0):
        return math.nan, math.nan, math.nan

    def excess(angle: float) -> float:
        mean, image, seed = contrast(pair, math.cos(angle), math.sin(angle))
        t = quantile(freedom(pair, image, seed), level)
        return mean * mean - t * t * (image + seed)

    best = math.atan2(pair.error_subject, pair.error_null)
    near, far = crossing(excess, best, 0.0), crossing(excess, best, math.pi / 2)
    low = -math.inf if far == math.pi / 2 else 1 - math.tan(far)
    return 1 - pair.error_subject / pair.error_null, low, 1 - math.tan(near)


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

    U is the smaller of two upper bounds, SE^2 = discordant share / n_heldout + 2 tau^2 / S:
    3 (max(0, delta) + 1.645 SE), from the last doubling, and 9/7 (max(0, a(1) - a(1/4)) + 1.645
    1.25 SE), from the last two. The factors sum all later doublings of a power law with exponent
    0.415, whose steps shrink by 3/4: 3 = r / (1 - r), 9/7 = 3 / (1 + 1/r). Both multiply the
    margin too, since they multiply the noise; quarter and whole are taken to disagree a quarter
    more than half and whole. Where the curve falls by more than that, U is the fall and its
    margin: a shorter training would have been the stronger null.

    Args:
        a_quarter: Accuracy on held-out images at a quarter of the budget.
        a_half: At half of it.
        a_full: At the whole.
        discordant_share: Share of held-out images on which half and whole disagree in being
            right; with several seeds the mean square of the difference of their means, an image.
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
    last = LAST_STEP * (max(0.0, delta) + 1.645 * se)
    both = LAST_STEPS * (max(0.0, a_full - a_quarter) + 1.645 * WIDER * se)
    allowance = min(last, both) if math.isfinite(both) else last
    fallen = max(a_quarter, a_half) - a_full if math.isfinite(a_quarter) else -delta
    if fallen > allowance:
        allowance = fallen + 1.645 * WIDER * se
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
