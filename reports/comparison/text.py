"""A comparison on a terminal: the same sections, their rows as aligned tables."""

import io

from audit.reports.comparison.document import Comparison
from audit.reports.document import Section
from audit.reports.page import columns, row_cell
from audit.reports.text import visible

WIDTH = 150  # where the output is no terminal


def render(comparison: Comparison, width: int | None = None, colour: bool = False) -> str:
    """Make the text.

    Args:
        comparison: Every string in it is treated as untrusted.
        width: Of the terminal, in characters; None: it is none.
        colour: Whether headings may be bold.
    """
    from rich.console import Console
    from rich.text import Text

    out = io.StringIO()
    console = Console(
        file=out,
        width=width or WIDTH,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        legacy_windows=False,
    )
    console.print(Text(visible(comparison.title, 400), style="bold"))
    for run in comparison.runs:
        facts = ", ".join(f"{label}: {value}" for label, value in run.facts.items())
        console.print(Text(visible(f"  {run.label}  {run.title} ({facts})", 1000)))
    console.print(Text(visible(comparison.headline, 2000)), "")
    for section in comparison.sections:
        console.print(Text(visible(section.title, 400), style="bold"))
        console.print(Text(visible(section.summary, 4000)))
        if section.rows:
            console.print(_table(section))
        console.print()
    for sentence in comparison.caveats:
        console.print(Text(f"- {visible(sentence, 2000)}"))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _table(section: Section) -> object:
    """The rows of a section; names break where they must, figures stay whole."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = columns(section)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for name in names:
        words = [word for row in section.rows for word in row_cell(row, name).split()]
        least = min(24, max(len(word) for word in [*words, *name.split()]))
        table.add_column(Text(visible(name)), min_width=least, overflow="fold")
    for row in section.rows:
        table.add_row(*(Text(visible(row_cell(row, name), 600)) for name in names))
    return table
