"""What stands in a model file, described but not yet read. Standard library only."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from audit.model.files.pickle_machine import Name

Source = Literal["file", "unpacked"]

ITEM_BYTES = {
    **dict.fromkeys(("bool", "uint8", "int8", "float8_e4m3fn", "float8_e5m2"), 1),
    **dict.fromkeys(("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"), 1),
    **dict.fromkeys(("qint8", "quint8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32", "qint32", "complex32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
    "complex128": 16,
}


@dataclass(frozen=True)
class Storage:
    """Consecutive bytes.

    Attributes:
        source: "file", or "unpacked" for what was compressed there.
        start: Position of the first byte in the source.
        size: Number of bytes.
    """

    source: Source
    start: int
    size: int


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as the file describes it.

    Attributes:
        dtype: torch's name ("float32").
        shape: Sizes of its axes.
        stride: Steps along them, in elements.
        offset: Position of its first element, in elements from the storage's start.
        storage: Where its bytes are; None if it has none.
        odd: In words, why it cannot be a weight ("is sparse"); empty if it may be one.
    """

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...] = ()
    offset: int = 0
    storage: Storage | None = None
    odd: str = ""

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def extent(self) -> int:
        """Elements from the first to the last one, both included; 0 if there is none."""
        if not self.numel:
            return 0
        return 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))


@dataclass(frozen=True)
class OpaqueValue:
    """A value that is neither plain nor a tensor; only the name of its type is kept."""

    name: str


@dataclass(eq=False)
class Record:
    """An object of which only the attributes matter.

    Attributes:
        kind: The name of its class.
        values: Its attributes.
    """

    kind: str
    values: dict[Any, Any] = field(default_factory=dict)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a tensor without gaps."""
    steps = [1]
    for size in reversed(shape[1:]):
        steps.append(steps[-1] * size)
    return tuple(reversed(steps[: len(shape)]))


def encoded(value: Any, budget: list[int], depth: int = 12) -> Any:
    """Plain JSON for a value of nested dicts, lists, tensors and plain values.

    Args:
        value: May contain itself; a `Record` is written as its attributes.
        budget: One number: how many parts may still be written.
        depth: How many levels may still follow; deeper ones become `OpaqueValue`.

    Raises:
        OverflowError: If there are more parts than the budget allows.
    """
    budget[0] -= 1
    if budget[0] < 0:
        raise OverflowError
    if isinstance(value, TensorEntry):
        place = value.storage
        where = None if place is None else [place.source, place.start, place.size]
        return ["T", value.dtype, value.shape, value.stride, value.offset, where, value.odd]
    if value is None or type(value) in (str, bool):
        return value
    if type(value) is int and value.bit_length() <= 64:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else ["F", repr(value)]
    if isinstance(value, Record):
        value = value.values
    if depth > 0 and isinstance(value, (list, tuple)):
        kind = "L" if isinstance(value, list) else "t"
        return [kind, [encoded(item, budget, depth - 1) for item in value]]
    if depth > 0 and isinstance(value, dict):
        return ["D", [[encoded(x, budget, depth - 1) for x in pair] for pair in value.items()]]
    name = type(value).__name__
    if isinstance(value, OpaqueValue):
        name = value.name
    elif isinstance(value, Name):
        name = value.text
    return ["?", name[:200]]


def decoded(value: Any) -> Any:
    """The inverse of `encoded`."""
    if not isinstance(value, list):
        return value
    kind, *rest = value
    if kind == "T":
        dtype, shape, stride, offset, where, odd = rest
        place = None if where is None else Storage(*where)
        return TensorEntry(dtype, tuple(shape), tuple(stride), offset, place, odd)
    if kind == "D":
        return {_key(decoded(k)): decoded(v) for k, v in rest[0]}
    if kind == "L":
        return [decoded(item) for item in rest[0]]
    if kind == "t":
        return tuple(decoded(item) for item in rest[0])
    return float(rest[0]) if kind == "F" else OpaqueValue(rest[0])


def _key(key: Any) -> Any:
    """A key that a dict can take."""
    return OpaqueValue(type(key).__name__) if isinstance(key, (list, dict, tuple)) else key


def plain(value: Any, depth: int = 8) -> Any:
    """Copy a decoded value, keeping only plain parts: str, int, finite float, bool, None, lists.

    Returns:
        The copy; `OpaqueValue` if the value itself is not plain.
    """
    if value is None or type(value) in (str, bool, int):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if depth > 0 and isinstance(value, dict):
        pairs = [(k, plain(v, depth - 1)) for k, v in value.items() if type(k) is str]
        return {k: v for k, v in pairs if not isinstance(v, OpaqueValue)}
    if depth > 0 and isinstance(value, (list, tuple)):
        items = [plain(item, depth - 1) for item in value]
        return type(value)(item for item in items if not isinstance(item, OpaqueValue))
    return value if isinstance(value, OpaqueValue) else OpaqueValue(type(value).__name__)
