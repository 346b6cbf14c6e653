"""`report.html`: the whole report as one file that opens anywhere, offline, without any script."""

from pathlib import Path
from typing import Any

from reports.charts import NARROW, WIDE, svg
from reports.files import write_atomic
from reports.marks import ends, figures_of, legend
from reports.pictures import Shown, show
from reports.text import NOT_MEASURED, cell, interval, is_unit, number, visible
from reports.words import Chart, Document, Gate, Picture, Section, Severity

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 4000  # characters of one sentence or paragraph
_MOST_PICTURES = 3 * 2**20  # characters that all pictures of a page take together


def write_html(document: Document, folder: Path) -> Path:
    """Write `report.html` into the run folder.

    Args:
        document: The report. Every string in it is treated as untrusted.
        folder: The run folder, where the pictures named by the document lie; they are embedded.
            A picture that is missing, too large or outside the folder is replaced by a sentence.

    Raises:
        OSError: If the file cannot be written.
    """
    path = folder / "report.html"
    write_atomic(path, render(document, folder).encode())
    return path


def render(document: Document, folder: Path) -> str:
    """Make the page: see `write_html`."""
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
    template = environment.get_template("report.html")
    return template.render(
        document=document,
        severities=_by_severity(document.gates),
        drawings=_drawings,
        columns=columns,
        cell=row_cell,
        chart_rows=chart_rows,
        is_grouped=is_grouped,
        is_number=lambda value: isinstance(value, int | float),
        lacking=NOT_MEASURED,
        albums=_albums(document, folder),
        legend=[(role, _markup(drawing), words) for role, drawing, words in legend()],
    )


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


def _by_severity(gates: tuple[Gate, ...]) -> list[tuple[str, list[Gate]]]:
    """Group the limits; those that decide come first."""
    titles: dict[Severity, str] = {
        "gate": "These decide the verdict",
        "warn": "These warn, and decide nothing",
        "info": "These inform, and decide nothing",
    }
    groups = [(title, [g for g in gates if g.severity == kind]) for kind, title in titles.items()]
    return [(title, group) for title, group in groups if group]


def columns(section: Section) -> list[str]:
    """Names of a section's columns, in the order in which they first occur."""
    return list(dict.fromkeys(key for row in section.rows for key in row))


def row_cell(row: dict[str, Any], column: str) -> str:
    """Print one cell; fractions and the like by the row's own `unit`, where it has one."""
    unit = row.get("unit")
    return cell(row.get(column), unit if isinstance(unit, str) and is_unit(unit) else "")


def is_grouped(chart: Chart) -> bool:
    """Whether the coordinates say more than the names of the models do."""
    points = [(series.name, cell(x)) for series in chart.series for x in series.x]
    return len({x for _, x in points}) > 1 and any(name != x for name, x in points)


def chart_rows(chart: Chart) -> list[tuple[str, str, str, str]]:
    """Model, coordinate, value and interval of every point: the table behind a chart."""
    figures, rows = figures_of(chart), []
    for series in chart.series:
        for index, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            range_ = figures.between(*ends(series, index))
            rows.append((series.name, cell(x), figures.value(y), range_))
    return rows


def _albums(document: Document, folder: Path) -> list[dict[str, list[tuple[Picture, Shown]]]]:
    """The pictures of every section, embedded, by group."""
    albums, room = [], _MOST_PICTURES
    for section in document.sections:
        album: dict[str, list[tuple[Picture, Shown]]] = {}
        for picture in section.pictures:
            shown = show(folder, picture.file)
            if len(shown.source) > room:
                shown = Shown(lack="Left out to keep this page small: it is in the run folder.")
            room -= len(shown.source)
            album.setdefault(picture.group, []).append((picture, shown))
        albums.append(album)
    return albums
