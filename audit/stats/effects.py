"""Differences of two errors, with intervals over images and seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.stats.intervals import (
    IMAGE_DF,
    joint_freedom,
    paired_difference,
    simultaneous_quantile,
)
from audit.stats.paired import pooled_seed_variance

Table = NDArray[np.float64]  # (S, n) errors, one row per seed


class SeedNoise(NamedTuple):
    """Run-to-run variation of a difference.

    Attributes:
        variance: tau^2 of one seed's mean, a fraction squared; 0 with one seed (unknown).
        df: Degrees of freedom of `variance`.
    """

    variance: float
    df: float


class Effect(NamedTuple):
    """Difference of two errors.

    Attributes:
        value: Mean of the first minus mean of the second, a fraction.
        low: Lower end of the 95 % interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float


def seed_noise(tables: Sequence[Table], *, independent: bool) -> SeedNoise:
    """Pool the run-to-run variation over the cuts.

    Args:
        tables: Errors or differences of errors (S, n), one table per cut.
        independent: Whether the cuts of one seed share nothing. Networks that share a base do not
            vary independently: all cuts together then have S - 1 degrees of freedom.
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
    """Return mean(worse) - mean(better) with an interval over images and seeds.

    Student's quantile has the degrees of freedom of `audit.stats.gain.freedom`: 1 / df is the mean
    of those of the two parts, weighted by their shares of the variance.

    Args:
        worse: Errors (S, n).
        better: Errors (S, n) or (1, n) on the same images.
        groups: Group labels (n,); None if every image is a group of its own.
        noise: Run-to-run variation of the difference.
        together: Number of intervals that must cover together (Bonferroni).
    """
    value, _, upper = paired_difference(worse, better, groups, t=1.0)
    n = worse.shape[1] if groups is None else len(np.unique(groups))
    image, seeds = (upper - value) ** 2, noise.variance / len(worse)
    if not math.isfinite(image):
        return Effect(value, math.nan, math.nan)
    df = joint_freedom(image, seeds, min(IMAGE_DF, n - 1), noise.df)
    margin = simultaneous_quantile(together, df) * math.sqrt(image + seeds)
    return Effect(value, value - margin, value + margin)
