"""Means over images, shares and their intervals; knows nothing of subjects and nulls.

Every variance of a mean is cluster-robust: residuals are summed within groups (near duplicates,
or whatever the user declared to belong together) and corrected by G / (G - 1).
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

IMAGE_DF = 60.0  # degrees of freedom where the images, not the seeds, are the noise


def shares(weights: ArrayLike | None, n: int) -> Array:
    """Weights of the images that sum to 1.

    Args:
        weights: (n,), not negative; None: all weigh the same.
        n: Images.

    Raises:
        ValueError: If they are not n finite numbers of which one is positive.
    """
    if weights is None and n > 0:
        return np.full(n, 1 / n)
    w = np.asarray(() if weights is None else weights, dtype=float)
    if w.shape != (n,) or not (np.isfinite(w).all() and w.min() >= 0 and w.sum() > 0):
        raise ValueError(f"weights of shape {w.shape} for {n} images, or not positive")
    return w / w.sum()


def clustered(rows: Array, groups: ArrayLike | None, share: Array) -> tuple[Array, Array, int]:
    """Weighted means of several values per image, and how surely they are known.

    Args:
        rows: (R, n), one row a quantity.
        groups: (n,) labels of any kind that belong together, or None.
        share: (n,) weights that sum to 1.

    Returns:
        Means (R,); their cluster-robust covariance (R, R), residuals summed within groups and
        corrected by G / (G - 1), infinite with one group; and G.
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
    """Group labels of any kind as (n,) integers from 0, and how many groups there are.

    Raises:
        ValueError: If there are not n labels.
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
    """How many independent images of equal weight would be as good (Kish 1965).

    Args:
        groups: (n,) labels that belong together, or None.
        share: (n,) weights that sum to 1.
    """
    if groups is not None:
        ids, count = group_ids(groups, len(share))
        share = np.asarray(np.bincount(ids, share, count), dtype=float)  # (G,)
    return float(1 / (share**2).sum())


def quantile(df: float, level: float = 0.95) -> float:
    """Two-sided Student quantile: 1.96 at 95 % and many degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(max(df, 1.0), 0.5 + level / 2))


def simultaneous_quantile(k: int, df: float = IMAGE_DF, level: float = 0.95) -> float:
    """Student quantile for k intervals that must hold together (Bonferroni)."""
    return quantile(df, 1 - (1 - level) / max(k, 1))


def paired_difference(
    errors_a: ArrayLike,
    errors_b: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    t: float | None = None,
    extra_variance: float = 0.0,
) -> tuple[float, float, float]:
    """mean(errors_a) - mean(errors_b) on the same images, which is accuracy b - accuracy a.

    Args:
        errors_a: (n,) or, averaged over seeds, (S, n).
        errors_b: Likewise; S may differ.
        groups: (n,) or None.
        t: Quantile of the interval, for several that must hold together
            (`simultaneous_quantile`); None: 95 % of this one alone.
        extra_variance: Added to the image variance, such as tau^2 / S of either.

    Returns:
        The difference as a fraction, and the ends of its interval (NaN with one group). Where
        all images agree the interval has the width of two discordant images to either side.
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
    """Smallest credible variance of a mean over `count` groups: two discordant groups."""
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
    """Wilson score interval of a share k / n; (NaN, NaN) for n = 0."""
    if n <= 0:
        return math.nan, math.nan
    from scipy import special

    z, p = float(special.ndtri(0.5 + level / 2)), k / n
    centre, scale = (p + z * z / (2 * n)), 1 + z * z / n
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def clopper_pearson(k: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share k / n (Clopper & Pearson 1934); (NaN, NaN) for n = 0."""
    if n <= 0:
        return math.nan, math.nan
    from scipy import special

    tail = (1 - level) / 2
    low = float(special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high


def mcnemar(errors_a: ArrayLike, errors_b: ArrayLike) -> float:
    """Exact two-sided p that a and b err equally often (binomial on discordant images).

    Args:
        errors_a: (n,), 0 or 1.
        errors_b: (n,) on the same images.
    """
    from scipy import special

    a, b = np.asarray(errors_a, dtype=bool), np.asarray(errors_b, dtype=bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    tail = float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5))
    return min(1.0, 2 * tail)


def kappa(errors_a: ArrayLike, errors_b: ArrayLike) -> float:
    """Error consistency: agreement in being right, beyond what the two accuracies imply.

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
    """Delete-block jackknife of a statistic over images with random blocks (Shao & Wu 1989).

    Args:
        statistic: Takes the indices of the images that remain.
        n: Images.
        blocks: Blocks, each left out once; at most n. Its degrees of freedom are blocks - 1.
        seed: Of the assignment to blocks.
        groups: (n,) labels that stay in one block, or None.

    Returns:
        The statistic of all images and its standard error, NaN if a block's is not finite.
    """
    ids = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
    count = int(ids.max()) + 1
    block = (np.random.default_rng(seed).permutation(count) % min(blocks, count))[ids]  # (n,)
    index = np.arange(n)
    left = np.array([statistic(index[block != b]) for b in range(min(blocks, count))])
    return statistic(index), jackknife_error(left)


def jackknife_error(left_out: ArrayLike) -> float:
    """Standard error from (B,) values, each with one of B equal blocks left out."""
    values = np.asarray(left_out, dtype=float)
    return float(math.sqrt(len(values) - 1) * values.std())
