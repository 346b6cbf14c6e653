"""How often the verdict on the gain is right, on audits whose truth is known.

Run `python benchmarks/verdict_simulation.py` (a minute or two; `--audits 1000` for more digits).

Images have a difficulty that subject and nulls share, so their errors are correlated; every null
draws a shift per seed, so that its accuracy spreads over seeds; images come in groups of near
duplicates with equal errors. The truth is the gain over the null's expected accuracy.
"""

import argparse
import math
import time
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from audit.stats import Pair, adequacy, gain_interval, pair, pooled_seed_variance
from audit.verdict import judge_gain

SLOPE = 1.5  # how strongly difficulty decides; errors of subject and null correlate by about 0.4
HELDOUT = 2000


class Audit(NamedTuple):
    """One kind of simulated audit; shares are fractions.

    Attributes:
        images: Evaluation images.
        seeds: Of every trained null.
        tau: Standard deviation over seeds of a null's accuracy.
        gain: True gain of the subject over a null that is fully trained.
        error: True error of a fully trained null.
        copies: Images in every group of near duplicates.
        starved: Accuracy that the nulls lack because their training was cut short.
        nulls: Claim nulls, all as good as each other.
    """

    images: int
    seeds: int = 3
    tau: float = 0.006
    gain: float = 0.35
    error: float = 0.3
    copies: int = 1
    starved: float = 0.0
    nulls: int = 5


def errors(
    rng: np.random.Generator, difficulty: NDArray[np.float64], error: float, tau: float, seeds: int
) -> NDArray[np.float64]:
    """Errors (S, n) of one model whose expected error is about `error`, tau its spread."""
    width = math.sqrt(1 + SLOPE**2)
    level = width * float(special.ndtri(error))
    slope = math.exp(-((level / width) ** 2) / 2) / math.sqrt(2 * math.pi) / width
    shift = rng.normal(0, tau / slope, (seeds, 1))
    hit = rng.normal(size=(seeds, len(difficulty))) < level + shift + SLOPE * difficulty
    return np.asarray(hit, dtype=float)


def simulate(audit: Audit, rng: np.random.Generator) -> list[Pair]:
    """The pairs of one audit, as a check would measure them."""
    difficulty = rng.normal(size=audit.images // audit.copies)
    groups = np.arange(len(difficulty)).repeat(audit.copies)
    null_error = audit.error + audit.starved
    subject = errors(rng, difficulty, audit.error * (1 - audit.gain), 0, 1)[0].repeat(audit.copies)
    nulls = [
        errors(rng, difficulty, null_error, audit.tau, audit.seeds).repeat(audit.copies, 1)
        for _ in range(audit.nulls)
    ]
    tau2 = pooled_seed_variance(nulls)
    # A starved null still climbs: half of what it lacks came with the last doubling.
    half, full = 1 - null_error - audit.starved / 2, 1 - null_error
    noise = rng.normal(0, math.sqrt(0.05 / HELDOUT + 2 * audit.tau**2 / audit.seeds))
    left = adequacy(half - 0.05, half, full + noise, 0.05, HELDOUT, tau2, audit.seeds).allowance
    return [
        pair(
            f"null-{i}",
            subject,
            null,
            groups,
            claim=True,
            allowance=left,
            seed_variance=tau2,
            trained_nulls=audit.nulls,
        )
        for i, null in enumerate(nulls)
    ]


def coverage(audit: Audit, audits: int, seed: int) -> tuple[float, float]:
    """Share of gain intervals that hold the truth, and their median width."""
    rng = np.random.default_rng(seed)
    ends = np.array([gain_interval(simulate(audit, rng)[0])[1:] for _ in range(audits)])
    held = (ends[:, 0] <= audit.gain) & (audit.gain <= ends[:, 1])
    return float(held.mean()), float(np.median(ends[:, 1] - ends[:, 0]))


def verdicts(audit: Audit, g: float, audits: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """Counts of verdicts, and of the reasons of those that are undecided."""
    rng = np.random.default_rng(seed)
    found = [judge_gain(simulate(audit, rng), g) for _ in range(audits)]
    undecided = Counter(v.reason for v in found if v.verdict == "inconclusive")
    return Counter(v.verdict for v in found), undecided


def print_coverage(audits: int) -> None:
    print(f"Coverage of the 95 % interval of a gain of 0.35, {audits} audits a row")
    print(f"{'images':>7} {'seeds':>5} {'tau':>5} {'copies':>6} {'coverage':>9} {'width':>6}")
    rows = [Audit(n, s, t) for n in (200, 1000, 10000) for s in (3, 5) for t in (0.0, 0.006, 0.02)]
    rows += [Audit(1000, 1, t) for t in (0.006, 0.01, 0.02)]
    rows += [Audit(1000, 3, 0.006, copies=4), Audit(1000, 3, 0.02, error=0.05)]
    for i, row in enumerate(rows):
        held, width = coverage(row, audits, seed=i)
        print(
            f"{row.images:7} {row.seeds:5} {row.tau:5.3f} {row.copies:6} {held:9.1%} {width:6.3f}"
            + ("  null error 5 %" if row.error < 0.1 else ""),
            flush=True,
        )


def print_verdicts(audits: int, g: float) -> None:
    print(f"\nVerdicts at a limit of {g}, 5 nulls, 3 seeds, tau 0.6 points, {audits} audits a row")
    print(f"{'truth':34} {'images':>7} {'pass':>6} {'fail':>6} {'undecided':>10}  reasons")
    truths = [
        ("gain 0.50", Audit(0, gain=0.5)),
        ("gain 0.35", Audit(0, gain=0.35)),
        ("gain 0.10, the limit itself", Audit(0, gain=0.10)),
        ("gain 0.00", Audit(0, gain=0.0)),
        ("gain -0.10", Audit(0, gain=-0.10)),
        ("gain 0.00, nulls starved by 10 pts", Audit(0, gain=0.0, starved=0.1)),
        ("gain 0.50, null error 0.1 %", Audit(0, tau=0.0, gain=0.5, error=0.001)),
    ]
    for i, (name, truth) in enumerate(truths):
        for n in (1000, 10000):
            counts, reasons = verdicts(truth._replace(images=n), g, audits, seed=100 + i)
            shares = [counts[v] / audits for v in ("pass", "fail", "inconclusive")]
            text = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            print(
                f"{name:34} {n:7} {shares[0]:6.1%} {shares[1]:6.1%} {shares[2]:10.1%}  {text}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audits", type=int, default=150, help="simulated audits per row")
    parser.add_argument("--limit", type=float, default=0.10, help="gain that is asked for")
    arguments = parser.parse_args()
    started = time.perf_counter()
    print_coverage(arguments.audits)
    print_verdicts(arguments.audits, arguments.limit)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
