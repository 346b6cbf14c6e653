"""Weights out of TorchScript and torch.export archives, without running what is in them.

Loading one runs code from it: `torch.jit.load` and `torch.export.load` are never called. Both keep
their weights as plain bytes beside a description of names and shapes: TorchScript in a pickle of
records, torch.export in a JSON table (earlier in an archive of `torch.save` inside the archive).
Standard library only.
"""

import json
from typing import Any

from audit.model.files.descriptions import ITEM_BYTES, OpaqueValue, Record, Storage, TensorEntry
from audit.model.files.errors import CheckpointError, corrupt, unreadable, unsupported
from audit.model.files.pickle_machine import read_pickle
from audit.model.files.pickle_values import Bytes, PickleValues, tensor
from audit.model.files.zip_archive import Archive

MAX_PICKLE = 2**26  # bytes of a data.pkl: it holds names and shapes, not weights
MAX_TABLE = 2**26  # bytes of a JSON table
DEEPEST = 64  # modules inside modules
TABLES = "data/weights/"
TABLE_END = "_weights_config.json"
OLD_WEIGHTS = "serialized_state_dict.pt"
STRIDED = 7  # torch.export's code of a dense layout

DTYPES = {  # torch.export's codes of types
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8_e4m3fn",
    30: "float8_e5m2",
    34: "uint32",
    35: "uint64",
}


def is_script(archive: Archive) -> bool:
    """Whether `torch.jit.save` wrote it."""
    names = archive.records
    return "constants.pkl" in names or any(name.startswith("code/") for name in names)


def is_exported(archive: Archive) -> bool:
    """Whether `torch.export.save` wrote it."""
    tables = any(name.startswith(TABLES) and name.endswith(TABLE_END) for name in archive.records)
    return tables or "archive_format" in archive.records or OLD_WEIGHTS in archive.records


def saved_value(archive: Archive, scripted: bool = False) -> Any:
    """What `torch.save` (or `torch.jit.save`) put into an archive."""
    order = next((name for name in archive.records if name.lower() == "byteorder"), None)
    if order is not None and archive.read(order, 16).strip() != b"little":
        raise unreadable(
            "was saved on a machine of another byte order", "Save it again on this one"
        )

    def find(dtype: str, key: str, count: int) -> Storage:
        place = archive.storage(f"data/{key}")
        if place.size != count * ITEM_BYTES[dtype]:
            raise corrupt("{} in it has another size than declared", f"data/{key}")
        return place

    record = archive.records["data.pkl"]
    if record.size > MAX_PICKLE:
        raise unreadable(
            f"keeps {record.size / 2**20:.0f} MB in a pickle that should hold names alone, as "
            "NumPy arrays and lists do",
            "Save `model.state_dict()`, whose values are tensors",
        )
    with archive.zip.open(record.info) as file:
        return read_pickle(file, PickleValues(find, scripted), record.size)


def script_weights(archive: Archive) -> dict[str, TensorEntry]:
    """All tensors of a TorchScript module by their dotted names, buffers of any kind among them.

    Raises:
        CheckpointError: MODEL_DTYPE if it is quantised, MODEL_NO_WEIGHTS if it holds no module.
    """
    root = saved_value(archive, scripted=True)
    found: dict[str, TensorEntry] = {}
    pending: list[tuple[str, Any, int]] = [("", root, 0)]
    while pending:
        prefix, module, depth = pending.pop()
        if not isinstance(module, Record) or depth > DEEPEST:
            continue
        if ".torch.classes.quantized" in module.kind:
            raise unsupported("is a quantised TorchScript module")
        for name, value in module.values.items():
            if isinstance(value, TensorEntry):
                found[f"{prefix}{name}"] = value
            else:
                pending.append((f"{prefix}{name}.", value, depth + 1))
    if not found:
        what = "is a TorchScript archive without named weights (frozen, or no module)"
        raise CheckpointError("MODEL_NO_WEIGHTS", what, "Save `model.state_dict()` instead")
    return found


def exported_weights(archive: Archive) -> Any:
    """The state dict of a torch.export archive.

    Raises:
        CheckpointError: MODEL_CORRUPT, MODEL_DTYPE, or MODEL_NO_WEIGHTS if it holds compiled code
            alone or several models.
    """
    if OLD_WEIGHTS in archive.records:
        place = archive.storage(OLD_WEIGHTS)
        if place.source != "file":
            raise corrupt("{} in it is compressed, which torch does not do", OLD_WEIGHTS)
        inner = Archive(archive.whole, archive.unpacked, place.start, place.size)
        return saved_value(inner)
    tables = [n for n in archive.records if n.startswith(TABLES) and n.endswith(TABLE_END)]
    if len(tables) != 1:
        what = "holds several models" if tables else "holds compiled code, and no weights by name"
        raise CheckpointError("MODEL_NO_WEIGHTS", what, "Save `model.state_dict()` instead")
    try:
        entries = json.loads(archive.read(tables[0], MAX_TABLE))["config"]
        return {name: _exported(archive, entry) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise corrupt("its table of weights contradicts itself") from None


def _exported(archive: Archive, entry: Any) -> TensorEntry | OpaqueValue:
    meta = entry["tensor_meta"]
    dtype = DTYPES[meta["dtype"]]
    shape = [size["as_int"] for size in meta["sizes"]]
    if entry["use_pickle"] or meta["layout"] != STRIDED:
        return TensorEntry(dtype, tuple(shape), odd="is of a special class or layout")
    place = archive.storage(f"data/weights/{entry['path_name']}")
    stride = [step["as_int"] for step in meta["strides"]]
    return tensor(Bytes(dtype, place), meta["storage_offset"]["as_int"], shape, stride)
