"""What the names in a checkpoint's pickle stand for: plain values, tensors described, a refusal.

The list is that of torch's restricted reader (`weights_only=True`), less what can exhaust memory,
and beside it the one class that timm's training script stores, `argparse.Namespace`. NumPy scalars
(a metric) and paths (a folder of the script) become plain numbers and strings. None of the things
named is ever imported. Standard library only.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audit.model.files.descriptions import ITEM_BYTES, OpaqueValue, Record, Storage, TensorEntry
from audit.model.files.errors import corrupt, unreadable, unsafe, unsupported
from audit.model.files.pickle_machine import Name, flat

STORAGES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "QInt8": "qint8",
    "QUInt8": "quint8",
    "QInt32": "qint32",
    "Untyped": "uint8",
}

_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+)Storage$")
_VALUES = ("data", "real", "imag")  # attributes of a tensor that set its values

_SCHEMES = frozenset(
    f"torch.per_{what}"
    for what in ("tensor_affine", "tensor_symmetric", "channel_affine", "channel_symmetric")
)

_TYPES = frozenset(("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"))

_SCALARS = {
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

_SCRIPTED = "__torch__."
_MOST_AXES = 64
Find = Callable[[str, str, int], Storage]


@dataclass(frozen=True)
class Bytes:
    """Typed bytes that tensors look at.

    Attributes:
        dtype: torch's name.
        storage: Where they are.
    """

    dtype: str
    storage: Storage


class PickleValues:
    """The meaning of a checkpoint's pickle.

    Args:
        find: Gives the bytes of a stored tensor: type, key, number of elements.
        scripted: Whether classes of TorchScript may occur, and become records.
    """

    def __init__(self, find: Find, scripted: bool = False):
        self.find = find
        self.scripted = scripted
        self.views: dict[Any, tuple[Any, ...]] = {}  # of the old format, by name: where they are

    def name(self, text: str) -> Name:
        """A name of the list; all others are refused."""
        known = text in CALLS or text in _TYPES | _SCHEMES or _dtype(text) or _storage_dtype(text)
        if self.scripted and text.startswith((_SCRIPTED, "torch.jit._pickle.")):
            known = True
        if not known:
            raise unsafe("asks to import {}", text)
        return Name(text)

    def call(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        """The value of a call, computed here and not there."""
        if name.text in CALLS:
            return CALLS[name.text](*arguments)
        if self.scripted and name.text.startswith(_SCRIPTED):
            return Record(name.text)
        if self.scripted and name.text.startswith("torch.jit._pickle."):
            return arguments[0]
        raise unsafe("asks to call {}", name.text)

    def build(self, value: Any, state: Any) -> None:
        """Attributes of records are kept; those of anything else but a tensor say nothing."""
        if isinstance(value, TensorEntry):
            raise unsafe("gives a tensor its values twice")
        if isinstance(value, Record):
            if not isinstance(state, dict):
                state = {"__state__": state}
            value.values.update(state)

    def persistent(self, key: Any) -> Bytes:
        """The bytes of a tensor."""
        if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage":
            raise unsafe("refers to something that is not stored in it")
        _, kind, where, _, count, *view = key
        dtype = _storage_dtype(kind.text) if isinstance(kind, Name) else ""
        if not dtype or type(where) is not str or not _whole(count):
            raise unreadable("is not one, or is damaged", "Copy it again, or save it anew")
        place = self.find(dtype, where, count)
        if view and view[0] is not None:
            name, *part = view[0]
            known = self.views.setdefault(name, (where, *part))
            if name == where or known != (where, *part):  # torch takes the first of that name
                raise unsafe("gives one name to two parts of it")
            place = _part(place, ITEM_BYTES[dtype], view[0])
        return Bytes(dtype, place)


def _part(place: Storage, item: int, view: Any) -> Storage:
    """A storage that is a part of another one, as torch wrote it before 2018."""
    _, offset, count = view
    if not _whole(offset) or not _whole(count) or (offset + count) * item > place.size:
        raise corrupt("a tensor reaches beyond its values")
    return Storage(place.source, place.start + offset * item, count * item)


def _dtype(text: str) -> str:
    name = text.removeprefix("torch.")
    return name if text.startswith("torch.") and name in ITEM_BYTES else ""


def _storage_dtype(text: str) -> str:
    found = _STORAGE.match(text)
    return STORAGES.get(found[1], "") if found else ""


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _sizes(value: Any) -> tuple[int, ...]:
    """Sizes or strides: a tuple of whole numbers."""
    if not isinstance(value, (tuple, list)) or len(value) > _MOST_AXES:
        raise TypeError
    if not all(_whole(n) for n in value):
        raise corrupt("a tensor has an impossible shape or stride")
    return tuple(value)


def tensor(data: Any, offset: Any, shape: Any, stride: Any, dtype: str = "") -> TensorEntry:
    """A dense tensor.

    Raises:
        CheckpointError: MODEL_CORRUPT if it reaches beyond its values.
    """
    if not isinstance(data, Bytes) or not _whole(offset):
        raise TypeError
    dtype = dtype or data.dtype
    stored = TensorEntry(dtype, _sizes(shape), _sizes(stride), offset, data.storage)
    if len(stored.shape) != len(stored.stride):
        raise corrupt("a tensor has an impossible shape or stride")
    end = offset + stored.extent if stored.numel else 0
    if end * ITEM_BYTES[dtype] > data.storage.size:
        raise corrupt("a tensor reaches beyond its values")
    return stored


def _tensor_v1(data: Any, offset: Any, shape: Any, stride: Any) -> TensorEntry:
    return tensor(data, offset, shape, stride)


def _tensor_v2(
    data: Any, offset: Any, shape: Any, stride: Any, grad: Any, hooks: Any, marks: Any = None
) -> TensorEntry:
    found = tensor(data, offset, shape, stride)
    return _odd(found.dtype, found.shape, "is conjugated or negated in place") if marks else found


def _tensor_v3(data: Any, offset: Any, shape: Any, stride: Any, *more: Any) -> TensorEntry:
    _, _, dtype = more[:3]  # behind whether it has a gradient, and its hooks
    return tensor(data, offset, shape, stride, _dtype(dtype.text))


def _odd(dtype: str, shape: Any, why: str) -> TensorEntry:
    return TensorEntry(dtype, _sizes(shape), odd=why)


def _quantised(data: Any, offset: Any, shape: Any, *_: Any) -> TensorEntry:
    return _odd(data.dtype, shape, "is quantised")


def _meta(dtype: Any, shape: Any, *_: Any) -> TensorEntry:
    return _odd(_dtype(dtype.text), shape, "has a shape but no values")


def _sparse(layout: Any, data: Any) -> TensorEntry:
    values = next(part for part in reversed(data) if isinstance(part, TensorEntry))
    shape = next(part for part in data if isinstance(part, tuple))
    return _odd(values.dtype, shape, "is sparse")


def _typed(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor of a subclass: only torch's own tensors and parameters are known."""
    if kind.text not in _TYPES or function.text not in CALLS:
        raise unsafe("asks to import {}", kind.text)
    return _with_state(CALLS[function.text](*arguments), state)


