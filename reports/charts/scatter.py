"""Scatter charts: one dot a model, its interval, and its name where there is room beside it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.reports.charts.axes import finite, fit, scale, text_width, tick_labels, ticks, wrap
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
    add,
    dot,
    ends,
    figures_of,
    line,
    point,
    stroke,
)
from audit.reports.document import Chart, Series
from audit.reports.text import NOT_MEASURED

_TOP = 30.0  # the value axis's name stands above the plot

_LEADING = 17.0

_HEIGHT = 13.0  # of a name

_DOT = 7.0  # half the room that a dot takes


@dataclass(frozen=True)
class Box:
    """A rectangle that something covers, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether the two cover a common place."""
        beside = self.right <= other.left or other.right <= self.left
        return not beside and self.top < other.bottom and other.top < self.bottom


@dataclass(frozen=True)
class Frame:
    """Where things go, in pixels.

    Attributes:
        plot: Inside the axes.
        x: From a coordinate to its place.
        y: From a value to its place.
        x_marks: Places and labels of the ticks below.
        y_marks: Likewise, on the left.
    """

    plot: Box
    x: Callable[[float], float]
    y: Callable[[float], float]
    x_marks: list[tuple[float, str]]
    y_marks: list[tuple[float, str]]


@dataclass(frozen=True)
class Spot:
    """One dot that can be drawn.

    Attributes:
        series: It belongs to.
        index: Of the point in it.
        at: Its place.
        bar: What its interval covers.
    """

    series: Series
    index: int
    at: tuple[float, float]
    bar: Box


def draw(root: Element, chart: Chart, width: float) -> float:
    """Draw the chart into `root` and return its height in pixels."""
    frame = _frame(chart, width)
    _draw_axes(root, chart, frame, width)
    for value, _ in chart.limits:
        y = frame.y(value)
        line(root, (frame.plot.left, y), (frame.plot.right, y), LIMIT)
    spots = sorted(_spots(chart, frame), key=lambda spot: spot.series.role == "subject")
    for spot in spots:  # the subjects last, on top
        _draw_spot(root, chart, spot)
    nameless = _draw_names(root, spots[::-1], frame, width)
    return _draw_rest(root, chart, nameless, frame, width)


def _frame(chart: Chart, width: float) -> Frame:
    seen = [v for s in chart.series for i in range(len(s.y)) for v in (s.y[i], *ends(s, i))]
    values = ticks(finite([*seen, *(value for value, _ in chart.limits)]))
    places = ticks(finite(float(x) for s in chart.series for x in s.x), 5 if width < 520 else 8)
    labels = tick_labels(values, chart.percent, chart.points)
    left = max((text_width(label, SIZE) for label in labels), default=0) + 10
    bottom = _TOP + (280.0 if width < 520 else 380.0)
    plot = Box(left, _TOP, width - 16, bottom)
    x, y = scale(places, plot.left + 12, plot.right - 12), scale(values, bottom, _TOP)
    below = tick_labels(places, percent=False)
    return Frame(
        plot,
        x,
        y,
        [(x(v), label) for v, label in zip(places, below, strict=True)],
        [(y(v), label) for v, label in zip(values, labels, strict=True)],
    )


def _draw_axes(root: Element, chart: Chart, frame: Frame, width: float) -> None:
    plot = frame.plot
    for y, label in frame.y_marks:
        line(root, (plot.left, y), (plot.right, y), GRID)
        add(root, "text", label, x=plot.left - 8, y=y + 4.5, text_anchor="end", style=MUTED)
    for x, label in frame.x_marks:
        line(root, (x, plot.top), (x, plot.bottom + 5), GRID)
        add(root, "text", label, x=x, y=plot.bottom + 20, text_anchor="middle", style=MUTED)
    add(root, "text", fit(chart.y_label, width, SIZE), x=0, y=13, style=MUTED)
    label, middle = fit(chart.x_label, width, SIZE), (plot.left + plot.right) / 2
    add(root, "text", label, x=middle, y=plot.bottom + 40, text_anchor="middle", style=MUTED)


def _spots(chart: Chart, frame: Frame) -> list[Spot]:
    """The points that have both coordinates."""
    spots = []
    for series in chart.series:
        for index, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            if not (math.isfinite(float(x)) and math.isfinite(y)):
                continue
            at = frame.x(float(x)), frame.y(y)
            low, high = (frame.y(v) if math.isfinite(v) else at[1] for v in ends(series, index))
            spots.append(Spot(series, index, at, Box(at[0] - 4, high, at[0] + 4, low)))
    return spots


def _draw_spot(root: Element, chart: Chart, spot: Spot) -> None:
    group = point(root, spot.series, spot.index, figures_of(chart))
    style, x = stroke(spot.series.role, 1.5), spot.at[0]
    if spot.bar.bottom > spot.bar.top:
        line(group, (x, spot.bar.top), (x, spot.bar.bottom), style)
        for y in (spot.bar.top, spot.bar.bottom):
            line(group, (x - 3, y), (x + 3, y), style)
    dot(group, spot.at, spot.series.role)


def _draw_names(root: Element, spots: Sequence[Spot], frame: Frame, width: float) -> list[str]:
    """Name every dot that has room; return the names of the others."""
    dots = [Box(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in (spot.at for spot in spots)]
    bars = [spot.bar for spot in spots]
    named: list[Box] = []
    nameless: list[str] = []
    for spot in spots:
        text = fit(spot.series.name, 0.45 * width, BOLD)
        options = _places(spot.at, text_width(text, BOLD), frame.plot)
        free = [box for box in options if not _hits(box, [*dots, *named])]
        clear = [box for box in free if not _hits(box, bars)]
        if not free:
            nameless.append(spot.series.name)
            continue
        box = (clear or free)[0]
        named.append(box)
        style = (STRONG if spot.series.role == "subject" else INK) + HALO
        add(root, "text", text, x=box.left, y=box.bottom - 2, style=style)
    return nameless


def _places(at: tuple[float, float], wide: float, plot: Box) -> list[Box]:
    """Where a name may stand: beside its dot, or a little above or below, inside the plot."""
    x, y = at
    sides = (x + _DOT + 2, x - _DOT - 2 - wide)
    lifts = (0.0, -10.0, 10.0)
    corners = [(left, y + lift) for lift in lifts for left in sides]
    corners += [(x - wide / 2, y + lift) for lift in (-16.0, 16.0)]
    boxes = [
        Box(left, middle - _HEIGHT / 2, left + wide, middle + _HEIGHT / 2)
        for left, middle in corners
    ]
    return [
        box
        for box in boxes
        if plot.left <= box.left and box.right <= plot.right + 14 and box.bottom <= plot.bottom
    ]


def _hits(box: Box, others: Sequence[Box]) -> bool:
    return any(box.meets(other) for other in others)


def _draw_rest(
    root: Element, chart: Chart, nameless: Sequence[str], frame: Frame, width: float
) -> float:
    """Say below the plot what has no name, or no dot; return the height of all."""
    lacking = [
        s.name for s in chart.series if not all(map(math.isfinite, (*map(float, s.x), *s.y)))
    ]
    y = frame.plot.bottom + 46
    for title, names in (("No room for the name of", nameless), (NOT_MEASURED, lacking)):
        told = f"{title[0].upper()}{title[1:]}: {', '.join(names)}" if names else ""
        for words in wrap(told, width, SIZE):
            y += _LEADING
            add(root, "text", words, x=0, y=y, style=f"{MUTED};font-style:italic")
    return y + 4
