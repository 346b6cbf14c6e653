"""Interval charts: one row a model, a dot and its 95 % interval, and the value in figures."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from audit.reports.charts.axes import fit, scale, text_width
from audit.reports.charts.frame import SMALL, centred, value_ticks
from audit.reports.charts.marks import (
    BOLD,
    GRID,
    HALO,
    INK,
    LIMIT,
    MUTED,
    SIZE,
    STRONG,
    Element,
    Figures,
    add,
    dot,
    ends,
    figures_of,
    line,
    point,
    stroke,
)
from audit.reports.document import Chart, Series
from audit.reports.text import cell

_SHELF = 18.0  # height of one limit's label


@dataclass(frozen=True)
class IntervalRow:
    """One line of the chart: a heading alone, or one value of a series."""

    label: str
    series: Series | None = None
    index: int = 0


@dataclass(frozen=True)
class IntervalFrame:
    """Where things go, in pixels.

    Attributes:
        width: Of the whole chart.
        left: Of the plot.
        right: Of the plot; the figures stand behind it.
        top: Of the rows; labels of limits stand above.
        step: Height of a row.
        bottom: Of the rows; the axis stands below.
        marks: Values and labels of the ticks.
        place: From a value to its x.
        mixed: Whether models of several roles are shown.
    """

    width: float
    left: float
    right: float
    top: float
    step: float
    bottom: float
    marks: list[tuple[float, str]]
    place: Callable[[float], float]
    mixed: bool

    def stands_out(self, series: Series) -> bool:
        """Whether a row is the subject's among others'."""
        return self.mixed and series.role == "subject"

    @property
    def stacked(self) -> bool:
        """Whether label and figures stand above the dot."""
        return self.width < SMALL


def rows_of(chart: Chart) -> list[IntervalRow]:
    """Order the values: by category where several models share one, else one row a model."""
    points = [(s, i, cell(x)) for s in chart.series for i, x in enumerate(s.x)]
    categories = list(dict.fromkeys(category for _, _, category in points))
    if all(s.name == category for s, _, category in points):
        return [IntervalRow(s.name, s, i) for s, i, _ in points]
    if len(chart.series) == 1:
        heading = IntervalRow(chart.series[0].name)
        return [heading, *(IntervalRow(category, s, i) for s, i, category in points)]
    if len(categories) == len(points):
        return [IntervalRow(f"{s.name} · {category}", s, i) for s, i, category in points]
    rows = []
    for category in categories:
        shared = [IntervalRow(s.name, s, i) for s, i, c in points if c == category]
        rows += [IntervalRow(category), *shared] if len(categories) > 1 else shared
    return rows


def draw(root: Element, chart: Chart, width: float) -> float:
    """Draw the chart into `root` and return its height in pixels."""
    rows = rows_of(chart)
    figures = figures_of(chart)
    frame = _frame(chart, rows, width, figures)
    _draw_axis(root, chart, frame)
    for number, row in enumerate(rows):
        top = frame.top + number * frame.step
        if row.series is None:
            label = fit(row.label, width, BOLD)
            add(root, "text", label, x=0, y=top + frame.step - 8, style=STRONG)
        else:
            group = point(root, row.series, row.index, figures)
            _draw_words(group, row, row.series, top, frame, _figures(row, figures))
            _draw_value(group, row, row.series, top, frame)
    return frame.bottom + 44


def _frame(chart: Chart, rows: list[IntervalRow], width: float, figures: Figures) -> IntervalFrame:
    """Give each column the room that its longest text needs."""
    stacked = width < SMALL
    labels = max((text_width(row.label, BOLD) for row in rows if row.series), default=0)
    widest = max((text_width(_figures(row, figures), BOLD) for row in rows), default=0)
    left = 0.0 if stacked else min(labels, width * 0.32) + 14
    right = width if stacked else width - min(widest, width * 0.36) - 14
    values, labels_below = value_ticks(chart, 4 if stacked else 6)
    step = 46.0 if stacked else 27.0
    top = 4 + _SHELF * len(chart.limits)
    margin = max((text_width(text, SIZE) / 2 for text in labels_below), default=0)
    place = scale(values, left + margin, right - margin)
    mixed = len({series.role for series in chart.series}) > 1
    marks = list(zip(values, labels_below, strict=True))
    return IntervalFrame(width, left, right, top, step, top + step * len(rows), marks, place, mixed)


def _figures(row: IntervalRow, figures: Figures) -> str:
    if row.series is None:
        return ""
    value = row.series.y[row.index]
    low, high = ends(row.series, row.index)
    words = figures.value(value)
    if math.isnan(value) or (math.isnan(low) and math.isnan(high)):
        return words
    return f"{words} ({figures.between(low, high)})"


def _draw_axis(root: Element, chart: Chart, frame: IntervalFrame) -> None:
    """Grid, ticks, the axis's name, and a thin line with a label for each limit."""
    for mark, label in frame.marks:
        x = frame.place(mark)
        line(root, (x, frame.top), (x, frame.bottom), GRID)
        add(root, "text", label, x=x, y=frame.bottom + 17, text_anchor="middle", style=MUTED)
    for number, (value, words) in enumerate(chart.limits):
        x, y = frame.place(value), _SHELF * (number + 1) - 5
        line(root, (x, y + 5), (x, frame.bottom), LIMIT)
        centred(root, words, x, y, (frame.left, frame.right), INK)
    middle = (frame.left + frame.right) / 2
    centred(root, chart.x_label, middle, frame.bottom + 37, (0, frame.width), MUTED)


def _draw_words(
    group: Element, row: IntervalRow, series: Series, top: float, frame: IntervalFrame, figures: str
) -> None:
    """The model's name on the left, its figures on the right."""
    y = top + (14.0 if frame.stacked else frame.step / 2 + 4.5)
    room = frame.left - 14
    if frame.stacked:
        room = max(60.0, frame.width - text_width(figures, BOLD) - 12)
    style = (STRONG if frame.stands_out(series) else INK) + HALO
    add(group, "text", fit(row.label, room, BOLD), x=0, y=y, style=style)
    end = fit(figures, frame.width * 0.7, BOLD)
    lacks = math.isnan(series.y[row.index])
    style = f"{MUTED}{HALO};font-style:italic" if lacks else style
    add(group, "text", end, x=frame.width, y=y, text_anchor="end", style=style)


def _draw_value(
    group: Element, row: IntervalRow, series: Series, top: float, frame: IntervalFrame
) -> None:
    """The dot and its interval; only a faint dotted track where nothing was measured."""
    y = top + (31.0 if frame.stacked else frame.step / 2)
    value = series.y[row.index]
    if math.isnan(value):
        line(group, (frame.left + 6, y), (frame.right - 6, y), f"{GRID};stroke-dasharray:1 5")
        return
    low, high = ends(series, row.index)
    if not (math.isnan(low) or math.isnan(high)):
        style = stroke(series.role, 2)
        first, last = frame.place(low), frame.place(high)
        line(group, (first, y), (last, y), style)
        for x in (first, last):
            line(group, (x, y - 5), (x, y + 5), style)
    if math.isfinite(value):
        dot(group, (frame.place(value), y), series.role, series.role == "untrained", 0.8)
