"""What a model file is, told by its first bytes and never by its name, and what stands in it.

Runs in the limited child process (`sandbox_child`): standard library only, nothing of the file
is executed, and no weight is read, only found.
"""

import json
import zipfile
from typing import IO, Any, Literal, NamedTuple

from audit.model.files import scripted as archives
from audit.model.files.descriptions import ITEM_BYTES, Storage, TensorEntry, contiguous
from audit.model.files.errors import corrupt, unreadable, unsafe
from audit.model.files.pickle_machine import read_pickle
from audit.model.files.pickle_values import Bytes, PickleValues, tensor
from audit.model.files.zip_archive import Archive, Unpacked

Kind = Literal["zip", "legacy", "safetensors", "torchscript", "exported"]
MAX_HEADER = 2**26  # bytes of a safetensors header
MAGIC = 0x1950A86A20F9469CFC6C  # what torch.save's old format begins with
PROTOCOL = 1001
PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")

SAFE_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "I64": "int64",
    "U64": "uint64",
    "F64": "float64",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "C64": "complex64",
}


class FileValue(NamedTuple):
    """What a file holds: plain values and tensors described."""

    kind: Kind
    value: Any


def parse(file: IO[bytes], size: int, unpacked: IO[bytes]) -> FileValue:
    """Read what stands in a model file.

    Args:
        file: Opened for reading.
        size: Size of the file in bytes.
        unpacked: Takes what is compressed in the file.

    Raises:
        CheckpointError: MODEL_UNREADABLE, MODEL_CORRUPT, MODEL_UNSAFE, MODEL_DTYPE or
            MODEL_NO_WEIGHTS.
    """
    kind = _sniffed(file)
    if kind == "safetensors":
        return FileValue("safetensors", _tensors(file, size))
    if kind == "pickle":
        return FileValue("legacy", _legacy(file, size))
    archive = Archive(file, Unpacked(unpacked), 0, size)
    if archives.is_script(archive) and "data.pkl" in archive.records:
        return FileValue("torchscript", archives.script_weights(archive))
    if archives.is_exported(archive):
        return FileValue("exported", archives.exported_weights(archive))
    if "data.pkl" not in archive.records:
        what = "is a zip archive without weights of torch in it"
        raise unreadable(what, "Save `model.state_dict()` with torch.save or safetensors instead")
    return FileValue("zip", archives.saved_value(archive))


def _sniffed(file: IO[bytes]) -> Literal["zip", "pickle", "safetensors"]:
    """Decide by the first bytes how to parse the file, and name what is no checkpoint."""
    file.seek(0)
    head = file.read(512)
    text = head.lstrip().lower()
    if not head:
        raise unreadable("is empty (0 bytes)", "Copy or download it again")
    if head.startswith(b"version https://git-lfs"):
        raise unreadable("is a Git LFS pointer, not the weights", "Run `git lfs pull`")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise unreadable("is a web page", "Download the file itself")
    if head.startswith(b"\x93NUMPY"):
        if b"|O" in head:
            raise unsafe("is a NumPy array of pickled objects")
        raise unreadable("is a NumPy array", "Save `model.state_dict()` with torch.save instead")
    if head.startswith(PICTURES):
        raise unreadable("is a picture", "Give the model's file; images go to --data")
    if head[257:262] == b"ustar":
        raise unsafe("is in the old tar format, which cannot be read without running it")
    if head.startswith(b"PK"):
        return "zip"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**40:
        return "safetensors"
    if zipfile.is_zipfile(file):
        raise unsafe("is two files in one (a zip archive behind other bytes)")
    return "pickle"


def _tensors(file: IO[bytes], size: int) -> dict[str, TensorEntry]:
    """The table of a safetensors file, whose entries must fill the file without a gap."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > min(MAX_HEADER, size - 8):
        raise corrupt("its header is longer than the file, which may be cut short")
    try:
        header = json.loads(file.read(length), object_pairs_hook=_distinct)
        header.pop("__metadata__", None)
        ordered = sorted(header.items(), key=lambda pair: pair[1]["data_offsets"])
        found, at = {}, 0
        for name, entry in ordered:
            found[name], at = _located(entry, 8 + length, at)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise corrupt("its safetensors header contradicts itself") from None
    if at != size - 8 - length:
        raise corrupt("it is shorter or longer than its header says")
    return {name: found[name] for name in header}


def _located(entry: Any, base: int, at: int) -> tuple[TensorEntry, int]:
    """One tensor of safetensors, which begins where the one before it ended."""
    begin, end = entry["data_offsets"]
    shape = entry["shape"][:65]  # longer ones are refused as well
    if type(begin) is not int or type(end) is not int:
        raise TypeError
    if begin != at or end < begin or entry["dtype"] not in SAFE_DTYPES:
        raise ValueError
    place = Storage("file", base + begin, end - begin)
    found = tensor(Bytes(SAFE_DTYPES[entry["dtype"]], place), 0, shape, contiguous(tuple(shape)))
    if found.numel * ITEM_BYTES[found.dtype] != end - begin:
        raise ValueError
    return found, end


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _legacy(file: IO[bytes], size: int) -> Any:
    """What torch.save's old format holds: five pickles, then the bytes of each storage.

    The pickle of the content comes before the places that it refers to, so it is read twice.
    """
    counts: dict[str, tuple[str, int]] = {}
    places: dict[str, Storage] = {}

    def note(dtype: str, key: str, count: int) -> Storage:
        if counts.setdefault(key, (dtype, count)) != (dtype, count):
            raise corrupt("it gives two sizes for one storage")
        return Storage("file", 0, count * ITEM_BYTES[dtype])

    def find(dtype: str, key: str, count: int) -> Storage:
        return places[key]

    file.seek(0)
    noting = PickleValues(note)
    if read_pickle(file, noting, archives.MAX_PICKLE) != MAGIC:
        raise unreadable(
            "is a pickle, but none of torch.save", "Save `model.state_dict()` with torch.save"
        )
    protocol = read_pickle(file, noting, archives.MAX_PICKLE)
    system = read_pickle(file, noting, archives.MAX_PICKLE)
    if protocol != PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is False:
        raise unreadable("was saved on a machine of another kind", "Save it again on this one")
    content = file.tell()
    read_pickle(file, noting, archives.MAX_PICKLE)
    keys = read_pickle(file, noting, archives.MAX_PICKLE)
    if not isinstance(keys, list) or set(keys) != set(counts):
        raise corrupt("its list of storages is not the one that its tensors use")
    places.update(_storages(file, size, keys, counts))
    file.seek(content)
    return read_pickle(file, PickleValues(find), archives.MAX_PICKLE)


def _storages(
    file: IO[bytes], size: int, keys: list[str], counts: dict[str, tuple[str, int]]
) -> dict[str, Storage]:
    """Where the storages are that follow the pickles, each behind its number of elements."""
    places = {}
    at = file.tell()
    for key in keys:
        dtype, count = counts[key]
        file.seek(at)
        start, length = at + 8, count * ITEM_BYTES[dtype]
        head = file.read(8)
        at = start + length
        if len(head) < 8 or at > size:
            raise unreadable("is cut short", "Copy or download it again")
        if int.from_bytes(head, "little") != count:
            raise corrupt("a storage in it has another size than declared")
        places[key] = Storage("file", start, length)
    if at != size:
        raise corrupt("it is longer than it says")
    return places
