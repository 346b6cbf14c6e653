"""What does TwoNN read on clouds of known dimension, at how many points?

    python benchmarks/id_bias.py --draws 8

Means of some draws, for the default estimate (censored likelihood), with GRIDE on neighbours 2 and
4 beside it in brackets. `audit/kernels/bias.py` holds the Gaussian part of the table: the report
cites it where an estimate is a lower bound.
"""

import argparse

import numpy as np
from id_manifolds import MANIFOLDS

from audit.kernels.estimators import gride, two_nn
from audit.kernels.neighbours import nearest

SIZES = (100, 200, 500, 1000, 2000, 5000, 10000)
DIMENSIONS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 200)


def reading(name: str, n: int, d: int, draws: int) -> tuple[float, float]:
    """Mean of TwoNN, and of GRIDE."""
    values = []
    for seed in range(draws):
        r = nearest(MANIFOLDS[name](n, d, seed), 4).distances.numpy()
        values.append((two_nn(np.log(r[:, 1] / r[:, 0])), gride(np.log(r[:, 3] / r[:, 1]))))
    first, second = np.mean(values, 0)
    return float(first), float(second)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=8, help="of 2,000 points; fewer of more")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--manifolds", nargs="+", default=["gaussian", "cube"], choices=MANIFOLDS)
    arguments = parser.parse_args()
    for name in arguments.manifolds:
        print(f"\n| {name}, true dimension | " + " | ".join(f"{n:,}" for n in arguments.sizes))
        print("|---" * (len(arguments.sizes) + 1) + "|")
        for d in DIMENSIONS:
            cells = []
            for n in arguments.sizes:
                draws = max(2, arguments.draws * 2000 // n if n > 2000 else arguments.draws)
                first, second = reading(name, n, d, draws)
                cells.append(f"{first:.2f} ({second:.2f})")
            print(f"| {d} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
