"""Weights of a model file, read as plain bytes where the child process says that they stand."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from audit.core.errors import AuditError
from audit.model.files.descriptions import ITEM_BYTES, TensorEntry, decoded
from audit.model.files.formats import Kind
from audit.model.files.sandbox import Parsing


@dataclass(frozen=True)
class Content:
    """What a model file holds, parsed but not yet believed.

    Attributes:
        value: Plain values and tensors described; anything may be missing or odd.
        kind: How it was stored.
        digest: SHA-256 of the file's bytes, hexadecimal.
        name: Name of the file, safe to show.
        file: The file itself.
        unpacked: Contents of the file that were compressed in it.
    """

    value: Any
    kind: Kind
    digest: str
    name: str
    file: IO[bytes]
    unpacked: IO[bytes]

    def tensor(self, stored: TensorEntry) -> Tensor:
        """Read the values of one tensor.

        Args:
            stored: Part of `value`; zeros if it has no storage.

        Returns:
            Tensor of that shape and type in memory of its own, no more than its elements span.

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
                "shorter while it was read.",
                "Run the audit again.",
            )
        flat = torch.frombuffer(raw, dtype=dtype)
        return flat.as_strided(stored.shape, stored.stride)


@contextmanager
def read_content(path: Path, begun: Parsing | None = None) -> Iterator[Content]:
    """Parse a model file, and keep it open for its weights. Nothing in it is ever executed.

    Args:
        path: Path of the file.
        begun: Child process that already parses this very file, if there is one.

    Raises:
        AuditError: MODEL_NOT_FOUND, MODEL_NOT_A_FILE, MODEL_UNREADABLE, MODEL_CORRUPT,
            MODEL_UNSAFE, MODEL_DTYPE or MODEL_NO_WEIGHTS.
    """
    parsing = begun if begun is not None and begun.path == path else Parsing(path)
    with closing(parsing):
        answer, digest = parsing.finish()
        value = decoded(answer["value"])
        yield Content(value, answer["kind"], digest, parsing.name, parsing.file, parsing.unpacked)
