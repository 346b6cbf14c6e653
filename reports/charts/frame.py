"""The frame of charts with two numeric axes: places, grid, ticks, whiskers, and notes below."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from audit.reports.charts.axes import finite, fit, scale, text_width, tick_labels, ticks, wrap
from audit.reports.charts.marks import GRID, LIMIT, MUTED, SIZE, Element, add, ends, line, stroke
from audit.reports.document import Chart, Role

SMALL = 520.0  # narrower charts have the layout for small screens
LEADING = 17.0  # least distance of two lines of text
TOP = 30.0  # the value axis's name stands above the plot
WIDEST = 150.0  # of a label below the axis
Marks = list[tuple[float, str]]  # places of ticks, and their labels


@dataclass(frozen=True)
class Frame:
    """Where things go, in pixels; the plot begins at `TOP`.

    Attributes:
        width: Width of the whole chart.
        left: Left edge of the plot.
        right: Right edge of the plot.
        bottom: Lower edge of the plot.
        x: Maps a coordinate to its place.
        y: Maps a value to its place.
        y_marks: Places and labels of the ticks on the left.
    """

    width: float
    left: float
    right: float
    bottom: float
    x: Callable[[float], float]
    y: Callable[[float], float]
    y_marks: Marks


def frame_of(
    chart: Chart, domain: Sequence[float], width: float, right: float, height: float
) -> Frame:
    """Lay out a chart.

    Args:
        chart: The chart.
        domain: Coordinates whose range the horizontal axis covers.
        width: Width of the whole chart in pixels.
        right: Right edge of the plot in pixels.
        height: Height of the plot in pixels.
    """
    values, labels = value_ticks(chart)
    left = max((text_width(label, SIZE) for label in labels), default=0) + 10
    x, y = scale(domain, left + 16, right - 12), scale(values, TOP + height, TOP)
    y_marks = [(y(v), label) for v, label in zip(values, labels, strict=True)]
    return Frame(width, left, right, TOP + height, x, y, y_marks)


def value_ticks(chart: Chart, most: int = 6) -> tuple[list[float], list[str]]:
    """Choose about `most` ticks around all values, intervals and limits, and print them."""
    seen = [v for s in chart.series for i in range(len(s.y)) for v in (s.y[i], *ends(s, i))]
    values = ticks(finite([*seen, *(value for value, _ in chart.limits)]), most)
    return values, tick_labels(values, chart.percent, chart.points)


def draw_axes(
    root: Element, chart: Chart, frame: Frame, x_marks: Marks, *, grid: bool = False
) -> None:
    """Draw ticks, the names of both axes and the limits; with `grid` upright lines, too."""
    for y, label in frame.y_marks:
        line(root, (frame.left, y), (frame.right, y), GRID)
        x = frame.left - 8
        add(root, "text", label, x=x, y=y + 4.5, text_anchor="end", style=MUTED)
    for x, label in x_marks:
        line(root, (x, TOP if grid else frame.bottom), (x, frame.bottom + 5), GRID)
        y = frame.bottom + 20
        add(root, "text", fit(label, WIDEST, SIZE), x=x, y=y, text_anchor="middle", style=MUTED)
    add(root, "text", fit(chart.y_label, frame.width, SIZE), x=0, y=13, style=MUTED)
    middle = (frame.left + frame.right) / 2
    centred(root, chart.x_label, middle, frame.bottom + 40, (0, frame.width), MUTED)
    for value, _ in chart.limits:
        line(root, (frame.left, frame.y(value)), (frame.right, frame.y(value)), LIMIT)


def centred(
    root: Element, text: str, middle: float, y: float, room: tuple[float, float], style: str
) -> None:
    """Write a text around `middle`, as near to it as the room between two places allows."""
    shown = fit(text, room[1] - room[0], SIZE)
    half = text_width(shown, SIZE) / 2
    x = min(max(middle, room[0] + half), room[1] - half)
    add(root, "text", shown, x=x, y=y, text_anchor="middle", style=style)


def draw_whisker(group: Element, role: Role, x: float, low: float, high: float) -> None:
    """Draw an interval as an upright line with two caps, between two places."""
    style = stroke(role, 1.5)
    line(group, (x, low), (x, high), style)
    for y in (low, high):
        line(group, (x - 3, y), (x + 3, y), style)


def draw_notes(root: Element, frame: Frame, notes: Iterable[tuple[str, str]]) -> float:
    """Write titles and their texts below the plot; return the height of the whole chart."""
    y = frame.bottom + 46
    for title, text in notes:
        for words in wrap(f"{title}: {text}" if text else "", frame.width, SIZE):
            y += LEADING
            add(root, "text", words, x=0, y=y, style=f"{MUTED};font-style:italic")
    return y + 4
