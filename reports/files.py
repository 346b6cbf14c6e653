"""Writing a file so that no reader ever meets half of it."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path


def write_atomic(path: Path, *data: bytes) -> None:
    """Write a file whole or not at all; until then, an older file stays as it was.

    The bytes go to a temporary name in the same folder and to the disk, then the name is moved
    over the old one, and the folder itself is flushed.

    Args:
        path: The file. Its folder must exist.
        data: The whole content, in one part or several.

    Raises:
        OSError: If it cannot be written; the message names the path and the bytes needed. The
            temporary file is gone.
    """
    temporary = path.with_name(f".writing-{secrets.token_hex(8)}")
    try:
        _write_through(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105, the one call that is atomic on every system
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = os.strerror(error.errno) if error.errno else "unknown reason"
        size = sum(map(len, data))
        message = f"writing {size:,} bytes failed ({reason}), older content is intact"
        raise OSError(error.errno, message, str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _write_through(path: Path, data: Sequence[bytes]) -> None:
    """Create `path` with the user's usual permissions, and wait for the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        for part in data:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the new name itself durable, where the system lets a folder be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