def _with_state(value: Any, state: Any) -> Any:
    """A tensor with attributes, none of which may give it other values in torch."""
    parts = state if isinstance(state, tuple) else (state,)
    names = [name for part in parts if isinstance(part, dict) for name in part]
    if any(not isinstance(name, str) or name in _VALUES or name[:2] == "__" for name in names):
        raise unsafe("gives a tensor its values twice")
    return value


def _parameter(data: Any, _: Any, __: Any, state: Any) -> Any:
    """A parameter with attributes."""
    return _with_state(data, state)


def _special(*_: Any) -> TensorEntry:
    raise unsupported("holds a tensor of a special class, and an audit needs plain ones")


@dataclass(frozen=True)
class NumpyType:
    """The code of a NumPy type ("f8") and nothing else."""

    code: str


def _numpy_type(code: Any, *_: Any) -> NumpyType:
    return NumpyType(code if type(code) is str else "")


def scalar(kind: Any, raw: Any) -> bool | int | float | None:
    """A NumPy scalar as a plain number; None where that is not possible."""
    layout = _SCALARS.get(kind.code) if isinstance(kind, NumpyType) else None
    if layout is None or not isinstance(raw, bytes) or len(raw) != struct.calcsize(f"<{layout}"):
        return None
    value: bool | int | float = struct.unpack(f"<{layout}", raw)[0]
    return value


def joined(*parts: Any) -> str:
    """A path as a string."""
    return "/".join(part for part in parts if type(part) is str).replace("//", "/")


def _bytes(text: Any = "", coding: Any = "latin1") -> bytes:
    """How protocol 2 writes bytes: as the text that they are in Latin-1."""
    if type(text) is not str or coding != "latin1":
        raise TypeError
    return text.encode("latin-1")


def _dict(pairs: Any = ()) -> dict[Any, Any]:
    items = pairs.items() if isinstance(pairs, dict) else pairs
    return {flat(key): value for key, value in items}


def _set(values: Any = ()) -> set[Any]:
    return {flat(value) for value in values}


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")

CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dict,
    "collections.Counter": _dict,
    "argparse.Namespace": lambda: Record("argparse.Namespace"),
    "_codecs.encode": _bytes,
    **dict.fromkeys(("builtins.set", "__builtin__.set"), _set),
    "torch.Size": lambda sizes=(): tuple(sizes) if isinstance(sizes, (list, tuple)) else (),
    "torch.device": lambda *_: OpaqueValue("device"),
    "torch.serialization._get_layout": lambda name: OpaqueValue("layout"),
    "torch._utils._rebuild_tensor": _tensor_v1,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_qtensor": _quantised,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_sparse_csr_tensor": _sparse,
    "torch._utils._rebuild_nested_tensor": _special,
    "torch._utils._rebuild_wrapper_subclass": _special,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "numpy.dtype": _numpy_type,
    "numpy.core.multiarray.scalar": scalar,
    "numpy._core.multiarray.scalar": scalar,
    **{f"{module}.{path}": joined for module in ("pathlib", "pathlib._local") for path in _PATHS},
}
