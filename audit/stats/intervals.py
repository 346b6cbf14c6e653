"""Means over images, shares and their intervals, with no notion of subjects and nulls.

Every variance of a mean is cluster-robust: residuals are summed within groups (near duplicates,
or what the user declared to belong together) and corrected by G / (G - 1).
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Degrees of freedom where images are the noise. Chosen by hand: Student's quantile is then 2 %
# wider than the normal one, and the coverage in benchmarks/verdict.md was simulated with it.
IMAGE_DF = 60.0


def shares(weights: ArrayLike | None, n: int) -> Array:
    """Normalise the weights of images so that they sum to 1.

    Args:
        weights: Weights (n,), not negative; None if all images weigh the same.
        n: Number of images.

    Raises:
        ValueError: If `weights` does not hold n finite numbers, one of them positive.
    """
    if weights is None and n > 0:
        return np.full(n, 1 / n)
    w = np.asarray(() if weights is None else weights, dtype=float)
    if w.shape != (n,) or not (np.isfinite(w).all() and w.min() >= 0 and w.sum() > 0):
        raise ValueError(f"weights of shape {w.shape} for {n} images, or not positive")
    return w / w.sum()


def clustered(rows: Array, groups: ArrayLike | None, share: Array) -> tuple[Array, Array, int]:
    """Average several values per image, with the cluster-robust covariance of the means.

    Args:
        rows: Values (R, n), one row per quantity.
        groups: Group labels (n,) of any kind; None if every image is a group of its own.
        share: Weights (n,) that sum to 1.

    Returns:
        The means (R,), their covariance (R, R), which is infinite with one group, and the number
        of groups G.
    """
    means = rows @ share  # (R,)
    residuals = (rows - means[:, None]) * share  # (R, n)
    if groups is not None:
        ids, count = group_ids(groups, len(share))
        residuals = np.stack([np.bincount(ids, r, count) for r in residuals])  # (R, G)
    count = residuals.shape[1]
    if count < 2:
        return means, np.full((len(rows), len(rows)), np.inf), count
    return means, residuals @ residuals.T * (count / (count - 1)), count


def group_ids(groups: ArrayLike, n: int) -> tuple[NDArray[np.intp], int]:
    """Number the groups: labels of any kind as (n,) integers from 0, and their count.

    Raises:
        ValueError: If the number of labels is not n.
    """
    labels = np.asarray(groups).reshape(-1)
    if labels.size != n:
        raise ValueError(f"{labels.size} group labels for {n} images")
    if n and labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < 4 * n:
        seen = np.bincount(labels) > 0  # no sorting: labels are small already
        return (np.cumsum(seen) - 1)[labels], int(seen.sum())
    distinct, ids = np.unique(labels, return_inverse=True)
    return ids.reshape(-1), len(distinct)


def effective_count(groups: ArrayLike | None, share: Array) -> float:
    """Count the independent images of equal weight that would be as good (Kish 1965).

    Args:
        groups: Group labels (n,); None if every image is a group of its own.
        share: Weights (n,) that sum to 1.
    """
    if groups is not None:
        ids, count = group_ids(groups, len(share))
        share = np.asarray(np.bincount(ids, share, count), dtype=float)  # (G,)
    return float(1 / (share**2).sum())


def quantile(df: float, level: float = 0.95) -> float:
    """Return the two-sided Student quantile: 1.96 at 95 % and many degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(max(df, 1.0), 0.5 + level / 2))


def joint_freedom(images: float, seeds: float, df_images: float, df_seeds: float) -> float:
    """Return the degrees of freedom of the sum of two variances, as in `audit.stats.gain.freedom`.

    Args:
        images: Variance over images.
        seeds: Variance over seeds; may be 0.
        df_images: Degrees of freedom of `images`.
        df_seeds: Degrees of freedom of `seeds`.
    """
    share = seeds / (images + seeds) if seeds > 0 else 0.0
    return 1 / ((1 - share) / df_images + share / df_seeds)


def simultaneous_quantile(k: int, df: float = IMAGE_DF, level: float = 0.95) -> float:
    """Return the Student quantile at which k intervals cover together (Bonferroni)."""
    return quantile(df, 1 - (1 - level) / max(k, 1))


