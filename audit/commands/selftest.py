"""`audit selftest`: plant faults of which the right answer is known, and see if they are found."""

import json
import sys

import click

from audit.commands.options import QUIET, THREADS, option
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.core.threads import set_threads
from audit.core.workers import worker_count


@click.command("selftest")
@option("--quick", is_flag=True, help="Fewer images and one seed: some minutes.")
@option("--seed", type=click.IntRange(min=0), default=0, help="Of everything random [0].")
@click.option("--only", default="", metavar="LETTERS", help="These cases only, as in 'af' [all].")
@THREADS
@option("--json", "as_json", is_flag=True, help="Print one object a case on stdout.")
@QUIET
def selftest(
    quick: bool, seed: int, only: str, threads: int | None, as_json: bool, quiet: bool | None
) -> int:
    """Plant known faults in small data sets and models, and audit each.

    Takes minutes on two processor cores. Ends with 0 if every audit found what it must,
    for the right reason, else with 1. Nothing is left behind.
    """
    progress = Progress(bool(quiet))
    set_threads(threads)
    from audit.pipeline.trial import audit_trial
    from audit.selftest.bench import QUICK, WHOLE
    from audit.selftest.cases import CASES
    from audit.selftest.table import NOT_SHOWN, record, table
    from audit.selftest.trials import run_cases

    known = "".join(case.letter for case in CASES)
    if set(only) - set(known):
        raise AuditError(
            "USAGE", f"--only needs letters of '{known}', but got '{only}'.", "Name cases by these."
        )
    chosen = [case for case in CASES if not only or case.letter in only]
    rows, scale, size = [], QUICK if quick else WHOLE, worker_count()
    for row in run_cases(chosen, scale, seed, progress.say, audit_trial, size):
        rows.append(row)
        found = "as expected" if row.agrees else "NOT as expected"
        progress.say(f"   {row.letter} {found}, {row.seconds:.0f} s")
        if as_json:
            print(json.dumps(record(row)), flush=True)
    rows.sort(key=lambda row: row.letter)
    print(table(rows), file=sys.stderr if as_json else sys.stdout)
    missed = sum(not row.agrees for row in rows)
    print(f"\n{len(rows) - missed} of {len(rows)} cases as expected\n", file=sys.stderr)
    print(NOT_SHOWN, file=sys.stderr)
    return 1 if missed else 0


__all__ = ["selftest"]
