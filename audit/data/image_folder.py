"""Image folders: every file is opened, decoded and digested once, before any expensive work."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from audit.core.errors import AuditError
from audit.data.dataset import Split, canonical_order, hidden_words
from audit.data.decoder_pool import LookedAt, decoded, looked_at
from audit.data.images import ImageProblemError, bytes_digest, read_bytes
from audit.data.scan import Scan, scan_split


class Checked(NamedTuple):
    """What one look at a file gave; digests are empty where `problem` is not."""

    shown: str
    path: str
    label: int
    digest: str = ""
    pixels: str = ""
    grey: bool = True
    width: int = 0
    height: int = 0
    reason: str = ""
    problem: str = ""


@dataclass(frozen=True)
class FolderSource:
    """Image files by path.

    Attributes:
        files: Absolute paths, in the split's order.
        shown: Their display names.
    """

    files: tuple[str, ...]
    shown: tuple[str, ...]

    def read(self, index: int) -> tuple[Image.Image, str]:
        """Decode file `index`; the digest is that of its bytes."""
        (found,) = self.read_many([index])
        return found

    def read_many(self, indices: Sequence[int]) -> Iterator[tuple[Image.Image, str]]:
        """Decode several files; of a large one no other is held in memory."""
        digests: deque[str] = deque()

        def files() -> Iterator[bytes]:
            for index in indices:
                try:
                    raw = read_bytes(self.files[index])
                except ImageProblemError as problem:
                    raise self._lost(index, problem) from problem
                digests.append(bytes_digest(raw))
                yield raw

        for index, found in zip(indices, decoded(files()), strict=True):
            if isinstance(found, ImageProblemError):
                raise self._lost(index, found)
            yield found, digests.popleft()

    def digest(self, index: int) -> str:
        """That of the bytes of file `index` as they are now, which nobody decodes."""
        try:
            return bytes_digest(read_bytes(self.files[index]))
        except ImageProblemError as problem:
            raise self._lost(index, problem) from problem

    def _lost(self, index: int, problem: ImageProblemError) -> AuditError:
        return AuditError(
            problem.reason,
            f"the audit needs every image, but {self.shown[index]!r} {problem}, although it "
            "could be read before.",
            "Restore the file and run the audit again.",
        )


class FolderSplit(NamedTuple):
    """A split with what was found beside it."""

    split: Split
    grey: bool
    skipped: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]

    @property
    def bad(self) -> int:
        """How many images cannot be read."""
        return len(self.broken)


def scan_folder(root: Path, boundary: Path) -> Scan:
    """The split's files by class, sorted.

    Raises:
        AuditError: DATA_NOT_FOUND, DATA_NO_IMAGES, and what `scan_split` raises.
    """
    if not root.is_dir():
        raise AuditError(
            "DATA_NOT_FOUND",
            f"the audit needs a folder of images, but there is none at {str(root)!r}.",
            "Check the path.",
        )
    scan = scan_split(root, boundary)
    if not any(scan.files.values()) and not scan.bad:
        raise AuditError(
            "DATA_NO_IMAGES",
            "the audit needs one folder of images a class, but no folder directly in "
            f"{str(root)!r} holds an image{hidden_words(scan.hidden)}.",
            "Arrange the files as <class>/<image>.",
        )
    return scan


def load_split(
    name: str,
    scan: Scan,
    classes: Sequence[str],
    max_bad_images: int,
) -> FolderSplit:
    """Read and decode every file once.

    Args:
        name: "train" or "eval".
        scan: Its folders are exactly `classes`.
        classes: A file's label is its class's position here.
        max_bad_images: So many unreadable images are left out; one more is an error.

    Raises:
        AuditError: DATA_UNREADABLE, DATA_IMAGE_TOO_LARGE; up to three files are named.
    """
    checked = list(_check_all(scan, classes))
    large = [(c.shown, c.problem) for c in checked if c.reason == "DATA_IMAGE_TOO_LARGE"]
    if large:
        raise _refusal("DATA_IMAGE_TOO_LARGE", large, "Reduce them or remove them.")
    bad = scan.bad + [(c.shown, c.problem) for c in checked if c.problem]
    if len(bad) > max_bad_images:
        raise _refusal("DATA_UNREADABLE", bad, "Replace them, or raise max_bad_images.")
    good = [c for c in checked if not c.problem]
    order = canonical_order(
        [c.label for c in good], [c.digest for c in good], [c.shown for c in good]
    )
    kept = [good[i] for i in order]
    paths = tuple(c.shown for c in kept)
    split = Split(
        name,
        np.array([c.label for c in kept], dtype=np.int64),
        paths,
        tuple(c.digest for c in kept),
        tuple(c.pixels for c in kept),
        FolderSource(tuple(c.path for c in kept), paths),
        np.array([(c.width, c.height) for c in kept], dtype=np.uint16),
    )
    skipped = (*sorted(scan.skipped), *sorted(shown for shown, _ in bad))
    return FolderSplit(split, all(c.grey for c in kept), skipped, tuple(sorted(bad)))


def workers() -> int:
    """Threads for decoding: as many as this process may use, at most eight; one beside others."""
    if multiprocessing.current_process().daemon:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)


def _check_all(scan: Scan, classes: Sequence[str]) -> Iterator[Checked]:
    files = [
        Checked(shown, os.path.abspath(path), label)  # noqa: PTH100 - links stay as they are
        for label, name in enumerate(classes)
        for shown, path in scan.files[name]
    ]
    chunks = [files[start : start + 128] for start in range(0, len(files), 128)]
    with ThreadPoolExecutor(workers()) as pool:
        for done in pool.map(_check_chunk, chunks):
            yield from done


def _check_chunk(files: list[Checked]) -> list[Checked]:
    lost: list[Checked] = []
    waiting: deque[Checked] = deque()

    def contents() -> Iterator[bytes]:
        for file in files:
            try:
                raw = read_bytes(file.path)
            except ImageProblemError as problem:
                lost.append(file._replace(reason=problem.reason, problem=str(problem)))
            else:
                waiting.append(file._replace(digest=bytes_digest(raw)))
                yield raw

    found = [_with(waiting.popleft(), answer) for answer in looked_at(contents())]
    return found + lost


def _with(file: Checked, found: LookedAt | ImageProblemError) -> Checked:
    if isinstance(found, ImageProblemError):
        return file._replace(digest="", reason=found.reason, problem=str(found))
    return file._replace(
        pixels=found.digest, grey=found.mode == "L", width=found.width, height=found.height
    )


def _refusal(reason: str, problems: list[tuple[str, str]], remedy: str) -> AuditError:
    named = "; ".join(f"{shown!r} {why}" for shown, why in sorted(problems)[:3])
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    count = "1 does not allow it" if len(problems) == 1 else f"{len(problems)} do not allow it"
    return AuditError(
        reason, f"the audit needs to read every image, but {count}: {named}{more}. {remedy}"
    )
