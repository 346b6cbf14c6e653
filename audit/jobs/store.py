"""Results of jobs, kept by digest: written whole or not at all, verified on reading, no pickle.

An entry is a folder `<kind>/<key>/` with `values.json`, `arrays.safetensors` and a manifest of
their SHA-256 digests. It is written under a temporary name, flushed, and renamed. A damaged entry
is set aside and its job done again. A lock per key (flock, released by the system when a process
dies) makes a second audit wait for the first instead of doing the same work.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import AuditError
from audit.jobs.resume import UNFINISHED, ResumeState
from audit.jobs.values import NoValues, Records, as_record
from audit.reports.document import FrozenModel

Record = TypeVar("Record", bound=FrozenModel)

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Outcome:
    """What a job found.

    Attributes:
        values: Record of the job's kind (NaN and infinities allowed).
        arrays: Numeric arrays by name.
    """

    values: FrozenModel = field(default_factory=NoValues)
    arrays: Arrays = field(default_factory=dict)

    def read(self, record: type[Record]) -> Record:
        """Return the values, which must be a certain record.

        Raises:
            TypeError: If they are another one.
        """
        if not isinstance(self.values, record):
            raise TypeError(f"{type(self.values).__name__} instead of {record.__name__}")
        return self.values


class Store:
    """A folder of results; `Store(None)` keeps them in memory only."""

    def __init__(self, root: Path | None):
        self.root = root
        self.memory: dict[str, Outcome] = {}
        if root is not None:
            try:
                root.mkdir(parents=True, exist_ok=True, mode=0o700)
                owner, mode = root.stat().st_uid, root.stat().st_mode
            except OSError as error:
                raise AuditError(
                    "CACHE_UNUSABLE",
                    f"the cache needs a folder that can be written, but {root} gave "
                    f"'{error.strerror}'.",
                    "Name another with --cache.",
                ) from None
            if mode & 0o022:
                raise AuditError(
                    "CACHE_UNUSABLE",
                    "the cache needs a folder that only you can write to, but others may "
                    f"write to {root}.",
                    "Take that right away (chmod go-w), or name another with --cache.",
                )
            if owner != os.getuid():
                raise AuditError(
                    "CACHE_UNUSABLE",
                    f"the cache needs a folder of your own, but {root} belongs to another user.",
                    "Name another with --cache.",
                )

    def get(self, kind: str, key: str, records: Records) -> Outcome | None:
        """Return the stored outcome, or None if there is none or it is damaged.

        A damaged entry is set aside, and so is one whose values fit none of the kind's records.

        Args:
            kind: Name of the kind of job.
            key: Key of the job.
            records: Records that the values of such a job may be.
        """
        if self.root is None:
            return self.memory.get(key)
        folder = self.root / kind / key
        if not folder.is_dir():
            return None
        try:
            return read_entry(folder, records, key)
        except MemoryError:
            raise
        except Exception:  # a hostile entry may raise anything
            aside = Path(tempfile.mkdtemp(prefix=f"damaged-{key[:8]}-", dir=folder.parent))
            with contextlib.suppress(OSError):
                folder.rename(aside / key)
            return None

    def has(self, kind: str, key: str) -> bool:
        """Whether there is an outcome, as far as can be told without reading it."""
        if self.root is None:
            return key in self.memory
        return (self.root / kind / key / "manifest.json").is_file()

    def resume_state(self, kind: str, key: str, device: str = "cpu") -> ResumeState:
        """Where a job keeps what it has done so far on a device; its lock is to be held."""
        return ResumeState(self.root / UNFINISHED / f"{kind}-{key}" if self.root else None, device)

    def put(self, kind: str, key: str, outcome: Outcome) -> None:
        """Store an outcome; the entry appears whole or not at all."""
        if self.root is None:
            self.memory[key] = outcome
            return
        try:
            self._write(self.root / kind, key, outcome)
        except OSError as error:
            size = sum(array.nbytes for array in outcome.arrays.values())
            raise AuditError(
                "CACHE_UNUSABLE",
                f"the cache needs room for a result of about {size:,} bytes, but {self.root} "
                f"gave '{error.strerror}'.",
                "Make room, or name another place with --cache.",
            ) from None

    def _write(self, parent: Path, key: str, outcome: Outcome) -> None:
        """Write an entry under a temporary name, and rename it."""
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = Path(tempfile.mkdtemp(prefix=f"writing-{key[:8]}-", dir=parent))
        try:
            write_entry(temporary, outcome, key)
            with contextlib.suppress(OSError):  # another audit was faster: its result is the same
                temporary.rename(parent / key)
            flush(parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, kind: str, key: str) -> Iterator[None]:
        """Hold the key's lock; waits while another process does this job."""
        if self.root is None:
            yield
            return
        folder = self.root / "locks"
        try:
            folder.mkdir(exist_ok=True, mode=0o700)
            handle = (folder / f"{kind}-{key}").open("w")
        except OSError as error:
            raise AuditError(
                "CACHE_UNUSABLE",
                f"the cache needs to be writable, but {folder} gave '{error.strerror}'.",
                "Name another place with --cache.",
            ) from None
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def default_cache() -> Path:
    """Where results are kept unless --cache says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "null-audit"


def write_entry(folder: Path, outcome: Outcome, key: str | None = None) -> None:
    """Write the files of an entry and flush them; the key says whose it is."""
    from safetensors.numpy import save

    contents = {
        "values.json": json.dumps(encoded(outcome.values.model_dump()), sort_keys=True).encode(),
        "arrays.safetensors": save(
            {name: np.ascontiguousarray(array) for name, array in outcome.arrays.items()}
        ),
    }
    manifest = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents["manifest.json"] = json.dumps(manifest | ({"key": key} if key else {})).encode()
    for name, data in contents.items():
        with (folder / name).open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
    flush(folder)


def read_entry(folder: Path, records: Records, key: str | None = None) -> Outcome:
    """Read an entry, verify it, and check that its values are what its kind of job gives.

    Args:
        folder: Folder of the entry.
        records: Records that the values of such a job may be.
        key: Key of the job, to refuse an entry that says that it is another job's.

    Raises:
        OSError: If a file is missing.
        ValueError: If a digest differs, a file does not parse, or the values fit no record.
    """
    values, arrays = read_plain(folder, key)
    return Outcome(as_record(values, records), arrays)


def read_plain(folder: Path, key: str | None = None) -> tuple[dict[str, Any], Arrays]:
    """Read the values of an entry as plain data, and its arrays, and verify their digests.

    Args:
        folder: Folder of the entry.
        key: Key of the job, to refuse an entry that says that it is another job's.

    Raises:
        OSError: If a file is missing.
        ValueError: If a digest differs or a file does not parse.
    """
    from safetensors.numpy import load

    manifest = json.loads((folder / "manifest.json").read_bytes())
    if key and manifest.get("key", key) != key:
        raise ValueError(f"{folder.name} holds the result of another job")
    contents = {}
    for name in ("values.json", "arrays.safetensors"):
        contents[name] = (folder / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != manifest[name]:
            raise ValueError(f"{name} of {folder.name} is damaged")
    values = decoded(json.loads(contents["values.json"]))
    if not isinstance(values, dict):
        raise ValueError(f"values.json of {folder.name} holds no values by name")
    return values, load(contents["arrays.safetensors"])


def encoded(value: Any) -> Any:
    """Plain data with non-finite floats as strings, which strict JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, dict):
        return {key: encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    return value


def decoded(value: Any) -> Any:
    """The inverse of `encoded`; lists come back as tuples."""
    if isinstance(value, dict):
        if set(value) == {"float"}:
            return float(value["float"])
        return {key: decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(decoded(item) for item in value)
    return value


def flush(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
