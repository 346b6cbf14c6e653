"""Tools to build checkpoints that must be refused.

Whatever runs code from one of them writes a file named "canary" beside it.
"""

import argparse
import builtins
import importlib
import io
import json
import os
import pickle
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import timm
import torch

ARCH = "test_resnet"
UNSAFE, CORRUPT, UNREADABLE = "MODEL_UNSAFE", "MODEL_CORRUPT", "MODEL_UNREADABLE"
NO_FILE, NO_WEIGHTS, MISMATCH = "MODEL_NOT_A_FILE", "MODEL_NO_WEIGHTS", "MODEL_ARCH_MISMATCH"
SAMPLE_INPUTS = (
    "sample_inputs/model.pt",
    "serialized_example_inputs.pt",
)  # the latter by torch 2.6
DTYPE, NOT_FINITE = "MODEL_DTYPE", "MODEL_NOT_FINITE"


class Case(NamedTuple):
    """One hostile input.

    Attributes:
        kind: The row of the table that it belongs to.
        build: Makes it in an empty folder, and returns the path to audit.
        reasons: Any of these is a right answer.
    """

    kind: str
    build: Callable[[Path], Path]
    reasons: tuple[str, ...]


def network() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(ARCH, num_classes=5).eval()


def state() -> dict[str, torch.Tensor]:
    return network().state_dict()


def named(weights: dict[str, object]) -> dict[str, object]:
    """Weights with the name of their architecture."""
    return {"arch": ARCH, "state_dict": weights}


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object):
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, self.arguments


def canary(folder: Path) -> Call:
    return Call(builtins.open, str(folder / "canary"), "w")


def torch_zip(content: object, file: str = "m.pt") -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        value = content(folder) if callable(content) else content
        torch.save(value, folder / file)
        return folder / file

    return build


def written(data: object, file: str = "m.pt") -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / file).write_bytes(data(folder) if callable(data) else data)
        return folder / file

    return build


