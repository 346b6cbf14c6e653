"""`audit render RUN`: make every format of a report again, from its `report.yaml`."""

from pathlib import Path

import click

from audit.core.errors import AuditError
from audit.pipeline.rejudge import write_formats
from audit.reports.text import visible
from audit.runs.report import load_report


@click.command("render")
@click.argument("run", type=click.Path(path_type=Path))
def render(run: Path) -> int:
    """Write report.html, report.md, junit.xml, report.sarif and model-card.md of RUN again."""
    if not run.is_dir():
        raise AuditError(
            "REPORT_NOT_FOUND",
            f"render needs the folder of a finished audit, but {visible(str(run))} is not a "
            "folder.",
            "Name the folder that holds report.yaml.",
        )
    write_formats(load_report(run), run)
    click.echo(f"report: {visible(str(run / 'report.html'), 1000)}", err=True)
    return 0
