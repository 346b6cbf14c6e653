"""How often does `audit selftest` miss what was planted? The quick one, over several seeds.

`python benchmarks/selftest_misses.py --seeds 10` prints a line a case: misses of seeds, the seconds
that it took, and for every miss what was found instead. Minutes a seed on two cores; nothing is
kept.
"""

import argparse
import sys
from collections import defaultdict

from audit.core.threads import set_threads
from audit.core.workers import worker_count
from audit.pipeline.trial import audit_trial
from audit.selftest.bench import QUICK, WHOLE
from audit.selftest.cases import CASES
from audit.selftest.trials import Row, run_cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 to this less one")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="letters of cases")
    parser.add_argument("--whole", action="store_true", help="the whole self-test, not the quick")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    set_threads(options.threads)
    chosen = [case for case in CASES if not options.only or case.letter in options.only]
    rows: dict[str, dict[int, Row]] = defaultdict(dict)
    for seed in range(options.first, options.first + options.seeds):
        print(f"seed {seed}", file=sys.stderr, flush=True)
        scale, size = WHOLE if options.whole else QUICK, worker_count()
        for row in run_cases(chosen, scale, seed, lambda _: None, audit_trial, size):
            rows[row.letter][seed] = row
            agrees = "as expected" if row.agrees else "MISSED"
            print(f"  {row.letter} {agrees}, {row.seconds:.0f} s", file=sys.stderr, flush=True)
    show(rows)


def show(rows: dict[str, dict[int, Row]]) -> None:
    print("case  missed  of  seconds (mean)  planted")
    for letter, by_seed in sorted(rows.items()):
        missed = {seed: row for seed, row in by_seed.items() if not row.agrees}
        seconds = sum(row.seconds for row in by_seed.values()) / len(by_seed)
        planted = next(iter(by_seed.values())).planted
        print(f"{letter:<6}{len(missed):>6}{len(by_seed):>4}{seconds:>16.0f}  {planted}")
        for seed, row in missed.items():
            found = zip(row.expected, row.found, row.right, strict=True)
            wrong = "; ".join(f"{f} (expected {e})" for e, f, right in found if not right)
            print(f"        seed {seed}: {wrong}")


if __name__ == "__main__":
    main()
