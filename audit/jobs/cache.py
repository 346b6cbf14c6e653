"""Looking after the cache: what it holds, whether it is whole, and emptying it."""

import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from audit.jobs.resume import UNFINISHED
from audit.jobs.store import read_plain
from audit.reports.document import FrozenModel

KEY = re.compile(r"[0-9a-f]{40}")
OPEN = re.compile(r"[a-z_]+-[0-9a-f]{40}")  # what a job has done so far
LEFT = re.compile(r"(damaged|writing)-[0-9a-f]{8}-\w+")  # set aside, or of a process that died


class CacheEntries(FrozenModel):
    """All entries of one kind.

    Attributes:
        kind: Of the jobs; "unfinished" for what jobs that were stopped have done so far.
        entries: How many.
        bytes: Of all of them.
    """

    kind: str
    entries: int
    bytes: int


def held(root: Path, kinds: Collection[str]) -> list[CacheEntries]:
    """What a cache holds, by kind of job, the largest first."""
    found = []
    for kind in kinds:
        own = [size(folder) for folder in entries(root, kind)]
        if own:
            found.append(CacheEntries(kind=kind, entries=len(own), bytes=sum(own)))
    begun = [size(folder) for folder in entries(root, UNFINISHED, OPEN)]
    if begun:
        found.append(CacheEntries(kind=UNFINISHED, entries=len(begun), bytes=sum(begun)))
    return sorted(found, key=lambda kind: -kind.bytes)


def entries(root: Path, kind: str, pattern: re.Pattern[str] = KEY) -> Iterator[Path]:
    """Folders of entries of a kind."""
    folder = root / kind
    if folder.is_dir() and not folder.is_symlink():
        yield from (
            path
            for path in sorted(folder.iterdir())
            if pattern.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
        )


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def damaged(root: Path, kinds: Collection[str]) -> list[str]:
    """Entries that do not read back as they were written, as "kind/key".

    Values of another form than today's are no damage here: they may be of an older version of
    their kind, which no audit reads.
    """
    found = []
    for kind in kinds:
        for folder in entries(root, kind):
            try:
                read_plain(folder, folder.name)
            except Exception:  # whatever a damaged file makes its reader raise
                found.append(f"{kind}/{folder.name}")
    return found


def remove(folder: Path) -> int:
    """Remove an entry, and tell how many bytes it had."""
    freed = size(folder)
    shutil.rmtree(folder)
    return freed


def clear(root: Path, kinds: Collection[str]) -> int:
    """Remove all entries and what was set aside; nothing that is not of a cache.

    Returns:
        Bytes of the entries.

    Raises:
        OSError: If something cannot be removed.
    """
    freed = 0
    for kind in kinds:
        for pattern in (KEY, LEFT):
            freed += sum(remove(folder) for folder in list(entries(root, kind, pattern)))
    for folder in list(entries(root, UNFINISHED, OPEN)):
        freed += size(folder)
        shutil.rmtree(folder, ignore_errors=True)  # an audit that runs may be quicker
    locks = root / "locks"
    if locks.is_dir() and not locks.is_symlink():
        for path in locks.iterdir():
            kind, _, key = path.name.rpartition("-")
            if kind in kinds and KEY.fullmatch(key):
                path.unlink()
    return freed
