"""The accuracy gap and the gain over one null, with intervals over images and seeds.

What they mean for a limit is decided in `audit.policy.gain_verdict`.
"""

import math

from audit.stats.intervals import (
    IMAGE_DF,
    crossing,
    floor_variance,
    quantile,
)
from audit.stats.paired import Pair


def mean_and_variance(pair: Pair, g: float) -> tuple[float, float, float]:
    """Return the mean of w = (1 - g) e_null - e_subject, its variance and degrees of freedom.

    Steps 2 to 4 of the verdict (docs/verdict.md): V = V_img + (1 - g)^2 * tau^2 / S.

    Args:
        pair: Statistics of the subject and the null.
        g: Required gain, below 1.

    Returns:
        The mean m, the variance V, and the degrees of freedom of Student's t.
    """
    mean, image, seed = contrast(pair, 1.0, 1 - g)
    return mean, image + seed, freedom(pair, image, seed)


def contrast(pair: Pair, subject: float, null: float) -> tuple[float, float, float]:
    """Return a weighted difference of two errors, its variance over images, and over seeds.

    The variance over images is at least that of two discordant groups.

    Args:
        pair: Statistics of the subject and the null.
        subject: Weight of the subject's error, which is subtracted; 1 in the verdict.
        null: Weight of the null's error; 1 - g in the verdict.
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
    """Return the degrees of freedom of Student's t for the sum of two variances.

    1 / df is the mean of 1 / df of the two parts, weighted by their shares of the sum. The images
    have the smaller of 60 and groups - 1, the seeds have `pair.df`. The shares are not squared as
    by Satterthwaite: his formula leaves up to 3.6 % of false passes over a noisy null instead of
    2.5 (`benchmarks/verdict_rules.py`).
    """
    share = seed / (image + seed) if seed > 0 and math.isfinite(image) else 0.0
    of_images = max(1.0, min(IMAGE_DF, pair.groups - 1))
    return 1 / ((1 - share) / of_images + share / max(1.0, pair.df))


def gap_interval(pair: Pair, level: float = 0.95) -> tuple[float, float, float]:
    """Return accuracy(subject) - accuracy(null) and its interval; NaN if not measured."""
    mean, variance, df = mean_and_variance(pair, 0.0)
    if not math.isfinite(mean):
        return math.nan, math.nan, math.nan
    margin = quantile(df, level) * math.sqrt(variance)
    return mean, mean - margin, mean + margin


def gain_interval(pair: Pair, level: float = 0.95) -> tuple[float, float, float]:
    """Return the share of the null's errors that the subject removes, with its interval.

    The interval contains every g that the two-sided test of m(g) = 0 does not reject (Fieller
    1954), so that it agrees with the verdict to the last digit. 1 - g is the tangent of an angle
    between 0 (the subject makes no errors) and a right one (infinitely more than the null), so
    that both ends of the interval are finite places to search between.

    Returns:
        The gain, at most 1, and the ends of its interval. The lower end is -inf where no gain is
        too small to be excluded. NaN if the null makes no errors or is missing.
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
