"""Finding the files of an image folder without following a link out of it.

`<split>/<class>/**/<file>`: a class is a folder directly below the split, at any depth below it
every file belongs to that class.
"""

import errno
import itertools
import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from audit.core.errors import AuditError
from audit.data.images import looks_like_image

JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})  # and all that starts with a dot
LOOKED_AT = 1_000  # files of a folder that is no class, to see whether it might have been one

IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif"),
    *(".tiff", ".svg", ".eps", ".ps", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".ppm", ".pgm"),
    *(".pbm", ".pnm", ".tga", ".ico", ".psd", ".dcm", ".exr", ".hdr", ".jxl", ".cr2", ".nef"),
)


@dataclass
class Scan:
    """What one split's folder holds.

    Attributes:
        files: Class name to its files: (display name, path to open), not yet read.
        skipped: Display names of junk and of files that are no images.
        bad: (display name, what is wrong) of entries that can only be unreadable images.
        hidden: Those of `skipped` that stand where a class would and hold images.
        kind: What says the class of a file: its "folder", or its "label" in a table.
    """

    files: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    kind: str = "folder"


@dataclass(frozen=True)
class _Folder:
    """A folder on the way: where it is, its display name, its real path and those above it."""

    path: str
    shown: str
    real: str
    above: tuple[str, ...]


def scan_split(root: Path, boundary: Path) -> Scan:
    """List a split's folder.

    Args:
        root: Holds one folder a class.
        boundary: Links may lead anywhere inside this folder.

    Raises:
        AuditError: DATA_LINK_OUTSIDE, DATA_UNREADABLE (a folder that cannot be listed).
    """
    scan = Scan()
    inside = os.path.realpath(boundary)
    top = _Folder(str(root), "", os.path.realpath(root), ())
    if not within(top.real, inside):
        raise _bad_link(root.name, "leads out of the data folder")
    for entry in sorted(_entries(top), key=lambda entry: entry.name):
        name = displayable(entry.name)
        if is_junk(entry.name):
            scan.skipped.append(name)
            if entry.is_dir(follow_symlinks=False) and _holds_images(entry.path):
                scan.hidden.append(name)
        elif _is_folder(entry, name, inside):
            while name in scan.files:  # another name that is displayed alike
                name += "?"
            scan.files[name] = []
            _walk(_below(top, entry, name), name, inside, scan)
        else:
            scan.skipped.append(name)  # lies in no class
    return scan


def displayable(name: str) -> str:
    r"""A file name as valid Unicode: bytes that are not UTF-8 become \xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_junk(name: str) -> bool:
    """Whether an operating system or a tool left this behind."""
    return name.startswith(".") or name.lower() in JUNK


def twin_key(name: str) -> str:
    """Equal for names that differ only by case or by Unicode form."""
    return unicodedata.normalize("NFKC", name).casefold()


def _walk(start: _Folder, label: str, inside: str, scan: Scan) -> None:
    """Put all files below `start` into `scan`; a stack, so that no depth is too deep."""
    stack = [start]
    while stack:
        folder = stack.pop()
        for entry in _entries(folder):
            shown = f"{folder.shown}/{displayable(entry.name)}"
            if is_junk(entry.name):
                scan.skipped.append(shown)
            elif _is_folder(entry, shown, inside):
                stack.append(_below(folder, entry, shown))
            else:
                _take_file(entry, shown, label, scan)


def _take_file(entry: os.DirEntry[str], shown: str, label: str, scan: Scan) -> None:
    named_so = os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - hot
    if not entry.is_file():
        dangling = entry.is_symlink() and not Path(entry.path).exists()
        why = "is a link to nothing" if dangling else "is not a regular file"
        scan.bad.append((shown, why))
    elif named_so or looks_like_image(entry.path):
        scan.files[label].append((shown, entry.path))
    else:
        scan.skipped.append(shown)


def _holds_images(folder: str) -> bool:
    """Whether one of the first files in a folder, at any depth, is an image; follows no link."""
    files = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)  # noqa: PTH118
    return any(
        stat.S_ISREG(os.lstat(path).st_mode) and looks_like_image(path)
        for path in itertools.islice(files, LOOKED_AT)
    )


def _entries(folder: _Folder) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder.path) as entries:
            yield from entries
    except OSError as error:
        raise AuditError(
            "DATA_UNREADABLE",
            "the audit needs to list every folder of the data, but "
            f"{folder.shown or 'the top'!r} cannot be opened.",
            "Check its permissions.",
        ) from error


def _is_folder(entry: os.DirEntry[str], shown: str, inside: str) -> bool:
    """Whether an entry is a folder or a link to one; refuses links that leave or that loop."""
    if not entry.is_symlink():
        return entry.is_dir()
    target = os.path.realpath(entry.path)
    try:
        os.stat(entry.path)  # noqa: PTH116 - its error tells a loop from a dangling link
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _bad_link(shown, "loops") from error
        return False
    if not within(target, inside):
        raise _bad_link(shown, "leads out of the data folder")
    return entry.is_dir()


def within(path: str, folder: str) -> bool:
    """Whether a real path is a folder or lies inside it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _below(folder: _Folder, entry: os.DirEntry[str], shown: str) -> _Folder:
    link = entry.is_symlink()
    real = os.path.realpath(entry.path) if link else os.path.join(folder.real, entry.name)  # noqa: PTH118
    above = (*folder.above, folder.real)
    if real in above:
        raise _bad_link(shown, "loops")
    return _Folder(entry.path, shown, real, above)


def _bad_link(shown: str, what: str) -> AuditError:
    return AuditError(
        "DATA_LINK_OUTSIDE",
        f"the audit needs images that lie inside the data folder, but the link {shown!r} {what}.",
        "Copy the files, or name the folder that holds them.",
    )