def saved_bytes(content: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def records(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(content: dict[str, bytes], *extra: tuple[str, bytes], method: int = 0) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as target:
        warnings.simplefilter("ignore")  # "Duplicate name"
        for name, data in (*content.items(), *extra):
            target.writestr(name, data)
    return buffer.getvalue()


def with_pickle(data: bytes) -> bytes:
    """A zip archive of torch whose pickle is `data`."""
    return archive({"m/data.pkl": data, "m/version": b"3\n", "m/byteorder": b"little"})


def code(text: bytes) -> Callable[[Path], Path]:
    """A pickle with a call of `text` ("module\\nname"), the canary's path its argument."""

    def data(folder: Path) -> bytes:
        path = str(folder / "canary").encode()
        return b"\x80\x02c" + text + b"\n(X" + struct.pack("<I", len(path)) + path + b"tR."

    return written(lambda folder: with_pickle(data(folder)))


def polyglot(folder: Path) -> bytes:
    return pickle.dumps(canary(folder)) + saved_bytes(state())


def tar(folder: Path) -> Path:
    with tarfile.open(folder / "m.pt", "w") as target:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            data = pickle.dumps(canary(folder))
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return folder / "m.pt"


def flags_changed(_: Path) -> bytes:
    """Both headers of the pickle claim that it is encrypted, which readers take differently."""
    data = bytearray(saved_bytes(state()))
    at = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[at + 8] |= 1
    return bytes(data)


def local_name_changed(_: Path) -> bytes:
    data = saved_bytes(state())
    at = data.index(b"data.pkl")
    return data[:at] + b"evil.pkl" + data[at + 8 :]


def overlapping(_: Path) -> bytes:
    """Two entries of the directory that share one place."""
    data = bytearray(archive({"m/data.pkl": b"\x80\x02}.", "m/data/0": b"12345678"}))
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(data)


def nested_records(_: Path) -> bytes:
    """A record inside another one, each with a header of its own that agrees with the directory."""
    parts = records(saved_bytes({"w": torch.ones(2)}))
    name = next(name for name in parts if name.endswith("data/0"))
    inner = archive({name: parts.pop(name)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target, zipfile.ZipFile(io.BytesIO(inner)) as small:
        for other, data in parts.items():
            target.writestr(other, data)
        target.writestr("archive/extra", inner[: inner.index(b"PK\x01\x02")])
        entry = small.getinfo(name)
        entry.header_offset = target.getinfo("archive/extra").header_offset + 30 + 13
        target.filelist.append(entry)
    return buffer.getvalue()


def script_with_code(folder: Path) -> Path:
    """A TorchScript module that writes a file when `torch.jit.load` restores its state."""
    source = """
import torch
from typing import Tuple
class Evil(torch.nn.Module):
    path: str
    def __init__(self, path: str):
        super().__init__()
        self.path = path
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x
    @torch.jit.export
    def __getstate__(self) -> Tuple[str, bool]:
        return self.path, self.training
    @torch.jit.export
    def __setstate__(self, state: Tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = torch.from_file(state[0], shared=True, size=1).numel() > 1
"""
    (folder / "evil_module.py").write_text(source)
    sys.path.insert(0, str(folder))
    try:
        sys.modules.pop("evil_module", None)
        module = importlib.import_module("evil_module")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(module.Evil(str(folder / "canary"))), folder / "m.pt")
    finally:
        sys.path.remove(str(folder))
    return folder / "m.pt"


def ladder(_: Path) -> bytes:
    """Sixty lists, each holding the one before twice: 2^60 parts when written out."""
    body = b"]q\x00" + b"".join(
        b"]q" + bytes([i]) + b"(h" + bytes([i - 1]) + b"h" + bytes([i - 1]) + b"e"
        for i in range(1, 60)
    )
    return with_pickle(b"\x80\x02" + body + b".")


def endless_dict() -> dict[str, object]:
    loop: dict[str, object] = {}
    loop["state_dict"] = loop
    return loop


def giant(**recorded: object) -> dict[str, object]:
    args = argparse.Namespace(model_kwargs=recorded.pop("model_kwargs", {}), **recorded)
    return {"arch": recorded.get("model", ARCH), "state_dict": {"w": torch.ones(1)}, "args": args}


def bomb(folder: Path) -> Path:
    """A megabyte or so that unpacks to two gigabytes."""
    path = folder / "m.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        target.writestr("m/data.pkl", b"\x80\x02}.")
        with target.open("m/data/0", "w", force_zip64=True) as file:
            for _ in range(2048):
                file.write(bytes(2**20))
    return path


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "m.pt")
    return folder / "m.pt"


def link(target: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / "m.pt").symlink_to(target)
        return folder / "m.pt"

    return build


def flipped(_: Path) -> bytes:
    data = bytearray(saved_bytes(state()))
    data[data.find(state()["conv1.0.weight"].numpy().tobytes()) + 101] ^= 1
    return bytes(data)


def cut(share: float, data: Callable[[], bytes]) -> Callable[[Path], Path]:
    return written(lambda _: data()[: int(share * len(data()))])


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def safetensors(header: dict[str, object], data: bytes = b"\0" * 4) -> Callable[[Path], Path]:
    text = json.dumps(header).encode()
    return written(struct.pack("<Q", len(text)) + text + data, "m.safetensors")


def change(key: str, value: Callable[[torch.Tensor], object]) -> Callable[[Path], Path]:
    return torch_zip(lambda _: named(state() | {key: value(state()[key])}))


def without(key: str) -> Callable[[Path], Path]:
    return torch_zip(lambda _: named({k: v for k, v in state().items() if k != key}))


def legacy(content: object) -> bytes:
    return saved_bytes(content, _use_new_zipfile_serialization=False)


def array_file(_: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def inner_pickle(folder: Path) -> bytes:
    """A pickle in a pickle: the outer one only asks for `pickle.loads`."""
    inner = pickle.dumps(canary(folder))
    call = b"cpickle\nloads\nB" + struct.pack("<I", len(inner)) + inner + b"\x85R"
    return with_pickle(b"\x80\x03}X\x01\x00\x00\x00a" + call + b"s.")


def twice(_: Path) -> bytes:
    """A safetensors header with one key twice."""
    text = b'{"a":1,"a":' + json.dumps(TENSOR).encode() + b"}"
    return struct.pack("<Q", len(text)) + text + bytes(4)


HUGE = b"\x8a\x06" + (2**40).to_bytes(6, "little")  # LONG1
STORAGE = (
    b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
    b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + HUGE + b"tQK\x00" + HUGE
    + b"\x85K\x01\x85\x89}tRs."
)  # fmt: skip
HEAD = {"m/version": b"3\n", "m/byteorder": b"little"}
