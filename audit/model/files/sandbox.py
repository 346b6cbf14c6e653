"""A model file parsed by a child process with limits on memory and time: nothing of it is run.

Needs no torch, so that the child can work while torch loads. Whatever happens to it becomes one
sentence.
"""

import errno
import hashlib
import json
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

from audit.core.child_limits import start_isolated
from audit.core.errors import AuditError
from audit.model.files.errors import CheckpointError, corrupt, unreadable
from audit.model.files.sandbox_child import seconds_for
from audit.reports.text import visible

BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from audit.model.files.sandbox_child import main; main()"
)

NEVER_WRITTEN = "more than half of it was never written, as in a download that broke off"
SLOW = 6  # times the child's processor time: what a busy machine may take


class Parsing:
    """A child process at work on a model file, and the open file; `close` lets go of both.

    Args:
        path: Path of the file.

    Raises:
        AuditError: MODEL_NOT_FOUND, MODEL_NOT_A_FILE, MODEL_UNREADABLE or MODEL_CORRUPT.
    """

    def __init__(self, path: Path):
        self.path = path
        self.name = visible(path.name or str(path), 80)
        _require_file(path, self.name)
        with self._in_words(), ExitStack() as opened:
            self.file = opened.enter_context(_opened(path))
            self.unpacked = opened.enter_context(_temporary())
            if is_sparse(self.file):
                raise corrupt(NEVER_WRITTEN)
            self.child = opened.enter_context(_started(self.file, self.unpacked))
            opened.callback(self.child.kill)
            self.close = opened.pop_all().close  # ends the child; a second call does nothing

    def finish(self) -> tuple[dict[str, Any], str]:
        """Wait for the child, and hash the file.

        Returns:
            The child's answer, not yet believed, and the SHA-256 of the file's bytes, hexadecimal.

        Raises:
            AuditError: MODEL_UNREADABLE, MODEL_CORRUPT, MODEL_UNSAFE, MODEL_DTYPE or
                MODEL_NO_WEIGHTS.
        """
        with self._in_words():
            answer = _answer(self.child, os.fstat(self.file.fileno()).st_size)
            self.file.seek(0)
            return answer, hashlib.file_digest(cast("Any", self.file), "sha256").hexdigest()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn what is raised inside into one sentence about this file."""
        try:
            yield
        except CheckpointError as refused:
            raise _in_words(refused, self.name) from None
        except OSError:
            gone = unreadable("cannot be read from the disk", "Check its permissions")
            raise _in_words(gone, self.name) from None


def _opened(path: Path) -> IO[bytes]:
    """Open a regular file; a pipe that has taken its place does not block."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = open(handle, "rb")  # noqa: PTH123, SIM115 - from a descriptor; the caller closes it
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError
    return file


def _temporary() -> IO[bytes]:
    """Open a file that takes what is compressed in a model file.

    Raises:
        CheckpointError: MODEL_UNREADABLE, about the place for it.
    """
    try:
        return tempfile.TemporaryFile(prefix="audit-")
    except OSError as error:
        what = "cannot be unpacked, since a temporary file gave {}"
        remedy = "Make room, or name another place with TMPDIR"
        raise CheckpointError("MODEL_UNREADABLE", what, remedy, str(error.strerror)) from None


def _started(file: IO[bytes], unpacked: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the child that parses the file."""
    size = os.fstat(file.fileno()).st_size
    root = Path(__file__).parents[3]
    handles = (file.fileno(), unpacked.fileno())
    return start_isolated(BOOT, [root, *handles, size], {}, pass_fds=handles)


def _answer(child: subprocess.Popen[bytes], size: int) -> dict[str, Any]:
    """What the child found in a file of so many bytes.

    Raises:
        CheckpointError: The child refused it, or did not live to answer.
    """
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
        raise CheckpointError(*found["refused"])
    return found


def _in_words(refused: CheckpointError, name: str) -> AuditError:
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
            f"no file {visible(str(path))!r} is there.",
            "Give the path of a checkpoint file; names of pretrained models are not fetched.",
        ) from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise AuditError(
            "MODEL_NOT_A_FILE", f"{name!r} is {what}.", "Give the checkpoint file itself."
        )


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False


SMALL = 2**28  # bytes: below, reading the zeros does no harm
MOST_PARTS = 100_000  # of written bytes, in what is looked at


def is_sparse(file: IO[bytes]) -> bool:
    """Whether more than half of a large file was never written, and reads as zeros.

    Args:
        file: Opened for reading; its position is not kept.

    Returns:
        False also where the system cannot tell.
    """
    size = os.fstat(file.fileno()).st_size
    if size < SMALL or not hasattr(os, "SEEK_DATA"):
        return False
    written = at = 0
    try:
        for _ in range(MOST_PARTS):
            start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            written += at - start
            if at >= size:
                break
    except OSError as error:
        if error.errno != errno.ENXIO:  # which means that nothing is written behind this point
            return False
    file.seek(0)
    return 2 * written < size
