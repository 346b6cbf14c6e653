"""The verdict of a report as a card for notebooks: a few lines of HTML without style sheet."""

from html import escape
from pathlib import Path

from audit.reports.document import Document
from audit.reports.text import visible

COLOURS = {"pass": "#1a7f37", "fail": "#b42318", "inconclusive": "#8a6100"}  # 4.5:1 on white
SHOWN = 3  # numbers


def card(document: Document, folder: Path) -> str:
    """Show the verdict, its sentence, three numbers and a link to the whole report.

    Args:
        document: The report in words.
        folder: Run folder that holds report.html; the link is left out where there is none.
    """
    colour = COLOURS[document.verdict]
    rows = "".join(
        f"<tr><td>{_safe(number.label)}</td><td><b>{_safe(number.value)}</b></td>"
        f"<td>{_safe(number.interval)}</td><td>n = {number.n:,}</td></tr>"
        for number in document.numbers[:SHOWN]
    )
    file = folder / "report.html"
    link = f'<p><a href="{escape(file.resolve().as_uri())}">whole report</a></p>'
    return (
        f'<div><p><b style="color:{colour}">{document.verdict.upper()}</b> '
        f"{_safe(document.title)}</p><p>{_safe(document.headline)}</p><table>{rows}</table>"
        f"{link if file.is_file() else ''}</div>"
    )


def _safe(text: str) -> str:
    """Text that does nothing in a page: names come from files and folders of other people."""
    return escape(visible(text, 1000))
