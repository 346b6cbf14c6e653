"""What a command says of a finished audit: on stderr for people, on stdout for machines."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from audit.core.errors import AuditError
from audit.record import Report
from audit.reports.text import visible

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
PRECEDENCE = (2, 1, 3, 0)  # of exit codes, the worst first
Result = tuple[Report, Path] | AuditError


def show(report: Report, out: Path | None, *, as_json: bool) -> None:
    """The verdict, why, and where the report is."""
    document = report.document
    if as_json:
        print_json(as_object(report, out))
    click.secho(document.verdict.upper(), fg=COLOURS[document.verdict], bold=True, err=True)
    click.echo(document.headline, err=True)
    for number in document.numbers:
        span = number.interval or "no interval"
        click.echo(f"  {number.label}: {number.value} ({span}, n = {number.n:,})", err=True)
    for gate in document.gates:
        if gate.severity != "info":
            click.echo(
                f"  {gate.severity:<5}{gate.verdict:<13}{gate.name}: {gate.statement}"
                + (f" ({visible(gate.waiver)})" if gate.waiver else ""),
                err=True,
            )
    if document.watermark:
        click.echo(f"({document.watermark})", err=True)
    if out is not None:
        click.echo(f"report: {visible(str(out / 'report.html'), 1000)}", err=True)
    sys.stderr.flush()


def as_object(report: Report, out: Path | None) -> dict[str, Any]:
    """A finished audit as plain data."""
    document = report.document
    return {
        "verdict": document.verdict,
        "exit_code": document.exit_code,
        "headline": document.headline,
        "out": None if out is None else str(out),
        "gates": {g.name: g.verdict for g in document.gates if g.severity == "gate"},
        "waived": {g.name: g.waiver for g in document.gates if g.waiver},
    }


def one_of_several(path: Path, result: Result) -> dict[str, Any]:
    """The same with the model's file; a model that was refused has no verdict, and a reason."""
    name = {"model": visible(str(path))}
    if not isinstance(result, AuditError):
        return name | as_object(*result)
    refused = {"verdict": None, "exit_code": 2, "headline": str(result), "out": None}
    return name | refused | {"reason": result.reason}


def print_json(data: object) -> None:
    """One line on stdout."""
    print(json.dumps(data))


def table(results: Sequence[tuple[Path, Result]]) -> None:
    """One line a model, on stderr."""
    rows = [("model", "verdict", "accuracy", "report")]
    for path, result in results:
        name = visible(path.name, 40)
        if isinstance(result, AuditError):
            rows.append((name, "refused", "", result.reason))
            continue
        report, out = result
        numbers, shown = report.document.numbers, visible(str(out), 1000)
        rows.append((name, report.document.verdict, numbers[0].value if numbers else "", shown))
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]), err=True)


def worst(results: Sequence[tuple[Path, Result]], *, exit_zero: bool) -> int:
    """The exit code of several audits together."""
    codes = {2 if isinstance(r, AuditError) else r[0].document.exit_code for _, r in results}
    if exit_zero:
        codes = {2} if 2 in codes else {0}
    return next(code for code in PRECEDENCE if code in codes)
