"""Line charts: curves with their 95 % intervals, each named at its end."""

import math
from collections.abc import Callable, Iterable, Iterator

from audit.reports.charts.axes import (
    finite,
    fit,
    spread,
    text_width,
    tick_labels,
    ticks,
    wrap,
)
from audit.reports.charts.frame import (
    LEADING,
    SMALL,
    TOP,
    WIDEST,
    Frame,
    Marks,
    draw_axes,
    draw_notes,
    draw_whisker,
    frame_of,
)
from audit.reports.charts.marks import (
    BOLD,
    GRID,
    INK,
    SIZE,
    STRONG,
    Element,
    add,
    dot,
    ends,
    figures_of,
    point,
    stroke,
)
from audit.reports.document import Chart, Series
from audit.reports.text import NOT_MEASURED, cell, fixed

_NAMES_BEGIN = 38.0  # behind the right edge of the plot
_MOST_LINES = 2  # of a name there


def draw(root: Element, chart: Chart, width: float) -> float:
    """Draw the chart into `root` and return its height in pixels."""
    axis = _axis(chart)
    frame = _frame(chart, axis, width)
    draw_axes(root, chart, frame, _x_marks(chart, axis, frame.x, 8))
    order = sorted(range(len(chart.series)), key=lambda i: chart.series[i].role == "subject")
    tails: list[tuple[float, float] | None] = [None] * len(chart.series)
    for number in order:  # the subject last, on top
        tails[number] = _draw_curve(root, chart, number, axis[number], frame)
    _draw_labels(root, chart, tails, frame)
    return draw_notes(root, frame, _lacking(chart))


def _axis(chart: Chart) -> list[list[float]]:
    """Place every coordinate on one numeric axis; categories stand at 0, 1, 2, and so on."""
    if not any(isinstance(x, str) for series in chart.series for x in series.x):
        return [[float(x) for x in series.x] for series in chart.series]
    names = list(dict.fromkeys(cell(x) for series in chart.series for x in series.x))
    return [[float(names.index(cell(x))) for x in series.x] for series in chart.series]


def _frame(chart: Chart, axis: list[list[float]], width: float) -> Frame:
    narrow = width < SMALL
    names = [s.name for s in chart.series] + [words for _, words in chart.limits]
    longest = max((text_width(name, BOLD) for name in names), default=0)
    beside = min(longest, width * (0.36 if narrow else 0.3))
    lines = max((len(_lines(name, beside)) for name in names), default=1)
    height = max(220.0 if narrow else 260.0, LEADING * (len(names) * lines + 1))
    places = finite(x for xs in axis for x in xs)
    return frame_of(chart, places, width, width - beside - _NAMES_BEGIN, height)


def _x_marks(
    chart: Chart, axis: list[list[float]], x: Callable[[float], float], most: int
) -> Marks:
    """Where it was measured, or round numbers if that is more than `most` places."""
    decimals = _decimals(place for places in axis for place in places)
    named = {
        place: name if isinstance(name, str) else _plainly(name, decimals)
        for places, series in zip(axis, chart.series, strict=True)
        for place, name in zip(places, series.x, strict=True)
        if math.isfinite(place)
    }
    categories = any(isinstance(name, str) for series in chart.series for name in series.x)
    if len(named) > most and not categories:
        rounds = ticks(list(named), most)
        both = zip(rounds, tick_labels(rounds, percent=False), strict=True)
        named = {at: label for at, label in both if min(named) <= at <= max(named)}
    return _apart([(x(place), name) for place, name in sorted(named.items())])


def _decimals(places: Iterable[float]) -> int:
    """Decimals that show three digits of the largest coordinate."""
    largest = max((abs(p) for p in places if math.isfinite(p) and p), default=1.0)
    return min(8, max(0, 2 - math.floor(math.log10(largest))))


