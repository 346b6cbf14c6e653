"""How often the verdict on the gain is right, on simulated audits whose truth is known.

Run `python benchmarks/verdict_simulation.py` (2,000 audits a row, about twenty minutes of one core;
`--audits 200` for fewer, `--quick` to see that it works). It prints Markdown and ends with 1 if a
bound is broken by more than three Monte-Carlo errors. What is drawn: `simulated_audits.py`.
"""

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from simulated_draws import Draw
from simulated_worlds import MINORITY, NOISY, TRAINED
from verdict_rows import (
    LIMIT,
    Interval,
    Trial,
    as_good_as_asked,
    at_the_limit,
    extremes,
    hard_data,
    power,
    spreads,
    unripe,
)

from audit.policy.gain_verdict import judge_gain
from audit.stats.gain import gain_interval

QUIET = "coordconv-9"  # a null whose seeds spread no more than most
ERRORS = 3.0  # Monte-Carlo standard errors by which a bound may be missed


class Tally:
    """Bounds that were broken, in words."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def mark(self, what: str, rate: float, low: float, high: float, audits: int) -> str:
        """Note a rate outside its bounds, and give the mark to print beside it."""
        if low <= rate <= high:
            return ""
        bound = low if rate < low else high
        if abs(rate - bound) <= ERRORS * math.sqrt(bound * (1 - bound) / audits):
            return " ~"
        self.broken.append(f"{what}: {rate:.1%}, bounds {low:.1%} to {high:.1%}")
        return " **!**"


def coverage(row: Interval, audits: int, seed: int) -> tuple[list[float], float]:
    """Shares of intervals that hold the truth, quiet and noisy null; median width of the first."""
    world = row.world
    error = (1 - row.gain) * world.error_of(NOISY)
    rates: tuple[float, ...] = (error,)
    truths = [1 - error / world.error_of(name) for name in (QUIET, NOISY)]
    if row.balanced:
        rates = tuple((1 - row.gain) * rate for rate in MINORITY["balanced"])
        truths = [row.gain, row.gain]
    nulls = TRAINED if world.spread else (QUIET, NOISY)
    draw = Draw(world, {"subject": rates}, seed, nulls, curves=False)
    found = np.array(
        [
            [
                gain_interval(audit.pair("subject", name, balanced=row.balanced))[1:]
                for name in (QUIET, NOISY)
            ]
            for audit in draw.audits(audits)
        ]
    )  # fmt: skip (A, 2, 2)
    held = (found[..., 0] <= truths) & (truths <= found[..., 1])
    return held.mean(0).tolist(), float(np.median(found[:, 0, 1] - found[:, 0, 0]))


def print_coverage(rows: list[Interval], audits: int, tally: Tally) -> None:
    """A table of coverage."""
    print("| images | seeds | spread, points | noisy null | special | coverage | noisy's | width |")
    print("|---|---|---|---|---|---|---|---|")
    for seed, row in enumerate(rows):
        world, what = row.world, f"coverage, {row.words}, {row.world}"
        held, width = coverage(row, audits, seed)
        cells = [
            f"{rate:.1%}{tally.mark(what, rate, *bounds, audits)}"
            for rate, bounds in zip(held, row.bounds, strict=True)
        ]
        print(
            f"| {world.images:,} | {world.seeds} | {100 * world.spread:g} | {world.noisy:g} x "
            f"| {row.words} | {cells[0]} | {cells[1]} | {width:.3f} |",
            flush=True,
        )


def verdicts(trial: Trial, audits: int, seed: int) -> dict[str, tuple[Counter[str], Counter[str]]]:
    """Counts of verdicts and of their reasons, by subject."""
    found = {name: (Counter[str](), Counter[str]()) for name in trial.subjects}
    for audit in Draw(trial.world, trial.subjects, seed).audits(audits):
        for name, (decided, reasons) in found.items():
            if trial.world.majority:
                finding = audit.finding(name, LIMIT)
                verdict, reason = finding.verdict, finding.reason
            else:
                judged = judge_gain(audit.pairs(name), LIMIT)
                verdict, reason = judged.verdict, judged.reason
            decided[verdict] += 1
            if verdict == "inconclusive":
                reasons[reason] += 1
    return found


def print_verdicts(rows: list[Trial], audits: int, tally: Tally) -> None:
    """A table of verdicts."""
    print(
        "| images | seeds | spread, points | power | special | true gain | pass | fail "
        "| undecided | why |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for seed, row in enumerate(rows):
        for name, (decided, reasons) in verdicts(row, audits, 1000 + seed).items():
            world, what = row.world, f"{row.words}, gain {name}, {row.world}"
            shares = {key: decided[key] / audits for key in ("pass", "fail", "inconclusive")}
            passed = tally.mark(
                f"pass, {what}", shares["pass"], 0.0, row.passes.get(name, 1.0), audits
            )
            failed = tally.mark(f"fail, {what}", shares["fail"], 0.0, row.fails, audits)
            why = ", ".join(f"{reason} {n / audits:.1%}" for reason, n in reasons.most_common())
            exponent = f"{world.exponent:g}" if world.left else ""
            print(
                f"| {world.images:,} | {world.seeds} | {100 * world.spread:g} | {exponent} "
                f"| {row.words} | {name} | {shares['pass']:.1%}{passed} "
                f"| {shares['fail']:.1%}{failed} | {shares['inconclusive']:.1%} | {why} |",
                flush=True,
            )


COVERAGES: dict[str, tuple[str, Callable[[], Iterator[Interval]]]] = {
    "spreads": ("Coverage of the 95 % interval of a gain of 0.35 (bounds 93 to 98 %)", spreads),
    "hard": ("Coverage on harder data (bounds 93 to 98 %)", hard_data),
}
VERDICTS: dict[str, tuple[str, Callable[[], Iterator[Trial]]]] = {
    "passes": (
        "False passes: the gain over the fully trained null is at the limit (bound 2.5 %)",
        at_the_limit,
    ),
    "unripe": (
        "False passes over nulls with more to learn (at the limit 2.5 %, a gain of 0 over starved "
        "nulls none; powers below 0.415 have no bound)",
        unripe,
    ),
    "fails": (
        "False fails: exactly as good as is asked, over nulls that are all alike (bound 5 %)",
        as_good_as_asked,
    ),
    "power": ("What is found: the recipe leaves half a point to learn", power),
    "extremes": ("Extremes (what must not pass: bound 2.5 %, or none)", extremes),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audits", type=int, default=2000, help="simulated audits a row")
    parser.add_argument("--quick", action="store_true", help="20 audits a row, every third row")
    tables = [*COVERAGES, *VERDICTS]
    parser.add_argument("--table", choices=tables, action="append", help="only this, repeatable")
    arguments = parser.parse_args()
    audits, step = (20, 3) if arguments.quick else (arguments.audits, 1)
    started, tally = time.process_time(), Tally()
    rare, common = (100 * math.sqrt(p * (1 - p) / audits) for p in (0.025, 0.95))
    print(
        f"{audits:,} audits a row. One Monte-Carlo standard error is {rare:.1f} points at 2.5 % "
        f"and {common:.1f} at 95 %. ~: outside the bound by less than three of them. **!**: broken."
    )
    for name in arguments.table or tables:
        if name in COVERAGES:
            title, intervals = COVERAGES[name]
            print(f"\n**{title}**\n")
            print_coverage(list(intervals())[::step], audits, tally)
        else:
            title, trials = VERDICTS[name]
            print(f"\n**{title}**\n")
            print_verdicts(list(trials())[::step], audits, tally)
    print(f"\n{time.process_time() - started:.0f} s of processor time")
    for what in tally.broken:
        print(f"broken: {what}", file=sys.stderr)
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
