"""Activations of many images, kept in memory up to a ceiling and in a temporary file beyond.

They arrive image by image and are read column by column. Either way they are kept as 32-bit floats
in the same chunks of columns, so that what is computed from them has the same bits.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WIDTH = 2048  # columns of a chunk; 33 MB in float64 for 2,000 images
NOT_FINITE = "Some values are not finite (NaN or overflow, as in half precision)."


@dataclass
class Room:
    """Memory that all layers of one network share.

    Attributes:
        free: Bytes that may still be taken.
        on_disk: Bytes that went to temporary files.
    """

    free: int
    on_disk: int = 0

    def take(self, size: int) -> bool:
        """Take memory if there is enough; else the bytes are counted as on disk."""
        if size <= self.free:
            self.free -= size
            return True
        self.on_disk += size
        return False


@dataclass
class Columns:
    """The values of N images at one place.

    Attributes:
        n: N.
        width: D, coordinates of each.
        reason: Why nothing is kept, or empty.
    """

    n: int
    width: int
    reason: str = ""
    _memory: NDArray[np.float32] | None = None
    _file: BinaryIO | None = None
    _written: int = field(default=0)

    @classmethod
    def within(cls, room: Room, n: int, width: int) -> "Columns":
        """Make room for n x width values: in memory, or in a file that has no name.

        The file lies where `TMPDIR` says and is gone when it is closed or the process ends.
        """
        size = 4 * n * width
        if room.take(size):
            return cls(n, width, _memory=np.empty(n * width, dtype=np.float32))
        file = tempfile.TemporaryFile(prefix="audit-activations-", buffering=0)  # noqa: SIM115
        return cls(n, width, _file=file)

    def add(self, values: Tensor) -> None:
        """Keep the values of the next images, (B, ...), unless one is not finite."""
        if self.reason:
            return
        rows = values.detach().flatten(1).float().cpu()
        if not bool(torch.isfinite(rows).all()):
            self._give_up(NOT_FINITE)
            return
        try:
            self._keep(rows)
        except OSError as error:
            self._give_up(
                f"Its activations need {4 * self.n * self.width / 2**30:.1f} GB of temporary disk, "
                f"but it gave '{error.strerror}'; TMPDIR names another place."
            )

    def chunks(self) -> Iterator[Tensor]:
        """All values, (N, w) each, in the order of the columns."""
        for first in range(0, self.width, WIDTH):
            wide = min(WIDTH, self.width - first)
            yield torch.from_numpy(self._get(first * self.n, self.n * wide).reshape(self.n, wide))

    def close(self) -> None:
        """Give memory and disk back."""
        self._memory = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _keep(self, rows: Tensor) -> None:
        for first in range(0, self.width, WIDTH):
            part = rows[:, first : first + WIDTH].contiguous().numpy()  # (B, w)
            self._put(first * self.n + self._written * part.shape[1], part)
        self._written += len(rows)

    def _put(self, start: int, part: NDArray[np.float32]) -> None:
        if self._memory is not None:
            self._memory[start : start + part.size] = part.ravel()
        elif self._file is not None:
            self._file.seek(4 * start)
            rest = memoryview(part.tobytes())
            while rest:
                rest = rest[self._file.write(rest) :]

    def _get(self, start: int, size: int) -> NDArray[np.float32]:
        if self._memory is not None:
            return self._memory[start : start + size]
        assert self._file is not None, "values that were given up are not read"
        self._file.seek(4 * start)
        return np.fromfile(self._file, dtype=np.float32, count=size)

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self.close()
