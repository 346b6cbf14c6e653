"""Checkpoints that must be refused: how to build each, and the reasons that may be given."""

import json
import pickle
import struct
from pathlib import Path

import timm
import torch

from tests.samples.hostile_readers import READ_TWICE
from tests.samples.hostile_tools import (
    CORRUPT,
    DTYPE,
    HEAD,
    HUGE,
    MISMATCH,
    NO_FILE,
    NO_WEIGHTS,
    NOT_FINITE,
    STORAGE,
    TENSOR,
    UNREADABLE,
    UNSAFE,
    Case,
    archive,
    array_file,
    bomb,
    canary,
    change,
    code,
    cut,
    endless_dict,
    flags_changed,
    flipped,
    giant,
    inner_pickle,
    ladder,
    legacy,
    link,
    local_name_changed,
    named,
    nested_records,
    network,
    overlapping,
    pipe,
    polyglot,
    records,
    safetensors,
    saved_bytes,
    script_with_code,
    state,
    tar,
    torch_zip,
    twice,
    with_pickle,
    without,
    written,
)


def hollow(folder: Path) -> Path:
    """A safetensors file of which only the header was ever written."""
    size = 4 * 2**30
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    head = json.dumps({"w": entry}).encode()
    path = folder / "m.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + size)
    return path


def shared(folder: Path) -> Path:
    """300 million weights, all of them parts of one storage of 4 million."""
    with torch.device("meta"):
        like = timm.create_model("vit_large_patch16_224", num_classes=5).state_dict()
    one = torch.zeros(max(value.numel() for value in like.values()))
    weights = {k: one[: value.numel()].view(value.shape) for k, value in like.items()}
    torch.save({"arch": "vit_large_patch16_224", "state_dict": weights}, folder / "m.pt")
    return folder / "m.pt"


CODE = "code in pickles"
EXHAUSTION = "exhaustion"
BROKEN = "broken"
MISLEADING = "misleading"