def paired_difference(
    errors_a: ArrayLike,
    errors_b: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    t: float | None = None,
    extra_variance: float = 0.0,
) -> tuple[float, float, float]:
    """Compare two errors on the same images: mean of the first minus mean of the second.

    The difference is the accuracy of b minus that of a.

    Args:
        errors_a: Errors (n,), or (S, n) to be averaged over seeds.
        errors_b: Errors of the other on the same images, in the same shapes; S may differ.
        groups: Group labels (n,); None if every image is a group of its own.
        t: Quantile of the interval, for several that must cover together
            (`simultaneous_quantile`); None for 95 % of this interval alone.
        extra_variance: Variance added to that of the images, such as tau^2 / S of either.

    Returns:
        The difference as a fraction, and the ends of its interval (NaN with one group). Where
        all images agree, the interval reaches two discordant images to either side.
    """
    a, b = (np.atleast_2d(np.asarray(e, dtype=float)).mean(0) for e in (errors_a, errors_b))
    if a.shape != b.shape:
        raise ValueError(f"errors of {a.size} and {b.size} images are not paired")
    means, cov, count = clustered((a - b)[None], groups, shares(None, len(a)))
    variance = max(float(cov[0, 0]), floor_variance(count)) + extra_variance
    if count < 2:
        return float(means[0]), math.nan, math.nan
    margin = (t or quantile(min(IMAGE_DF, count - 1))) * math.sqrt(variance)
    return float(means[0]), float(means[0]) - margin, float(means[0]) + margin


def floor_variance(count: float) -> float:
    """Return the smallest credible variance of a mean: that of two discordant groups.

    Without it, errors that happen to agree everywhere would give an interval of width 0.
    """
    return (2.0 / count) ** 2 if count > 0 else math.inf


def crossing(excess: Callable[[float], float], inside: float, outside: float) -> float:
    """Find the place between two where a function becomes positive.

    Args:
        excess: Continuous function, not positive at `inside`.
        inside: One end of the search.
        outside: The other end; may be the smaller one.

    Returns:
        The root; `outside` if the function is not positive there, and `inside` if it is positive
        there already.
    """
    from scipy.optimize import brentq

    below, above = excess(inside), excess(outside)
    if not (above > 0 and math.isfinite(above - below)):
        return outside
    return inside if below >= 0 else float(brentq(excess, inside, outside, xtol=1e-15))


def proportion_interval(k: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share k / n; (NaN, NaN) for n = 0."""
    if n <= 0:
        return math.nan, math.nan
    from scipy import special

    z, p = float(special.ndtri(0.5 + level / 2)), k / n
    centre, scale = (p + z * z / (2 * n)), 1 + z * z / n
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def clopper_pearson(k: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share k / n (Clopper & Pearson 1934); NaN for n = 0."""
    if n <= 0:
        return math.nan, math.nan
    from scipy import special

    tail = (1 - level) / 2
    low = float(special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high


def mcnemar(errors_a: ArrayLike, errors_b: ArrayLike) -> float:
    """Return the exact two-sided p that a and b err equally often (binomial on discordant images).

    Args:
        errors_a: Errors (n,), 0 or 1.
        errors_b: Errors (n,) of the other on the same images.
    """
    from scipy import special

    a, b = np.asarray(errors_a, dtype=bool), np.asarray(errors_b, dtype=bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    tail = float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5))
    return min(1.0, 2 * tail)


def kappa(errors_a: ArrayLike, errors_b: ArrayLike) -> float:
    """Return the error consistency: agreement in errors beyond what both accuracies imply.

    Cohen's kappa of (n,) errors as in Geirhos et al. (2020), arXiv:2006.16736. NaN where chance
    alone gives full agreement (both always right).
    """
    a, b = np.asarray(errors_a, dtype=bool), np.asarray(errors_b, dtype=bool)
    observed = float((a == b).mean())
    chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return (observed - chance) / (1 - chance) if chance < 1 else math.nan


def block_jackknife(
    statistic: Callable[[NDArray[np.intp]], float],
    n: int,
    blocks: int = 20,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> tuple[float, float]:
    """Run the delete-block jackknife of a statistic with random blocks (Shao & Wu 1989).

    Args:
        statistic: Function of the indices of the images that remain.
        n: Number of images.
        blocks: Number of blocks, each left out once; at most n. The standard error has
            blocks - 1 degrees of freedom.
        seed: Seed of the assignment to blocks.
        groups: Group labels (n,), each of which stays in one block, or None.

    Returns:
        The statistic of all images, and its standard error: NaN if that of a block is not finite.
    """
    ids = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
    count = int(ids.max()) + 1
    block = (np.random.default_rng(seed).permutation(count) % min(blocks, count))[ids]  # (n,)
    index = np.arange(n)
    left = np.array([statistic(index[block != b]) for b in range(min(blocks, count))])
    return statistic(index), jackknife_error(left)


def jackknife_error(left_out: ArrayLike) -> float:
    """Return the standard error from (B,) values, each with one of B equal blocks left out."""
    values = np.asarray(left_out, dtype=float)
    return float(math.sqrt(len(values) - 1) * values.std())
