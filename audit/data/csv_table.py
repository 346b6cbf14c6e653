"""A CSV in place of folders: `path,label`, or `path,label,split` for both splits.

Paths are relative to the CSV's folder and stay inside it, so that a table from outside cannot have
other images of the machine shown in a report.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from audit.core.errors import AuditError
from audit.data.scan import Scan, displayable, within
from audit.reports.text import visible

SUFFIX = ".csv"
NEEDED = ("path", "label")
SPLIT = "split"
MOST_BYTES = 2**28
LONGEST = 200  # characters of a label


class TableRow(NamedTuple):
    """One image: the line that names it, and what stands there."""

    line: int
    path: str
    label: str
    split: str


def is_table(path: Path) -> bool:
    """Whether a path names a CSV; a folder of such a name is none."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def scan_table(file: Path) -> Scan:
    """The images that a table names, by label; a column `split` is left alone.

    Returns:
        As of a folder; files that are not there are named as unreadable.

    Raises:
        AuditError: DATA_NOT_FOUND, DATA_TABLE with the line, DATA_LINK_OUTSIDE, DATA_NO_IMAGES.
    """
    return _scanned(file, ())[""]


def scan_splits(file: Path, known: tuple[str, ...]) -> dict[str, Scan]:
    """The images of each split that the column `split` names, by one of the known words.

    Raises:
        AuditError: As for `scan_table`; DATA_TABLE for another word, too.
    """
    return _scanned(file, known)


def _scanned(file: Path, known: tuple[str, ...]) -> dict[str, Scan]:
    """By split, in lower case; all under "" where no split is known."""
    scans: dict[str, Scan] = {}
    seen: dict[tuple[str, str], int] = {}
    folder = os.path.abspath(file.parent)  # noqa: PTH100 - links stay as they are
    inside = os.path.realpath(folder)
    for row in _rows(file, bool(known)):
        split = row.split.lower()
        if known and split not in known:
            words = ", ".join(known)
            raise _refusal(file, row.line, f"has a split that is none of {words}")
        path = os.path.normpath(os.path.join(folder, row.path))  # noqa: PTH118
        place = os.path.realpath(os.path.dirname(path))  # noqa: PTH120 - a link to a file is one
        if not within(place, inside):
            raise AuditError(
                "DATA_LINK_OUTSIDE",
                f"the audit needs images that lie inside the folder of {file.name!r}, but line "
                f"{row.line} leads out of it.",
                "Put the table into the folder that holds the images.",
            )
        first = seen.setdefault((split, path), row.line)
        if first != row.line:
            raise _refusal(file, row.line, f"names the image of line {first} again")
        shown = displayable(os.path.relpath(path, folder))
        scan = scans.setdefault(split, Scan(kind="label"))
        files = scan.files.setdefault(row.label, [])
        if os.path.isfile(path):  # noqa: PTH113 - hot
            files.append((shown, path))
        else:
            scan.bad.append((shown, "is not a file"))
    if not scans:
        raise AuditError(
            "DATA_NO_IMAGES",
            f"the audit needs a line for every image, but {file.name!r} has none.",
            "Write one line an image: path,label.",
        )
    return scans


def _rows(file: Path, with_split: bool) -> Iterator[TableRow]:
    """The lines of a table, checked one by one."""
    if not file.is_file():
        raise AuditError(
            "DATA_NOT_FOUND", f"the audit needs a table, but {str(file)!r} is no file.", "Check it."
        )
    if file.stat().st_size > MOST_BYTES:
        raise _refusal(file, 1, f"begins a file of more than {MOST_BYTES // 2**20} MB")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(opened, skipinitialspace=True, strict=True)
        try:
            header = [name.strip().lower() for name in next(reader, [])]
            columns = (*NEEDED, SPLIT) if with_split else NEEDED
            missing = [name for name in columns if header.count(name) != 1]
            if missing:
                raise _refusal(file, 1, f"has no (or no single) column {missing[0]!r}")
            places = [header.index(name) for name in columns]
            for cells in reader:
                if cells:
                    yield _row(file, reader.line_num, cells, header, places)
        except UnicodeDecodeError:
            raise _refusal(file, reader.line_num + 1, "is no UTF-8 text") from None
        except csv.Error as error:
            raise _refusal(file, reader.line_num, f"is no CSV: {error}") from None


def _row(file: Path, line: int, cells: list[str], header: list[str], places: list[int]) -> TableRow:
    if len(cells) != len(header):
        raise _refusal(file, line, f"has {len(cells)} cells, where the header has {len(header)}")
    found = [cells[place].strip() for place in places]
    if "" in found:
        raise _refusal(file, line, f"has an empty {(*NEEDED, SPLIT)[found.index('')]}")
    if "\0" in found[0]:
        raise _refusal(file, line, "has a path that no file can have")
    if len(found[1]) > LONGEST:
        raise _refusal(file, line, f"has a label of more than {LONGEST} characters")
    return TableRow(line, *found, *[""] * (3 - len(found)))


def _refusal(file: Path, line: int, problem: str) -> AuditError:
    return AuditError(
        "DATA_TABLE",
        f"the audit needs a table of `path,label`, but {visible(str(file))}, line {line}, "
        f"{problem}.",
        "Correct it.",
    )
