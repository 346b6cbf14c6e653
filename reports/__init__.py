"""Writers of reports. A leaf: plain words in, files out; no torch, no knowledge of audits.

words: the vocabulary, a `Document`. text: hostile names made visible, numbers in words.
html, markdown, junit, sarif, model_card: the formats. charts: inline SVG. yaml: what is stored.
files: safe writing.
Adding a format is one file and one name in `FORMATS`.
"""

from collections.abc import Callable
from pathlib import Path

from audit.reports.document import Document
from audit.reports.html import write_html
from audit.reports.junit import write_junit
from audit.reports.markdown import write_markdown
from audit.reports.model_card import write_model_card
from audit.reports.sarif import write_sarif

FORMATS: tuple[Callable[[Document, Path], Path], ...] = (
    write_html,
    write_markdown,
    write_junit,
    write_sarif,
    write_model_card,
)


def write_all(document: Document, folder: Path) -> None:
    """Write every format of a report."""
    for write in FORMATS:
        write(document, folder)
