"""Dimension from ratios of neighbour distances: TwoNN in three ways, and GRIDE.

Where the density is near constant out to the second neighbour, log(r2 / r1) is exponential with
rate d, whatever the density (Facco et al. 2017, Sci. Rep. 7:12140).
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]
Method = Literal["censored", "mle", "fit"]


def two_nn(log_mu: Array, method: Method = "censored", discard: float = 0.1) -> float:
    """Intrinsic dimension from log(r2 / r1) of every point.

    Args:
        log_mu: (N,), not negative, N >= 2.
        method: "censored", the default: maximum likelihood in which the largest ratios count
            only as "at least the largest one kept": (n - 1) / (sum of n kept + (N - n) * the
            last kept), unbiased. Dropping them outright would give 1.34 d at 10 %. "mle":
            (N - 1) / sum, not robust. "fit": the papers' line through the origin.
        discard: Share of the largest ratios that is not trusted ("censored" and "fit").

    Returns:
        In dimensions; infinite if all ratios kept are 1, NaN if fewer than two are kept.
    """
    logs = np.sort(np.asarray(log_mu, dtype=float))
    n = len(logs) if method == "mle" else math.floor((1 - discard) * len(logs) + 1e-9)
    if n < 2:
        return math.nan
    if method == "fit":
        n = min(n, len(logs) - 1)  # the last point would lie at infinity
        survival = -np.log1p(-np.arange(1, n + 1) / len(logs))
        squares = float((logs[:n] ** 2).sum())
        return float((survival * logs[:n]).sum()) / squares if squares > 0 else math.inf
    total = float(logs[:n].sum() + (len(logs) - n) * logs[n - 1])
    return (n - 1) / total if total > 0 else math.inf


def gride(log_mu: Array, n1: int = 2) -> float:
    """Generalised ratio estimator on neighbours n1 and 2 n1 (Denti et al. 2022, GRIDE).

    Solves N / d - (n2 - 1) sum(L) + (n2 - n1 - 1) sum(L / (1 - exp(-d L))) = 0 for d.

    Args:
        log_mu: (N,), L = log of the distance to neighbour n2 = 2 n1 over that to n1.
        n1: 1 gives TwoNN's maximum likelihood (with N for N - 1).

    Returns:
        In dimensions; NaN if all ratios are 1.
    """
    logs = np.asarray(log_mu, dtype=float)
    if not logs.sum() > 0:
        return math.nan

    def score(log_d: float) -> float:
        d = math.exp(log_d)
        # L / (1 - exp(-d L)) without 0 / 0: it is 1 / d at L = 0.
        scaled = special.exprel(-d * logs)  # (1 - exp(-dL)) / (dL)
        return (
            len(logs) - (2 * n1 - 1) * d * float(logs.sum()) + (n1 - 1) * float((1 / scaled).sum())
        )

    return math.exp(optimize.brentq(score, math.log(1e-6), math.log(1e9)))
