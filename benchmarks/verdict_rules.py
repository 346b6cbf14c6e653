"""Why three rules of the verdict are as they are: how often each alternative would be wrong.

    python benchmarks/verdict_rules.py

Drawn are estimates alone, not images: what is compared are rules for the degrees of freedom and for
"a null solves the data" (docs/verdict.md), with six trained nulls, one of which spreads twice as
much over its seeds as the pool. A pass is false where the subject is truly at the limit; 2.5 % are
meant.
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from audit.policy.gain_verdict import SOLVED
from audit.policy.reasons import ALPHA
from audit.stats.intervals import IMAGE_DF

Array = NDArray[np.float64]
NULLS, NOISY = 6, 2.0  # K; the spread of one of them, as a multiple of the pool's
CALM = float(np.sqrt((NULLS - NOISY**2) / (NULLS - 1)))  # of the others
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # of the seeds in the variance of the mean


def seed_variances(rng: np.random.Generator, seeds: int, audits: int) -> tuple[Array, Array]:
    """Estimated variance over seeds of the noisy null and of the pool, in units of the pool's."""
    spread = np.array([NOISY] + [CALM] * (NULLS - 1))
    df = seeds - 1
    each = spread**2 * rng.chisquare(df, (audits, NULLS)) / df
    return each[:, 0], each.mean(1)


def false_passes(
    rng: np.random.Generator, seeds: int, share: float, audits: int, df_of: Callable[..., Array]
) -> float:
    """Share of audits that pass although the subject is at the limit of the noisy null.

    Args:
        rng: Random.
        seeds: S.
        share: Of the seeds in the true variance of the mean.
        audits: How many.
        df_of: From the estimated variances of images and seeds, and the seeds' degrees of freedom.
    """
    own, pooled = seed_variances(rng, seeds, audits)
    seed_part = np.maximum(own, pooled) * share / NOISY**2
    image_part = (1 - share) * rng.chisquare(IMAGE_DF, audits) / IMAGE_DF
    df = df_of(image_part, seed_part, seeds, own > pooled)
    t = rng.standard_normal(audits) / np.sqrt(image_part + seed_part)
    return float((t > stats.t.ppf(1 - ALPHA, df)).mean())


def weighed(image: Array, seed: Array, df: Array) -> Array:
    """The rule: 1 / df is the mean of the two, weighted by their shares of the variance."""
    part = seed / (image + seed)
    return np.asarray(1 / ((1 - part) / IMAGE_DF + part / df))


def satterthwaite(image: Array, seed: Array, df: Array) -> Array:
    """The textbook's formula."""
    return np.asarray((image + seed) ** 2 / (image**2 / IMAGE_DF + seed**2 / df))


def own_df(seeds: int, own: Array) -> Array:
    """S - 1 where the null's own variance is used, else those of the pool."""
    return np.where(own, seeds - 1.0, NULLS * (seeds - 1.0))


def pool_df(seeds: int, own: Array) -> Array:
    """Those of the pool, whichever is used."""
    return np.full(len(own), NULLS * (seeds - 1.0))


RULES: dict[str, Callable[..., Array]] = {
    "the rule": lambda i, s, n, own: weighed(i, s, own_df(n, own)),
    "K (S - 1) for a null's own variance": lambda i, s, n, own: weighed(i, s, pool_df(n, own)),
    "Satterthwaite": lambda i, s, n, own: satterthwaite(i, s, own_df(n, own)),
}


def solved(rng: np.random.Generator, images: int, audits: int) -> tuple[float, float]:
    """Share of audits that call data solved whose five nulls of three seeds are wrong on 1 %.

    Returns:
        By images alone, each null at 97.5 %; and by the rule: all nulls together, with the margin
        of a spread of 0.2 points over seeds in quadrature.
    """
    nulls, seeds, spread = 5, 3, 0.002
    shifts = rng.normal(0, spread / np.sqrt(seeds), (audits, nulls))
    wrong = rng.binomial(images, np.clip(SOLVED + shifts, 0, 1))
    rate, level = wrong / images, 1 - ALPHA / nulls
    alone, upper = (
        np.asarray(stats.beta.ppf(q, wrong + 1, images - wrong)) for q in (1 - ALPHA, level)
    )
    margin = stats.t.ppf(level, nulls * (seeds - 1)) * spread / np.sqrt(seeds)
    joint = rate + np.hypot(upper - rate, margin)
    return float((alone < SOLVED).any(1).mean()), float((joint < SOLVED).any(1).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--audits", type=int, default=200_000)
    audits = parser.parse_args().audits
    rng = np.random.default_rng(0)
    print("False passes over a noisy null (2.5 % are meant), by the seeds' share of the variance\n")
    print(f"| rule | seeds | {' | '.join(f'{share:.0%}' for share in SHARES)} |")
    print("|---" * (2 + len(SHARES)) + "|")
    for seeds in (3, 5):
        for name, rule in RULES.items():
            rates = [false_passes(rng, seeds, share, audits, rule) for share in SHARES]
            print(f"| {name} | {seeds} | {' | '.join(f'{100 * r:.1f} %' for r in rates)} |")
    jump = stats.t.ppf(0.975, 2) / stats.t.ppf(0.975, IMAGE_DF)
    print(
        f"\nA switch from {IMAGE_DF:g} to 2 degrees of freedom widens the margin {jump:.1f} times."
    )
    print()
    print("Data called solved although all five nulls are wrong on 1 % (spread 0.2 points)\n")
    print("| images | images alone, each null at 97.5 % | the rule |\n|---|---|---|")
    for images in (2_000, 10_000, 50_000):
        alone, together = solved(rng, images, audits)
        print(f"| {images:,} | {100 * alone:.0f} % | {100 * together:.1f} % |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
