"""`report.html`: the whole report as one file that opens anywhere, offline, without any script."""

from pathlib import Path

from audit.reports.document import Chart, Document, Gate, Picture, Severity
from audit.reports.files import write_atomic
from audit.reports.page import page
from audit.reports.pictures import Shown, show
from audit.reports.text import cell

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
    return page(
        "report.html",
        document=document,
        severities=_by_severity(document.gates),
        is_grouped=is_grouped,
        is_number=lambda value: isinstance(value, int | float),
        albums=_albums(document, folder),
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


def is_grouped(chart: Chart) -> bool:
    """Whether the coordinates say more than the names of the models do."""
    points = [(series.name, cell(x)) for series in chart.series for x in series.x]
    return len({x for _, x in points}) > 1 and any(name != x for name, x in points)


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
