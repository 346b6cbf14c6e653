"""What is known of the gap and the gain, and whether a null was trained well enough.

What the numbers mean for a limit is decided in `audit.verdict`. The records of `audit.pairs` and
the general statistics of `audit.intervals` can be had from here.
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
