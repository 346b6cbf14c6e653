"""Charts as inline SVG: text stays text, and the same chart is the same bytes every time.

Hand-made rather than matplotlib's: found by search and by screen readers, in colours that follow
the page into dark mode, with a layout for small screens, and with the exact values in `data-`
attributes.
"""

import hashlib
from xml.etree import ElementTree

from audit.reports.charts import grids, intervals, lines, scatter
from audit.reports.charts.marks import MUTED, SIZE, add
from audit.reports.document import Chart
from audit.reports.text import NOT_MEASURED, visible

_DRAWERS = {
    "interval": intervals.draw,
    "line": lines.draw,
    "grid": grids.draw,
    "scatter": scatter.draw,
}

WIDE = 840
NARROW = 360


def svg(chart: Chart, width: int = WIDE, key: str = "") -> str:
    """Draw a chart.

    A value that is NaN is written "not measured"; it is never drawn. Colours are the CSS
    variables `--subject`, `--null`, `--control`, `--untrained`, `--muted`, `--line`, `--paper`,
    with a fallback for a light page.

    Args:
        chart: Of any kind.
        width: In pixels; below 520 the layout is the one for small screens.
        key: What its ids begin with; different for each drawing on one page. Without it, a digest
            of the chart and the width.

    Returns:
        One `<svg>` element to stand in HTML: title, description, no script, no reference to
        anything outside.

    Raises:
        ValueError: If a series has not as many values as coordinates.
    """
    for series in chart.series:
        if len(series.x) != len(series.y):
            raise ValueError(f"a series needs one value per coordinate, {series.name!r} has not")
    key = key or f"c{hashlib.sha256(chart.model_dump_json().encode()).hexdigest()[:12]}-{width}"
    root = ElementTree.Element("svg", {"role": "img", "width": str(width)})
    root.set("aria-labelledby", f"{key}-title")
    root.set("aria-describedby", f"{key}-desc")
    add(root, "title", visible(chart.title, 400), id=f"{key}-title")
    add(root, "desc", visible(chart.description, 2000), id=f"{key}-desc")
    draw = _DRAWERS[chart.kind]
    if any(series.x for series in chart.series):
        height = round(draw(root, chart, float(width)))
    else:
        height = 24
        add(root, "text", NOT_MEASURED, x=0, y=17, style=MUTED)
    root.set("height", str(height))
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("font-size", f"{SIZE:g}")
    root.set("font-family", "system-ui, sans-serif")
    return ElementTree.tostring(root, encoding="unicode")
