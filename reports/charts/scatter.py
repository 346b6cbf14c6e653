"""Scatter charts: one dot a model, its interval, and its name where there is room beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from audit.reports.charts.axes import finite, fit, text_width, tick_labels, ticks
from audit.reports.charts.frame import (
    SMALL,
    Frame,
    draw_axes,
    draw_notes,
    draw_whisker,
    frame_of,
)
from audit.reports.charts.marks import (
    BOLD,
    HALO,
    INK,
    STRONG,
    Element,
    add,
    dot,
    ends,
    figures_of,
    point,
)
from audit.reports.document import Chart, Series
from audit.reports.text import NOT_MEASURED

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
    narrow = width < SMALL
    domain = ticks(finite(float(x) for s in chart.series for x in s.x), 5 if narrow else 8)
    frame = frame_of(chart, domain, width, width - 16, 280.0 if narrow else 380.0)
    labels = tick_labels(domain, percent=False)
    x_marks = [(frame.x(v), label) for v, label in zip(domain, labels, strict=True)]
    draw_axes(root, chart, frame, x_marks, grid=True)
    spots = sorted(_spots(chart, frame), key=lambda spot: spot.series.role == "subject")
    for spot in spots:  # the subjects last, on top
        _draw_spot(root, chart, spot)
    unnamed = _draw_names(root, spots[::-1], frame)
    lacking = [
        s.name for s in chart.series if not all(map(math.isfinite, (*map(float, s.x), *s.y)))
    ]
    notes = (("No room for the name of", unnamed), (NOT_MEASURED.capitalize(), lacking))
    return draw_notes(root, frame, ((title, ", ".join(names)) for title, names in notes))


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
    if spot.bar.bottom > spot.bar.top:
        draw_whisker(group, spot.series.role, spot.at[0], spot.bar.top, spot.bar.bottom)
    dot(group, spot.at, spot.series.role)


def _draw_names(root: Element, spots: Sequence[Spot], frame: Frame) -> list[str]:
    """Name every dot that has room; return the names of the others."""
    dots = [Box(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in (spot.at for spot in spots)]
    bars = [spot.bar for spot in spots]
    named: list[Box] = []
    nameless: list[str] = []
    for spot in spots:
        text = fit(spot.series.name, 0.45 * frame.width, BOLD)
        options = _places(spot.at, text_width(text, BOLD), frame)
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


def _places(at: tuple[float, float], wide: float, frame: Frame) -> list[Box]:
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
        if frame.left <= box.left and box.right <= frame.right + 14 and box.bottom <= frame.bottom
    ]


def _hits(box: Box, others: Sequence[Box]) -> bool:
    return any(box.meets(other) for other in others)
