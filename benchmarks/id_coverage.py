"""How often do the intervals of the intrinsic dimension cover?

    python benchmarks/id_coverage.py --draws 200

Clouds are drawn again and again from one distribution; an interval should hold the mean of the
estimates of all draws in 95 of 100, and its half width should be 2.09 times the true spread (the
t quantile for 20 blocks). Neither says that the mean is the true dimension: see id_bias.py. The
last rows are the paired interval of the log ratio of two clouds of the same images.
"""

import argparse
import math
from collections.abc import Callable

import numpy as np
from id_manifolds import MANIFOLDS

from audit.kernels.twonn import intrinsic_dimension, log_ratio

CASES = (
    ("gaussian", 400, 2),
    ("gaussian", 400, 20),
    ("cube", 400, 5),
    ("mixture", 400, 16),
    ("gaussian", 2000, 2),
    ("gaussian", 2000, 20),
    ("cube", 2000, 5),
    ("mixture", 2000, 16),
)
T_19 = 2.093  # quantile of t with 19 degrees of freedom
Estimate = Callable[[int], tuple[float, float, float]]  # seed -> log value and ends


def single(name: str, n: int, d: int) -> Estimate:
    """The logarithm of one cloud's dimension."""

    def estimate(seed: int) -> tuple[float, float, float]:
        found = intrinsic_dimension(MANIFOLDS[name](n, d, seed), fractions=())
        return math.log(found.value), math.log(found.low), math.log(found.high)

    return estimate


def paired(name: str, n: int, d: int) -> Estimate:
    """The log ratio of a cloud and its image under a curved map."""

    def estimate(seed: int) -> tuple[float, float, float]:
        points = MANIFOLDS[name](n, d, seed)
        bent = points.tanh()[:, : max(2, d // 2)]
        return log_ratio(*(intrinsic_dimension(x, fractions=()) for x in (points, bent)))

    return estimate


def row(title: str, estimate: Estimate, draws: int) -> str:
    """One line of the table."""
    found = np.array([estimate(seed) for seed in range(draws)])  # (draws, 3)
    mean, spread = found[:, 0].mean(), found[:, 0].std(ddof=1)
    covered = ((found[:, 1] <= mean) & (mean <= found[:, 2])).mean()
    width = ((found[:, 2] - found[:, 1]) / 2 / T_19).mean() / spread
    error = 1.96 * math.sqrt(covered * (1 - covered) / draws)
    return f"| {title} | {draws} | {covered:.1%} ± {error:.1%} | {width:.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=200, help="clouds of 400 points")
    parser.add_argument("--large", type=int, default=60, help="clouds of 2,000 points")
    arguments = parser.parse_args()
    print(
        "| cloud | draws | covered | standard error / true spread |\n|---|---|---|---|", flush=True
    )
    for name, n, d in CASES:
        draws = arguments.draws if n < 1000 else arguments.large
        print(row(f"{name} {d}, {n:,} points", single(name, n, d), draws), flush=True)
    for name, n, d in CASES[1:4]:
        title = f"log ratio, {name} {d}, {n:,} points"
        print(row(title, paired(name, n, d), arguments.draws), flush=True)


if __name__ == "__main__":
    main()
