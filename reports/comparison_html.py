"""`compare.html`: a comparison as one file that opens anywhere, offline, without any script."""

import re

from reports.comparison import Comparison
from reports.html import _TEMPLATES, _drawings, _markup, _seen, chart_rows, columns, row_cell
from reports.marks import legend
from reports.text import NOT_MEASURED, interval, number, visible
from reports.words import Section

_FIGURE = re.compile(r"[+−<>]?[\d.,]*[\d∞](?=$| )")


def render(comparison: Comparison) -> str:
    """Make the page; every string of the comparison is treated as untrusted."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"name": visible, "number": number, "interval": interval}
    return environment.get_template("comparison.html").render(
        document=comparison,
        drawings=_drawings,
        columns=columns,
        cell=row_cell,
        chart_rows=chart_rows,
        is_column_of_figures=is_column_of_figures,
        lacking=NOT_MEASURED,
        legend=[(role, _markup(sign), words) for role, sign, words in legend()],
    )


def is_figure(text: str) -> bool:
    """Whether a cell is a number, with its unit or interval."""
    return bool(_FIGURE.match(text))


def is_column_of_figures(section: Section, column: str) -> bool:
    """Whether a column holds numbers, or nothing, and so is set to the right."""
    texts = {row_cell(row, column) for row in section.rows} - {"–", NOT_MEASURED, "no interval"}
    return bool(texts) and all(map(is_figure, texts))
