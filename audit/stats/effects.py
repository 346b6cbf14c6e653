"""A difference over images and seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.stats.intervals import paired_difference, simultaneous_quantile
from audit.stats.paired import pooled_seed_variance

Table = NDArray[np.float64]  # (S, n) errors, a row a seed

IMAGE_DF = 60.0


class SeedNoise(NamedTuple):
    """How much a difference varies from seed to seed.

    Attributes:
        variance: tau^2 of one seed's mean, a fraction squared; 0 with one seed (not known).
        df: Degrees of freedom behind it.
    """

    variance: float
    df: float


class Effect(NamedTuple):
    """A difference of two errors.

    Attributes:
        value: Mean of the first minus that of the second, a fraction.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def seed_noise(tables: Sequence[Table], *, independent: bool) -> SeedNoise:
    """Pool the noise of the seeds over the cuts.

    Args:
        tables: (S, n) errors or differences of errors, one a cut.
        independent: Whether the cuts of one seed share nothing. Networks that share a base do not
            vary independently: then there are S - 1 degrees of freedom, not as many for each cut.
    """
    several = [table for table in tables if len(table) > 1]
    if not several:
        return SeedNoise(0.0, math.inf)
    free = len(several[0]) - 1
    return SeedNoise(pooled_seed_variance(several), free * (len(several) if independent else 1))


def difference(
    worse: Table,
    better: Table,
    groups: NDArray[np.int64] | None,
    noise: SeedNoise,
    together: int = 1,
) -> Effect:
    """mean(worse) - mean(better) with an interval over images and seeds.

    Student's quantile has the degrees of freedom of `audit.stats.freedom`: 1 / df is the mean of
    those of the two parts, weighted by their shares of the variance.

    Args:
        worse: (S, n) errors.
        better: (S, n) or (1, n) on the same images.
        groups: (n,) that belong together, or None.
        noise: Of the difference.
        together: Intervals that must hold together (Bonferroni).
    """
    value, _, upper = paired_difference(worse, better, groups, t=1.0)
    n = worse.shape[1] if groups is None else len(np.unique(groups))
    image, seeds = (upper - value) ** 2, noise.variance / len(worse)
    if not math.isfinite(image):
        return Effect(value, math.nan, math.nan)
    share = seeds / (image + seeds) if seeds > 0 else 0.0
    df = 1 / ((1 - share) / min(IMAGE_DF, n - 1) + share / noise.df)
    margin = simultaneous_quantile(together, df) * math.sqrt(image + seeds)
    return Effect(value, value - margin, value + margin)
