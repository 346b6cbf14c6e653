"""The only place that opens a model file. Nothing in the file is ever executed.

A child process with limits on memory and time parses the file (`audit.model.child`) and says what
stands where; whatever happens to it becomes one sentence. Weights are then read as plain bytes.
"""

import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import torch
from torch import Tensor

from audit.model.child import seconds_for
from audit.model.formats import Kind
from audit.model.holes import is_hollow
from audit.model.refused import RefusedError, corrupt, unreadable
from audit.model.stored import ITEM_BYTES, Stored, decoded
from audit.record import AuditError
from reports.text import visible

BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from audit.model.child import main; main()"
SLOW = 6  # times the child's processor time: what a busy machine may take


@dataclass
class Content:
    """What a model file holds, parsed but not yet believed; close it after use.

    Attributes:
        value: Of plain values and `Stored` tensors; anything may be missing or odd.
        kind: How it was stored.
        digest: SHA-256 of the file's bytes, hexadecimal.
        name: Of the file, safe to show.
        file: The file itself.
        unpacked: What was compressed in it.
    """

    value: Any
    kind: Kind
    digest: str
    name: str
    file: IO[bytes]
    unpacked: IO[bytes]

    def __enter__(self) -> "Content":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self.file.close()
        self.unpacked.close()

    def tensor(self, stored: Stored) -> Tensor:
        """Read the values of one tensor.

        Args:
            stored: Part of `value`; zeros if it has no storage.

        Returns:
            Of its shape and type; its own memory, as few bytes as its elements span.

        Raises:
            AuditError: MODEL_CHANGED if the file has become shorter.
        """
        dtype = getattr(torch, stored.dtype)
        if not stored.numel or stored.storage is None:
            return torch.zeros(stored.shape, dtype=dtype)
        item = ITEM_BYTES[stored.dtype]
        raw = bytearray(stored.extent * item)
        source = self.file if stored.storage.source == "file" else self.unpacked
        source.seek(stored.storage.start + stored.offset * item)
        if cast("Any", source).readinto(raw) < len(raw):
            raise AuditError(
                "MODEL_CHANGED",
                f"an audit needs a model file that stays as it is, but {self.name!r} became "
                "shorter while it was read. Run the audit again.",
            )
        flat = torch.frombuffer(raw, dtype=dtype)
        return flat.as_strided(stored.shape, stored.stride)


def read_content(path: Path) -> Content:
    """Parse a model file.

    Raises:
        AuditError: MODEL_NOT_FOUND, MODEL_NOT_A_FILE, MODEL_UNREADABLE, MODEL_CORRUPT,
            MODEL_UNSAFE, MODEL_DTYPE or MODEL_NO_WEIGHTS.
    """
    name = visible(path.name or str(path), 80)
    _require_file(path, name)
    file = unpacked = None
    try:
        file = _opened(path)
        unpacked = _temporary()
        if is_hollow(file):
            raise corrupt("more than half of it was never written, as in a download that broke off")
        digest, found = _parsed(file, unpacked)
        return Content(decoded(found["value"]), found["kind"], digest, name, file, unpacked)
    except RefusedError as refused:
        _close(file, unpacked)
        raise _in_words(refused, name) from None
    except OSError:
        _close(file, unpacked)
        gone = unreadable("cannot be read from the disk", "Check its permissions")
        raise _in_words(gone, name) from None


def _close(*files: IO[bytes] | None) -> None:
    for file in files:
        if file is not None:
            file.close()


def _opened(path: Path) -> IO[bytes]:
    """Open a regular file; a pipe that has taken its place does not block."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = open(handle, "rb")  # noqa: PTH123, SIM115 - from a descriptor; the caller closes it
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError
    return file


def _temporary() -> IO[bytes]:
    """Takes what is compressed in a model file.

    Raises:
        RefusedError: MODEL_UNREADABLE, about the place for it.
    """
    try:
        return tempfile.TemporaryFile(prefix="audit-")
    except OSError as error:
        what = "cannot be unpacked, since a temporary file gave {}"
        remedy = "Make room, or name another place with TMPDIR"
        raise RefusedError("MODEL_UNREADABLE", what, remedy, str(error.strerror)) from None


def _parsed(file: IO[bytes], unpacked: IO[bytes]) -> tuple[str, dict[str, Any]]:
    """The file's digest, and the child's answer.

    Raises:
        RefusedError: The child refused it, or did not live to answer.
    """
    size = os.fstat(file.fileno()).st_size
    root = Path(__file__).parents[2]
    handles = (file.fileno(), unpacked.fileno())
    # isolated: neither the user's variables, nor the current folder, nor installed packages
    words = [sys.executable, "-I", "-S", "-c", BOOT, root, *handles, size]
    child = subprocess.Popen(
        [str(word) for word in words],
        pass_fds=handles,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    with child:
        try:
            output = child.communicate(timeout=SLOW * seconds_for(size))[0]
        except subprocess.TimeoutExpired:
            output = b""
        finally:
            child.kill()
    try:
        found: dict[str, Any] = json.loads(output)
    except (ValueError, RecursionError):
        what = "took too much time or memory to read, so that reading it was stopped"
        raise unreadable(what, "Save `model.state_dict()` alone") from None
    if "refused" in found:
        raise RefusedError(*found["refused"])
    file.seek(0)
    return hashlib.file_digest(cast("Any", file), "sha256").hexdigest(), found


def _in_words(refused: RefusedError, name: str) -> AuditError:
    what = refused.what.replace("{}", repr(visible(refused.culprit, 80)))
    need = "a checkpoint is needed, but " if refused.reason == "MODEL_UNREADABLE" else ""
    return AuditError(refused.reason, f"{need}{name!r} {what}. {refused.remedy}.")


def _require_file(path: Path, name: str) -> None:
    """Refuse everything but a regular file, without opening it."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError, RuntimeError):  # ValueError: a zero byte; RuntimeError: a loop
        if _is_link(path):
            what = f"{name!r} is a link that leads nowhere. Give the checkpoint file itself."
            raise AuditError("MODEL_NOT_A_FILE", what) from None
        raise AuditError(
            "MODEL_NOT_FOUND",
            f"no file {visible(str(path))!r} is there. Give the path of a checkpoint file; names "
            "of pretrained models are not fetched.",
        ) from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise AuditError(
            "MODEL_NOT_A_FILE", f"{name!r} is {what}. Give the checkpoint file itself."
        )


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False