def _plainly(place: float, decimals: int) -> str:
    """A coordinate without zeros that say nothing: 0.3200 is 0.32."""
    text = fixed(place, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _apart(marks: Marks) -> Marks:
    """Leave out labels that would touch one before."""
    kept: Marks = []
    for at, label in marks:
        if not kept or at - kept[-1][0] >= _half(kept[-1][1]) + 6 + _half(label):
            kept.append((at, label))
    return kept


def _half(label: str) -> float:
    return min(WIDEST, text_width(label, SIZE)) / 2


def _draw_curve(
    root: Element, chart: Chart, number: int, places: list[float], frame: Frame
) -> tuple[float, float] | None:
    """Draw one curve, broken where it was not measured; return its last point."""
    series = chart.series[number]
    apart = min(2.5, 12 / len(chart.series))  # so that whiskers stand side by side
    shift = (number - (len(chart.series) - 1) / 2) * apart
    spots = [(frame.x(p) + shift, frame.y(v)) for p, v in zip(places, series.y, strict=True)]
    drawn = [math.isfinite(p) and math.isfinite(v) for p, v in zip(places, series.y, strict=True)]
    group, figures = add(root, "g"), figures_of(chart)
    style = stroke(series.role, 2.5 if series.role == "subject" else 1.75, dashed=True)
    for piece in _pieces(spots, drawn):
        add(group, "polyline", points=" ".join(f"{x:.2f},{y:.2f}" for x, y in piece), style=style)
    hollow = _hollow(chart, number)
    for index, spot in enumerate(spots):
        one = point(group, series, index, figures)
        if drawn[index]:
            low, high = ends(series, index)
            if not (math.isnan(low) or math.isnan(high)):
                draw_whisker(one, series.role, spot[0], frame.y(low), frame.y(high))
            dot(one, spot, series.role, hollow)
    return next((spot for spot, ok in zip(spots[::-1], drawn[::-1], strict=True) if ok), None)


def _hollow(chart: Chart, number: int) -> bool:
    """Every second curve of one role has hollow dots."""
    role = chart.series[number].role
    return sum(other.role == role for other in chart.series[:number]) % 2 == 1


def _pieces(
    spots: list[tuple[float, float]], drawn: list[bool]
) -> Iterator[list[tuple[float, float]]]:
    """Yield the unbroken stretches of two points or more."""
    piece: list[tuple[float, float]] = []
    for spot, ok in [*zip(spots, drawn, strict=True), ((0.0, 0.0), False)]:
        if ok:
            piece.append(spot)
            continue
        if len(piece) > 1:
            yield piece
        piece = []


def _draw_labels(
    root: Element, chart: Chart, tails: list[tuple[float, float] | None], frame: Frame
) -> None:
    """Name every curve and limit behind the plot, without overlap, tied by a thin line."""
    named = [(tail, number) for number, tail in enumerate(tails) if tail is not None]
    limits = [((frame.right, frame.y(value)), words) for value, words in chart.limits]
    wanted = [tail[1] for tail, _ in [*named, *limits]]
    room = frame.width - frame.right - _NAMES_BEGIN
    names = [chart.series[number].name for _, number in named] + [words for _, words in limits]
    lines = max((len(_lines(name, room)) for name in names), default=1)
    places = spread(wanted, LEADING * lines, TOP, frame.bottom)
    for (tail, number), y in zip(named, places, strict=False):
        series = chart.series[number]
        _tie(root, tail, y, frame)
        dot(root, (frame.right + 28, y), series.role, _hollow(chart, number), 0.75)
        _name(root, series.name, y, frame, STRONG if series.role == "subject" else INK)
    for (tail, words), y in zip(limits, places[len(named) :], strict=True):
        _tie(root, tail, y, frame)
        _name(root, words, y, frame, INK)


def _tie(root: Element, tail: tuple[float, float], y: float, frame: Frame) -> None:
    """A thin line from a curve's end, level to the edge of the plot, then to its name."""
    start = f"{tail[0] + 8:.2f},{tail[1]:.2f} " if tail[0] + 8 < frame.right else ""
    path = f"{start}{frame.right + 4:.2f},{tail[1]:.2f} {frame.right + 20:.2f},{y:.2f}"
    add(root, "polyline", points=path, style=f"fill:none;{GRID}")


def _name(root: Element, name: str, y: float, frame: Frame, style: str) -> None:
    """Write a name in as many lines as it needs, their middle level with its dot."""
    x = frame.right + _NAMES_BEGIN
    words = _lines(name, frame.width - x)
    for number, text in enumerate(words):
        lift = (number - (len(words) - 1) / 2) * (LEADING - 2)
        add(root, "text", text, x=x, y=y + 4.5 + lift, style=style)


def _lines(name: str, room: float) -> list[str]:
    """Break a name into lines of at most this width; what is left over is cut."""
    lines = wrap(name, room + 1, BOLD)
    if len(lines) <= _MOST_LINES:
        return lines
    kept = lines[: _MOST_LINES - 1]
    return [*kept, fit(" ".join(lines[_MOST_LINES - 1 :]), room + 1, BOLD)]


def _lacking(chart: Chart) -> Iterator[tuple[str, str]]:
    """What could not be drawn, and why."""
    for test, title in ((math.isnan, NOT_MEASURED), (math.isinf, "infinite")):
        found = [words for words in (_where(series, test) for series in chart.series) if words]
        yield title.capitalize(), "; ".join(found)


def _where(series: Series, test: Callable[[float], bool]) -> str:
    """The series and the coordinates at which the test holds; empty if nowhere."""
    found = [cell(x) for x, y in zip(series.x, series.y, strict=True) if test(y)]
    if len(found) in (0, len(series.y)):
        return series.name if found else ""
    return f"{series.name} at {', '.join(found)}"
