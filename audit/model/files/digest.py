"""A model file pinned by its digest: refused before anything in it is parsed, and once loaded."""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from audit.core.errors import AuditError
from audit.model.files.sandbox import is_sparse
from audit.reports.text import visible

SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in a folder saved for the Hub


def require_digest(path: Path, wanted: Collection[str]) -> None:
    """Refuse a model that is not one of those that were pinned.

    Args:
        path: A file, or a folder saved for the Hub, whose weights are meant.
        wanted: SHA-256 in hexadecimal, with or without "sha256:" before it; empty for no pin.

    Raises:
        AuditError: USAGE if one of them is no digest, MODEL_NOT_FOUND if there is no file to
            compare, MODEL_UNREADABLE if it cannot be read, MODEL_CORRUPT if most of it was never
            written, MODEL_DIGEST if it has another one.
    """
    if not wanted:
        return
    pins = [_digest(text) for text in wanted]
    name = visible(path.name or str(path), 80)
    try:
        file = next((path / name for name in WEIGHTS if (path / name).is_file()), path)
        if not file.is_file():
            raise AuditError(
                "MODEL_NOT_FOUND",
                f"--model-sha256 needs a file to compare with, but {name!r} is none.",
                "Give the path of a checkpoint file.",
            )
        with file.open("rb") as opened:
            if is_sparse(opened):
                raise AuditError(
                    "MODEL_CORRUPT",
                    "--model-sha256 needs a whole file to compare with, but more than half of "
                    f"{name!r} was never written.",
                    "Copy or download it again.",
                )
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise AuditError(
            "MODEL_UNREADABLE",
            f"--model-sha256 needs a file to compare with, but {name!r} gave '{error.strerror}'.",
            "Check its permissions.",
        ) from None
    require_pinned(name, digest, pins)


def require_pinned(name: str, digest: str, wanted: Collection[str]) -> None:
    """Refuse a file that was read and is not one of those that were pinned.

    Args:
        name: For the message, safe to show.
        digest: SHA-256 of what was read, in hexadecimal.
        wanted: As for `require_digest`.

    Raises:
        AuditError: USAGE or MODEL_DIGEST.
    """
    if wanted and digest not in map(_digest, wanted):
        raise AuditError(
            "MODEL_DIGEST",
            f"the model was pinned by --model-sha256, but {name!r} has the SHA-256 {digest}.",
            "Audit the file that was meant, or pin this one.",
        )


def _digest(text: str) -> str:
    found = SHA256.fullmatch(text.strip().lower())
    if found is None:
        raise AuditError(
            "USAGE",
            f"--model-sha256 needs 64 hexadecimal digits, but got {visible(text, 80)!r}.",
            "`sha256sum` prints them.",
        )
    return found[1]
