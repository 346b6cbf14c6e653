"""New folders that appear whole or not at all, and the YAML that is written into them."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from audit.core.errors import AuditError
from audit.jobs.store import flush
from audit.reports import yaml as plain_yaml
from audit.reports.text import visible


def claim_folder(out: Path) -> None:
    """Check, before any work, that the run folder can be made; nothing is left behind.

    Raises:
        AuditError: OUT_EXISTS or OUT_UNUSABLE.
    """
    parent = out.parent
    try:
        if out.exists() or out.is_symlink():
            raise AuditError(
                "OUT_EXISTS",
                f"the audit needs a new folder for its report, but {visible(str(out))} exists.",
                "Name another with --out, or remove it.",
            )
        parent = next(folder for folder in out.absolute().parents if folder.exists())
        probe = Path(tempfile.mkdtemp(prefix=".audit-", dir=parent))
        probe.rmdir()
    except OSError as error:
        raise AuditError(
            "OUT_UNUSABLE",
            f"the audit needs to write its report, but {visible(str(parent))} gave "
            f"'{error.strerror}'.",
            "Name another place with --out.",
        ) from None


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill under a temporary name; it becomes `out` at the end, or nothing is left.

    Raises:
        AuditError: OUT_EXISTS, OUT_UNUSABLE.
    """
    claim_folder(out)
    parent, folder = out.absolute().parent, None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=parent))
        yield folder
        folder.chmod(0o755)
        folder.rename(out)
        flush(parent)
    except OSError as error:
        raise AuditError(
            "OUT_UNUSABLE",
            f"the report needs to be written to {visible(str(out))}, but the system gave "
            f"'{error.strerror}'.",
            "Make room or name another place with --out.",
        ) from None
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def dumped(data: dict[str, object]) -> bytes:
    """YAML of plain data; tuples become lists."""
    return plain_yaml.dump(plain(data)).encode()  # type: ignore[arg-type]


def plain(value: object) -> object:
    """Tuples as lists, recursively."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
