"""Harmless stand-ins for the few things beside weights that honest checkpoints mention.

`argparse.Namespace` is the one class that a file may really ask for. NumPy scalars (a metric) and
paths (a folder of the training script) are rebuilt as plain numbers and strings by the functions
below, so that neither NumPy's nor pathlib's constructors are open to a file.
"""

import argparse
import math
import struct
from typing import Any

_FORMATS = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
_MOST_ENTRIES = 100_000
_DEEPEST = 8
DROP = object()  # what is not plain


class Dtype:
    """Remembers the code of a NumPy type ("f8") and nothing else."""

    def __init__(self, code: object, *_: object):
        self.format = _FORMATS.get(code) if isinstance(code, str) else None

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: only little-endian files are read."""


def scalar(dtype: object, raw: object) -> bool | int | float | None:
    """Rebuild a NumPy scalar as a plain number; None where that is not possible."""
    layout = dtype.format if isinstance(dtype, Dtype) else None
    if layout is None or not isinstance(raw, bytes) or len(raw) != struct.calcsize(f"<{layout}"):
        return None
    value: bool | int | float = struct.unpack(f"<{layout}", raw)[0]
    return value


def joined(*parts: object) -> str:
    """Rebuild a path as a string."""
    return "/".join(str(part) for part in parts if isinstance(part, str)).replace("//", "/")


def stand_ins() -> list[Any]:
    """What torch's restricted reader may use beside tensors: objects, or (object, name in file)."""
    paths = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    modules = ("pathlib", "pathlib._local")
    return [
        argparse.Namespace,
        (Dtype, "numpy.dtype"),
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        *((joined, f"{module}.{path}") for module in modules for path in paths),
    ]


def plain(value: object) -> Any:
    """Copy a value, keeping only plain parts: str, int, float, bool, None, list, tuple, dict.

    Args:
        value: Whatever a file held, possibly containing itself.

    Returns:
        The copy, or `DROP` if the value itself is not plain. A `Namespace` becomes a dict.
    """
    return _plain(value, _DEEPEST, [_MOST_ENTRIES])


def _plain(value: object, depth: int, budget: list[int]) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth < 0:
        return DROP
    if value is None or type(value) in (str, bool, int):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else DROP
    if isinstance(value, argparse.Namespace):
        value = dict(vars(value))
    if isinstance(value, dict):
        pairs = [(k, _plain(v, depth - 1, budget)) for k, v in value.items() if type(k) is str]
        return {k: v for k, v in pairs if v is not DROP}
    if type(value) in (list, tuple):
        items = [_plain(v, depth - 1, budget) for v in value]  # type: ignore[attr-defined]
        return type(value)(v for v in items if v is not DROP)  # type: ignore[call-arg]
    return DROP
