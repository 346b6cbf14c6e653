"""`compare.html`: a comparison as one file that opens anywhere, offline, without any script."""

import re

from audit.reports.comparison.document import Comparison
from audit.reports.document import Section
from audit.reports.page import page, row_cell
from audit.reports.text import NOT_MEASURED

_FIGURE = re.compile(r"[+−<>]?[\d.,]*[\d∞](?=$| )")


def render(comparison: Comparison) -> str:
    """Make the page; every string of the comparison is treated as untrusted."""
    return page("comparison.html", document=comparison, is_column_of_figures=is_column_of_figures)


def is_figure(text: str) -> bool:
    """Whether a cell is a number, with its unit or interval."""
    return bool(_FIGURE.match(text))


def is_column_of_figures(section: Section, column: str) -> bool:
    """Whether a column holds numbers, or nothing, and so is set to the right."""
    texts = {row_cell(row, column) for row in section.rows} - {"–", NOT_MEASURED, "no interval"}
    return bool(texts) and all(map(is_figure, texts))
