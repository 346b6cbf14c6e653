"""Marks that every chart shares: text, lines, dots; one colour, dash and dot per role.

Colours: Okabe & Ito (2008), "Color universal design", told apart by colour-blind readers. They
are CSS variables with a fallback, so that a page can change them for a dark background.
"""

import math
from dataclasses import dataclass
from xml.etree import ElementTree

from audit.reports.document import Chart, Role, Series
from audit.reports.text import fixed, interval, number, visible

Element = ElementTree.Element
SIZE = 13.0  # of all text, pixels
BOLD = SIZE * 1.12  # size of a usual letter that is as wide as a bold one
INK = "fill:currentColor"
STRONG = "fill:currentColor;font-weight:650"
MUTED = "fill:var(--muted,#5b6470)"
HALO = ";paint-order:stroke;stroke:var(--paper,#fff);stroke-width:4;stroke-linejoin:round"
GRID = "stroke:var(--line,#d9dde2);stroke-width:1"
LIMIT = "stroke:currentColor;stroke-width:1;stroke-dasharray:2 3;opacity:.75"

_COLOURS: dict[Role, str] = {
    "subject": "var(--subject,#0072b2)",
    "null": "var(--null,#d55e00)",
    "control": "var(--control,#009e73)",
    "untrained": "var(--untrained,#cc79a7)",
}

_DASHES: dict[Role, str] = {
    "subject": "",
    "null": ";stroke-dasharray:8 3",
    "control": ";stroke-dasharray:8 3 2 3",
    "untrained": ";stroke-dasharray:2 3",
}

_SHAPES: dict[Role, str] = {  # around (0, 0), about 10 pixels wide
    "subject": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "null": "M-4.5 -4.5H4.5V4.5H-4.5Z",
    "control": "M0 -5.5L5.5 4.5H-5.5Z",
    "untrained": "M0 -6L6 0L0 6L-6 0Z",
}


@dataclass(frozen=True)
class Figures:
    """Prints the values of one chart, all with equally many decimals.

    Attributes:
        percent: Whether they are fractions, printed in percent.
        decimals: Otherwise; three significant digits of the largest value.
        points: Whether they are differences of fractions, printed in points without the word.
    """

    percent: bool
    decimals: int
    points: bool = False

    def value(self, value: float) -> str:
        """Print one value; NaN is "not measured"."""
        if self.points:
            return fixed(100 * value, 1)
        return number(value, "fraction") if self.percent else fixed(value, self.decimals)

    def between(self, low: float, high: float) -> str:
        """Print an interval."""
        if self.percent or (math.isnan(low) and math.isnan(high)):
            return interval(low, high, "fraction")
        return " to ".join("?" if math.isnan(v) else self.value(v) for v in (low, high))


def figures_of(chart: Chart) -> Figures:
    """Choose the decimals that all values of a chart are printed with."""
    if chart.points:
        return Figures(percent=False, decimals=1, points=True)
    sizes = [abs(v) for s in chart.series for v in s.y if math.isfinite(v) and v]
    power = math.floor(math.log10(max(sizes, default=1.0)))
    return Figures(chart.percent, min(8, 1 - power if power < 0 else max(0, 2 - power)))


def add(parent: Element, name: str, text: str = "", **attributes: str | float) -> Element:
    """Append an element; an underscore in an attribute's name becomes a hyphen.

    A `style` is written as the attributes that it consists of: build servers that show a page
    under a policy of their own forbid styles, and drawings should keep their colours there.
    """
    style = str(attributes.pop("style", ""))
    attributes |= dict(part.split(":", 1) for part in style.split(";") if part)
    written = {
        key.replace("_", "-"): value if isinstance(value, str) else _short(value)
        for key, value in attributes.items()
    }
    element = ElementTree.SubElement(parent, name, written)
    element.text = text or None
    return element


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def line(parent: Element, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
    """Append a straight line between two points (x, y)."""
    add(parent, "line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], style=style)


def colour(role: Role) -> str:
    """The role's colour, as a style's value."""
    return _COLOURS[role]


def stroke(role: Role, width: float, dashed: bool = False) -> str:
    """Style of a line in the role's colour, and in its dashes if asked for."""
    dashes = _DASHES[role] if dashed else ""
    return f"fill:none;stroke:{_COLOURS[role]};stroke-width:{width:g}{dashes}"


def dot(
    parent: Element, at: tuple[float, float], role: Role, hollow: bool = False, size: float = 1
) -> None:
    """Append the role's dot, about ten pixels wide at size 1."""
    fill = "var(--paper,#fff)" if hollow else _COLOURS[role]
    style = f"fill:{fill};stroke:{_COLOURS[role]};stroke-width:1.75"
    place = f"translate({_short(at[0])} {_short(at[1])}) scale({size:g})"
    add(parent, "path", d=_SHAPES[role], transform=place, style=style)


def point(parent: Element, series: Series, index: int, figures: Figures) -> Element:
    """Append a group for one value: exact numbers in its attributes, words in its tooltip."""
    low, high = ends(series, index)
    group = add(
        parent,
        "g",
        data_series=visible(series.name),
        data_x=visible(str(series.x[index])),
        data_y=repr(series.y[index]),
        data_low=repr(low),
        data_high=repr(high),
    )
    words = figures.value(series.y[index])
    if not (math.isnan(low) and math.isnan(high)):
        words += f", 95 % interval {figures.between(low, high)}"
    add(group, "title", f"{visible(series.name)}: {words}")
    return group


def ends(series: Series, index: int) -> tuple[float, float]:
    """The interval of one point; NaN where there is none."""
    low = series.low[index] if index < len(series.low) else math.nan
    high = series.high[index] if index < len(series.high) else math.nan
    return low, high


def legend() -> list[tuple[Role, str, str]]:
    """Role, its sign as a small `<svg>`, and what it means, for a reader new to the words."""
    words: dict[Role, str] = {
        "subject": "Subject: the classifier that was audited.",
        "null": "Null: a deliberately limited model trained on the subject's own data. What it "
        "can do needs no global understanding.",
        "control": "Control: a network that is not limited, trained by the nulls' recipe. It "
        "tells blindness from recipe and budget.",
        "untrained": "Untrained: the same network before any training.",
    }
    signs = []
    for role, meaning in words.items():
        root = Element("svg", {"width": "34", "height": "14", "aria-hidden": "true"})
        line(root, (0, 7), (34, 7), stroke(role, 1.75, dashed=True))
        dot(root, (17, 7), role, hollow=role == "untrained")
        signs.append((role, ElementTree.tostring(root, encoding="unicode"), meaning))
    return signs
