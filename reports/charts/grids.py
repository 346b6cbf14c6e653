"""Grids: a table of shares with its 95 % intervals, the larger the share the deeper its colour."""

import math

from audit.reports.charts.axes import finite, text_width, wrap
from audit.reports.charts.frame import LEADING, SMALL
from audit.reports.charts.marks import (
    BOLD,
    GRID,
    INK,
    MUTED,
    SIZE,
    STRONG,
    Element,
    Figures,
    add,
    colour,
    ends,
    figures_of,
    point,
)
from audit.reports.document import Chart, Series
from audit.reports.text import cell

_GAP = 6.0
_TALL = 74.0  # of one field
_WIDE = 190.0  # at most
_DEEPEST = 0.45  # opacity: text on it stays readable
_PALEST = 0.06


def draw(root: Element, chart: Chart, width: float) -> float:
    """Draw the chart into `root` and return its height in pixels."""
    columns = list(dict.fromkeys(cell(x) for series in chart.series for x in series.x))
    stacked = width < SMALL
    longest = max(text_width(series.name, BOLD) for series in chart.series)
    left = 0.0 if stacked else min(longest, width * 0.28) + 12
    field = min(_WIDE, (width - left + _GAP) / len(columns) - _GAP)
    top = _draw_head(root, columns, left, field)
    step = _TALL + _GAP + (LEADING + 6 if stacked else 0.0)
    largest = max(finite(v for series in chart.series for v in series.y), default=0.0)
    for number, series in enumerate(chart.series):
        y = top + (number + 1) * step - _TALL - _GAP
        middle = y - LEADING / 2 - 3 if stacked else y + _TALL / 2
        _lines(root, series.name, (0.0, middle), width if stacked else left - 12, STRONG)
        for index, x in enumerate(series.x):
            at = (left + columns.index(cell(x)) * (field + _GAP), y)
            _draw_field(root, series, index, at, field, largest, figures_of(chart))
    return top + len(chart.series) * step


def _draw_head(root: Element, columns: list[str], left: float, field: float) -> float:
    """Names of the columns; return where the fields begin."""
    lines = max(len(wrap(name, field, BOLD)) for name in columns)
    for number, name in enumerate(columns):
        middle = lines * LEADING / 2
        _lines(root, name, (left + number * (field + _GAP), middle), field, STRONG)
    return lines * LEADING + 8


def _draw_field(
    root: Element,
    series: Series,
    index: int,
    at: tuple[float, float],
    field: float,
    largest: float,
    figures: Figures,
) -> None:
    """One share: its colour, the number, the interval below."""
    x, y = at
    value, (low, high) = series.y[index], ends(series, index)
    group = point(root, series, index, figures)
    lacks = math.isnan(value)
    depth = 0.0 if lacks else _PALEST + (_DEEPEST - _PALEST) * value / (largest or 1.0)
    style = f"fill:{colour(series.role)};fill-opacity:{depth:.3f};{GRID}"
    add(group, "rect", x=x, y=y, width=field, height=_TALL, rx=6, style=style)
    words = figures.value(value)
    number = add(group, "text", words, x=x + 12, y=y + 32, style=MUTED if lacks else STRONG)
    number.set("font-size", f"{SIZE * (1.0 if lacks else 1.45):g}")
    if not (math.isnan(low) and math.isnan(high)):
        _lines(group, figures.between(low, high), (x + 12, y + 54), field - 16, INK)


def _lines(parent: Element, text: str, at: tuple[float, float], width: float, style: str) -> None:
    """Write a text in as many lines as it needs, their middle at `at`."""
    words = wrap(text, width, BOLD)
    for number, line in enumerate(words):
        y = at[1] + (number - (len(words) - 1) / 2) * LEADING + 4.5
        add(parent, "text", line, x=at[0], y=y, style=style)