CODE_CASES = {
    "call at the top": Case(CODE, torch_zip(canary), (UNSAFE,)),
    "call beside weights": Case(
        CODE, torch_zip(lambda f: {"state_dict": state(), "x": canary(f)}), (UNSAFE,)
    ),
    "nested pickle": Case(CODE, written(inner_pickle), (UNSAFE,)),
    "pkgutil.resolve_name": Case(CODE, code(b"pkgutil\nresolve_name"), (UNSAFE,)),
    "timeit": Case(CODE, code(b"timeit\ntimeit"), (UNSAFE,)),
    "torch.load itself": Case(CODE, code(b"torch.serialization\nload"), (UNSAFE,)),
    "torch's own gadgets": Case(CODE, code(b"torch.storage\n_load_from_bytes"), (UNSAFE,)),
    "extension code": Case(CODE, written(with_pickle(b"\x80\x02\x82\x01.")), (UNSAFE,)),
    "call of a type": Case(CODE, written(with_pickle(b"\x80\x02ctorch\nTensor\n)R.")), (UNSAFE,)),
    **{
        f"raw pickle {n}": Case(CODE, written(lambda f, n=n: pickle.dumps(canary(f), n)), (UNSAFE,))
        for n in (0, 2, 4, 5)
    },
    "pickle named .safetensors": Case(
        CODE, written(lambda f: pickle.dumps(canary(f)), "m.safetensors"), (UNSAFE,)
    ),
    "pickle named .bin": Case(
        CODE, written(lambda f: pickle.dumps(canary(f)), "pytorch_model.bin"), (UNSAFE,)
    ),
    "legacy with a call": Case(
        CODE, written(lambda f: legacy({"w": torch.ones(1), "x": canary(f)})), (UNSAFE,)
    ),
    "old tar format": Case(CODE, tar, (UNSAFE,)),
    "pickle before a zip": Case(CODE, written(polyglot), (UNSAFE,)),
    "bytes behind a zip": Case(
        CODE, written(lambda _: saved_bytes(state()) + b"\0" * 30), (UNSAFE, UNREADABLE)
    ),
    "comment of a zip": Case(
        CODE, written(lambda _: saved_bytes(state())[:-2] + b"\x04\0evil"), (UNSAFE,)
    ),
    "two data.pkl": Case(
        CODE,
        written(
            lambda f: archive(
                records(saved_bytes(state())), ("archive/x/data.pkl", pickle.dumps(canary(f)))
            )
        ),
        (UNSAFE,),
    ),
    "one name twice": Case(
        CODE,
        written(lambda _: archive({"m/data.pkl": b"\x80\x02}."}, ("m/data.pkl", b"\x80\x02}."))),
        (UNSAFE,),
    ),
    "record inside another": Case(CODE, written(nested_records), (UNSAFE,)),
    "wrong zip flags": Case(CODE, written(flags_changed), (UNSAFE,)),
    "wrong local name": Case(CODE, written(local_name_changed), (UNSAFE,)),
    "overlapping records": Case(CODE, written(overlapping), (UNSAFE,)),
    "../ records": Case(
        CODE, written(archive({"m/data.pkl": b"\x80\x02}.", "m/../../canary": b"x"})), (UNSAFE,)
    ),
    "object array": Case(
        CODE, written(b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False}"), (UNSAFE,)
    ),
    "whole pickled module": Case(CODE, torch_zip(lambda _: network()), (UNSAFE,)),
    "TorchScript with code": Case(CODE, script_with_code, (NO_WEIGHTS,)),
    "name with escapes": Case(
        CODE,
        written(with_pickle(b"\x80\x02c\x1b[31mevil\xe2\x80\xae" + b"x" * 500 + b"\nrun\n)R.")),
        (UNSAFE,),
    ),
}
EXHAUSTION_CASES = {
    "declared huge storage": Case(
        EXHAUSTION,
        written(archive(HEAD | {"m/data.pkl": STORAGE, "m/data/0": b"\0" * 4})),
        (CORRUPT,),
    ),
    "stride-0 giant": Case(
        EXHAUSTION, torch_zip(lambda _: named({"w": torch.zeros(1).expand(2**40)})), (MISMATCH,)
    ),
    "stride-0 weight": Case(
        EXHAUSTION,
        change("fc.weight", lambda t: torch.zeros(1).as_strided(t.shape, (0, 0))),
        (CORRUPT,),
    ),
    "one storage for all weights": Case(EXHAUSTION, shared, (CORRUPT,)),
    "bytearray constructor": Case(
        EXHAUSTION,
        written(with_pickle(b"\x80\x02cbuiltins\nbytearray\n" + HUGE + b"\x85R.")),
        (UNSAFE,),
    ),
    "FloatTensor constructor": Case(
        EXHAUSTION,
        written(with_pickle(b"\x80\x02ctorch\nFloatTensor\n" + HUGE + b"\x85R.")),
        (UNSAFE,),
    ),
    "deflate bomb": Case(EXHAUSTION, bomb, (CORRUPT,)),
    "300,000 keys": Case(
        EXHAUSTION,
        torch_zip(lambda _: dict.fromkeys(map(str, range(300_000)), torch.ones(1))),
        (CORRUPT,),
    ),
    "millions of opcodes": Case(
        EXHAUSTION, written(with_pickle(b"\x80\x02" + b"N0" * 1_500_000 + b"N.")), (CORRUPT,)
    ),
    "deep nesting": Case(
        EXHAUSTION,
        written(with_pickle(b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".")),
        (NO_WEIGHTS,),
    ),
    "deep tuple as a key": Case(
        EXHAUSTION,
        written(with_pickle(b"\x80\x02})" + b"\x85" * 100_000 + b"Ns.")),
        (UNREADABLE,),
    ),
    "memo bomb": Case(EXHAUSTION, written(ladder), (CORRUPT, NO_WEIGHTS)),
    "dict in itself": Case(EXHAUSTION, torch_zip(lambda _: endless_dict()), (NO_WEIGHTS,)),
    "pickle of 4 GB declared": Case(
        EXHAUSTION, written(b"\x80\x02X\xff\xff\xff\xffabc."), (UNREADABLE,)
    ),
    "safetensors longer than told": Case(
        EXHAUSTION, safetensors({"a": TENSOR}, b"\0" * 9), (CORRUPT,)
    ),
    "safetensors of 2^40 elements": Case(
        EXHAUSTION, safetensors({"a": TENSOR | {"shape": [2**40]}}), (CORRUPT,)
    ),
    "safetensors header of 8 GB": Case(
        EXHAUSTION, written(struct.pack("<Q", 2**33) + b"{}"), (CORRUPT,)
    ),
    "safetensors deeply nested": Case(
        EXHAUSTION,
        written(struct.pack("<Q", 200_005) + b'{"a":' + b"[" * 200_000),
        (CORRUPT,),
    ),
    "4 GB declared, 4 kB on the disk": Case(EXHAUSTION, hollow, (CORRUPT,)),
    "pipe": Case(EXHAUSTION, pipe, (NO_FILE,)),
    "/dev/zero": Case(EXHAUSTION, lambda _: Path("/dev/zero"), (NO_FILE,)),
    "giant architecture": Case(
        EXHAUSTION, torch_zip(lambda _: giant(model="vit_giant_patch14_dinov2")), (MISMATCH,)
    ),
    "endless depth": Case(
        EXHAUSTION,
        torch_zip(lambda _: giant(model="vit_tiny_patch16_224", model_kwargs={"depth": 10**7})),
        (MISMATCH,),
    ),
    "giant input": Case(
        EXHAUSTION, torch_zip(lambda _: giant(model="levit_128", img_size=4096)), (MISMATCH,)
    ),
}
BROKEN_CASES = {
    "a picture": Case(BROKEN, written(b"\x89PNG\r\n\x1a\n" + b"\0" * 99), (UNREADABLE,)),
    "0 bytes": Case(BROKEN, written(b""), (UNREADABLE,)),
    "cut at 1 %": Case(BROKEN, cut(0.01, lambda: saved_bytes(state())), (UNREADABLE,)),
    "cut at half": Case(BROKEN, cut(0.5, lambda: saved_bytes(state())), (UNREADABLE,)),
    "no central directory": Case(BROKEN, cut(0.99, lambda: saved_bytes(state())), (UNREADABLE,)),
    "legacy cut at half": Case(BROKEN, cut(0.5, lambda: legacy(state())), (UNREADABLE,)),
    "legacy cut at its end": Case(BROKEN, cut(0.9999, lambda: legacy(state())), (UNREADABLE,)),
    "legacy with bytes behind": Case(BROKEN, written(lambda _: legacy(state()) + b"x"), (CORRUPT,)),
    "one flipped bit": Case(BROKEN, written(flipped), (CORRUPT,)),
    "web page": Case(BROKEN, written(b"\n<!DOCTYPE html><html>Sign in</html>"), (UNREADABLE,)),
    "Git LFS pointer": Case(
        BROKEN,
        written(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        (UNREADABLE,),
    ),
    "random bytes": Case(BROKEN, written(bytes(range(200))), (UNREADABLE,)),
    "words": Case(BROKEN, written(b"hello"), (UNREADABLE,)),
    "zip of something else": Case(BROKEN, written(archive({"a.txt": b"hello"})), (UNREADABLE,)),
    "missing storage": Case(
        BROKEN,
        written(
            lambda _: archive(
                {k: v for k, v in records(saved_bytes(state())).items() if not k.endswith("data/3")}
            )
        ),
        (CORRUPT,),
    ),
    "another byte order": Case(
        BROKEN,
        written(lambda _: archive(records(saved_bytes(state())) | {"archive/byteorder": b"big"})),
        (UNREADABLE,),
    ),
    "folder": Case(BROKEN, lambda folder: folder, (NO_FILE,)),
    "dangling link": Case(BROKEN, link("nowhere"), (NO_FILE,)),
    "looping link": Case(BROKEN, link("m.pt"), (NO_FILE,)),
    "nothing there": Case(BROKEN, lambda folder: folder / "m.pt", ("MODEL_NOT_FOUND",)),
    "safetensors cut": Case(BROKEN, safetensors({"a": TENSOR}, b"\0" * 3), (CORRUPT,)),
    "safetensors with fractions": Case(
        BROKEN, safetensors({"a": TENSOR | {"data_offsets": [0.0, 4.0]}}), (CORRUPT,)
    ),
    "safetensors overlap": Case(BROKEN, safetensors({"a": TENSOR, "b": TENSOR}), (CORRUPT,)),
    "safetensors hole": Case(
        BROKEN,
        safetensors({"a": TENSOR, "b": TENSOR | {"data_offsets": [8, 12]}}, b"\0" * 12),
        (CORRUPT,),
    ),
    "safetensors duplicate": Case(BROKEN, written(twice), (CORRUPT,)),
}
MISLEADING_CASES = {
    "NaN": Case(MISLEADING, change("fc.bias", lambda t: t * float("nan")), (NOT_FINITE,)),
    "infinite": Case(MISLEADING, change("fc.bias", lambda t: t / 0), (NOT_FINITE,)),
    "overflow": Case(
        MISLEADING,
        change("fc.bias", lambda t: torch.full(t.shape, 1e300, dtype=torch.float64)),
        (NOT_FINITE,),
    ),
    "negative variance": Case(MISLEADING, change("bn1.running_var", lambda t: -t), (NOT_FINITE,)),
    "missing key": Case(MISLEADING, without("bn1.weight"), (MISMATCH,)),
    "extra key": Case(
        MISLEADING,
        torch_zip(lambda _: named(state() | {"extra.weight": torch.ones(1)})),
        (MISMATCH,),
    ),
    "other shape": Case(MISLEADING, change("bn1.weight", lambda _: torch.ones(3)), (MISMATCH,)),
    "int8": Case(MISLEADING, change("fc.weight", lambda t: t.to(torch.int8)), (DTYPE,)),
    "complex": Case(MISLEADING, change("fc.weight", lambda t: t + 0j), (DTYPE,)),
    "float8": Case(MISLEADING, change("fc.weight", lambda t: t.to(torch.float8_e5m2)), (DTYPE,)),
    "meta": Case(MISLEADING, change("fc.weight", lambda t: t.to("meta")), (DTYPE,)),
    "sparse": Case(MISLEADING, change("fc.weight", lambda t: t.to_sparse()), (DTYPE,)),
    "conjugated": Case(MISLEADING, change("fc.weight", lambda t: (t + 0j).conj()), (DTYPE,)),
    "string among weights": Case(MISLEADING, change("fc.weight", lambda _: "hello"), (NO_WEIGHTS,)),
    "strings": Case(MISLEADING, torch_zip(lambda _: dict.fromkeys(state(), "x")), (NO_WEIGHTS,)),
    "None": Case(MISLEADING, torch_zip(None), (NO_WEIGHTS,)),
    "list": Case(MISLEADING, torch_zip(lambda _: list(state().values())), (NO_WEIGHTS,)),
    "one tensor": Case(MISLEADING, torch_zip(torch.ones(3)), (NO_WEIGHTS,)),
    "empty dict": Case(MISLEADING, torch_zip({}), (NO_WEIGHTS,)),
    "optimizer only": Case(
        MISLEADING, torch_zip({"optimizer": {"state": {0: torch.ones(1)}}}), (NO_WEIGHTS,)
    ),
    "nothing nested": Case(MISLEADING, torch_zip({"state_dict": {}}), (NO_WEIGHTS,)),
    "array file": Case(MISLEADING, written(array_file), (UNREADABLE,)),
}
TWICE_CASES = {
    name: Case(MISLEADING, written(lambda _, make=make: make()), (UNSAFE,))
    for name, make in READ_TWICE.items()
}
CASES: dict[str, Case] = (
    CODE_CASES | EXHAUSTION_CASES | BROKEN_CASES | MISLEADING_CASES | TWICE_CASES
)
