"""One page from one template: escaped, every string made visible, drawings and tables at hand."""

from pathlib import Path
from typing import Any

from audit.reports.charts.marks import ends, figures_of, legend
from audit.reports.charts.svg import NARROW, WIDE, svg
from audit.reports.document import Chart, Section
from audit.reports.text import NOT_MEASURED, cell, interval, is_unit, number, visible

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 4000  # characters of one sentence or paragraph


def page(template: str, **values: Any) -> str:
    """Fill in a template; every string is treated as untrusted.

    Args:
        template: Name of a file in `reports/templates`.
        **values: What it needs beside the functions and words that all templates have.
    """
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
    return environment.get_template(template).render(
        drawings=_drawings,
        columns=columns,
        cell=row_cell,
        chart_rows=chart_rows,
        lacking=NOT_MEASURED,
        legend=[(role, _markup(drawing), words) for role, drawing, words in legend()],
        **values,
    )


def columns(section: Section) -> list[str]:
    """Names of a section's columns, in the order in which they first occur."""
    return list(dict.fromkeys(key for row in section.rows for key in row))


def row_cell(row: dict[str, Any], column: str) -> str:
    """Print one cell; fractions and the like by the row's own `unit`, where it has one."""
    unit = row.get("unit")
    return cell(row.get(column), unit if isinstance(unit, str) and is_unit(unit) else "")


def chart_rows(chart: Chart) -> list[tuple[str, str, str, str]]:
    """Model, coordinate, value and interval of every point: the table behind a chart."""
    figures, rows = figures_of(chart), []
    for series in chart.series:
        for index, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            range_ = figures.between(*ends(series, index))
            rows.append((series.name, cell(x), figures.value(y), range_))
    return rows


def _seen(value: Any) -> Any:
    """Make every string visible just before it is escaped; what we drew ourselves stays."""
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value, _LONGEST)
    return value


def _markup(drawn: str) -> Any:
    """Mark a text that this package wrote, and escaped, as HTML."""
    from markupsafe import Markup

    return Markup(drawn)


def _drawings(chart: Chart, key: str) -> tuple[Any, Any]:
    """Draw a chart for wide and for small screens; the style sheet shows one of them."""
    return (
        _markup(svg(chart, WIDE, f"{key}-wide")),
        _markup(svg(chart, NARROW, f"{key}-narrow")),
    )
