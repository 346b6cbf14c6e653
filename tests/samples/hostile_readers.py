"""Checkpoints that two readers read differently: torch takes sevens where others see ones."""

import pickle
import struct
import zlib

import torch

from tests.samples.hostile_tools import archive, records, saved_bytes, with_pickle

ONES, SEVENS = struct.pack("<2f", 1, 1), struct.pack("<2f", 7, 7)
LOCAL, ENTRY = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L")
PAD = b"archive/" + b"x" * 34
SHIFT = ENTRY.size + len(PAD)


def word(text: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text


def storage(key: bytes = b"0", count: int = 2, view: bytes = b"") -> bytes:
    head = word(b"storage") + b"ctorch\nFloatStorage\n" + word(key) + word(b"cpu")
    return b"(" + head + b"K" + bytes([count]) + view + b"tQ"


def built(place: bytes) -> bytes:
    """A tensor of two values; what calls it follows."""
    return b"(" + place + b"K\x00K\x02\x85K\x01\x85\x89}t"


V2 = b"ctorch._utils\n_rebuild_tensor_v2\n"
REAL = b"}" + word(b"real") + b"K\x07s"  # {"real": 7}
OTHER = b"}" + word(b"data") + V2 + built(storage(b"1")) + b"Rs"  # {"data": the sevens}


def weights(tensor: bytes) -> bytes:
    """A zip archive of torch with ones under "0" and sevens under "1"."""
    parts = records(with_pickle(b"\x80\x02}" + word(b"w") + tensor + b"s."))
    return archive(parts | {"m/data/0": ONES, "m/data/1": SEVENS})


def legacy(tensor: bytes) -> bytes:
    """The old format, with one storage: two ones, two sevens."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    content = b"\x80\x02}" + tensor + b"s."
    parts = [*(pickle.dumps(v, 2) for v in head), content, pickle.dumps(["0"], 2)]
    return b"".join(parts) + struct.pack("<q", 4)


def view(name: bytes, start: int) -> bytes:
    part = b"(" + word(name) + b"K" + bytes([start]) + b"K\x02t"
    return V2 + built(storage(count=4, view=part)) + b"R"


def in_capitals(name: str, data: bytes) -> bytes:
    """A second record, whose name differs by its capitals alone, behind the first."""
    found = {}
    for record, content in records(saved_bytes({"w": torch.ones(2)})).items():
        found[record] = content
        if record.endswith(name):
            found[record.removesuffix(name) + name.upper()] = data
    return archive(found)


def two_directories() -> bytes:
    """A zip directory that means one thing from its beginning and another from its second entry.

    Python finds it before the archive's end, torch where its place is written: SHIFT bytes later.
    """
    parts = records(saved_bytes({"w": torch.ones(2)}))
    out, directory = bytearray(), b""
    for name, data in ((PAD, b""), *((n.encode(), d) for n, d in parts.items())):
        inner = LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0) + name
        more = b"" if name == PAD else bytes(SHIFT - len(inner)) + inner
        more += SEVENS if name.endswith(b"data/0") else b""
        sizes = (zlib.crc32(data), len(data), len(data), len(name))
        place = len(out) + SHIFT
        out += LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, 33, *sizes, len(more)) + name + more + data
        numbers = (20, 20, 0, 0, 0, 33, *sizes, 0, 0, 0, 0, 0, place)
        directory += ENTRY.pack(b"PK\1\2", *numbers) + name
    start, end, n = len(out), len(out) + len(directory), len(parts)
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, n, n, end - start, start + SHIFT)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, *[2**32 - 1] * 2, 0)
    return bytes(out) + directory + large + locator + last


TENSOR_TYPE = b"ctorch._tensor\n_rebuild_from_type_v2\n(" + V2 + b"ctorch\nTensor\n"
PARAMETER = b"ctorch._utils\n_rebuild_parameter_with_state\n("
READ_TWICE = {
    "a record in capitals": lambda: in_capitals("data/0", SEVENS),
    "two directories in one": two_directories,
    "values set by a state": lambda: weights(
        V2 + built(storage()) + b"R(" + storage(b"1") + b"K\x00K\x02\x85K\x01\x85tb"
    ),
    "values in the state of a type": lambda: weights(
        TENSOR_TYPE + built(storage()) + OTHER + b"tR"
    ),
    "values in the state of a parameter": lambda: weights(
        PARAMETER + V2 + built(storage()) + b"R\x89}" + OTHER + b"tR"
    ),
    "values in an attribute": lambda: weights(TENSOR_TYPE + built(storage()) + REAL + b"tR"),
    "a view named as its whole": lambda: legacy(word(b"w") + view(b"0", 2)) + SEVENS + ONES,
    "two views of one name": lambda: (
        legacy(word(b"x") + view(b"v", 0) + b"s" + word(b"w") + view(b"v", 2)) + SEVENS + ONES
    ),
}
