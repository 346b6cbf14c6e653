"""`audit compare A B …`: what changed between audits, or their leaderboard."""

import shlex
import sys
from pathlib import Path

import click

from audit.comparison.change import not_same_images
from audit.comparison.record import Result
from audit.core.errors import AuditError
from audit.jobs.folders import claim_folder, dumped, new_folder
from audit.reports.comparison import html as comparison_html
from audit.reports.comparison import markdown as comparison_markdown
from audit.reports.comparison import text as comparison_text
from audit.reports.files import write_atomic
from audit.reports.text import visible
from audit.runs.finished import FinishedRun, load_run


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="New folder for HTML, Markdown and YAML."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "yaml", "json"]),
    default="text",
    help="What is printed on stdout [text].",
)
@click.option("--yaml", "as_yaml", is_flag=True, help="Short for --format yaml.")
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@click.option("--paired", is_flag=True, help="Refuse runs that cannot be paired image by image.")
@click.option("--leaderboard", "ranked", is_flag=True, help="A table of models, for fewer than 3.")
def compare(
    runs: tuple[Path, ...],
    out: Path | None,
    form: str,
    as_yaml: bool,
    as_json: bool,
    paired: bool,
    ranked: bool,
) -> int:
    """Compare the audits in RUNS: two say what changed, three or more make a leaderboard.

    Needs the run folders alone: no data, no model. Where two runs hold predictions on the same
    images, accuracies are compared image by image.
    """
    if out is not None:
        claim_folder(out)
    if len(runs) < 2 and not ranked:
        raise AuditError(
            "USAGE",
            "compare needs two or more runs, but got one.",
            "Name another, or --leaderboard.",
        )
    stored = [load_run(path) for path in runs]
    if paired:
        demand_pairs(stored)
    words = ["audit", "compare", *map(str, runs), *(["--leaderboard"] if ranked else [])]
    result = compared(stored, ranked, shlex.join(words))
    form = "yaml" if as_yaml else "json" if as_json else form
    click.echo(printed(result, form), nl=False)
    if out is not None:
        write(result, out)
        click.echo(f"comparison: {visible(str(out / 'compare.html'), 1000)}", err=True)
    return 0


def compared(stored: list[FinishedRun], ranked: bool, command: str) -> Result:
    """Two runs beside each other, or the leaderboard of many."""
    if ranked or len(stored) > 2:
        from audit.comparison.leaderboard import leaderboard

        return leaderboard(stored, command)
    from audit.comparison.two import compare_two

    return compare_two(stored[0], stored[1], command)


def demand_pairs(stored: list[FinishedRun]) -> None:
    """Refuse what --paired cannot be had for.

    Raises:
        AuditError: COMPARE_UNPAIRED.
    """
    for other in stored[1:]:
        reason = not_same_images(stored[0], other)
        if reason:
            raise AuditError(
                "COMPARE_UNPAIRED",
                f"--paired needs runs on the same images, but {visible(str(stored[0].path))} "
                f"and {visible(str(other.path))} cannot be paired: {reason}.",
                "Leave --paired out, or name other runs.",
            )


def printed(result: Result, form: str) -> str:
    """A result for stdout."""
    if form == "yaml":
        return dumped(result.model_dump(mode="python")).decode()
    if form == "json":
        return result.model_dump_json() + "\n"
    import shutil

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    return comparison_text.render(result.document, width, colour=terminal)


def write(result: Result, out: Path) -> None:
    """Write compare.html, compare.md and compare.yaml; whole or not at all.

    Raises:
        AuditError: OUT_EXISTS, OUT_UNUSABLE.
    """
    with new_folder(out) as folder:
        write_atomic(folder / "compare.yaml", printed(result, "yaml").encode())
        for name, writer in (("html", comparison_html), ("md", comparison_markdown)):
            write_atomic(folder / f"compare.{name}", writer.render(result.document).encode())
