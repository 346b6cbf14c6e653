"""The only place that parses a model file. Nothing in the file is ever executed.

What a file is, is decided by its first bytes, never by its name. Zip archives are checked whole
(directory and CRCs: torch checks none) before anything in them is parsed. Pickles are read by
torch's restricted reader alone; TorchScript and exported programs are refused, because loading
them runs code from the file.
"""

import hashlib
import json
import pickletools
import re
import stat
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import safetensors.torch
import torch

from audit.model.inert import stand_ins
from audit.record import AuditError
from reports.text import visible

Kind = Literal["zip", "pickle", "safetensors"]

MAX_INFLATION = 2**30  # bytes that a compressed archive may unpack to beyond 4 times its size
MAX_PICKLE = 2**28  # bytes of a zip's data.pkl: a pickle holds names and shapes, not weights
MAX_HEADER = 2**26  # bytes of a safetensors header
SAVE_AGAIN = "Save `model.state_dict()` with torch.save or safetensors instead"
_PLAIN_GLOBALS = re.compile(
    r"(collections\.OrderedDict|argparse\.Namespace|torch\.\w+Storage|torch\._utils\._rebuild_\w+)$"
)


@dataclass(frozen=True)
class Content:
    """What a model file holds, parsed but not yet believed.

    Attributes:
        value: Of plain values and tensors on the CPU; anything may be missing or odd.
        kind: How it was stored.
        digest: SHA-256 of the file's bytes, hexadecimal.
    """

    value: Any
    kind: Kind
    digest: str


def read_content(path: Path) -> Content:
    """Parse a model file.

    Raises:
        AuditError: MODEL_NOT_FOUND, MODEL_NOT_A_FILE, MODEL_UNREADABLE, MODEL_CORRUPT or
            MODEL_UNSAFE.
    """
    name = visible(path.name or str(path), 80)
    _require_file(path, name)
    try:
        with path.open("rb") as file:
            kind = _sniff(file, name)
            if kind == "zip":
                _check_zip(file, name)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            value = _parse_tensors(file, name) if kind == "safetensors" else _parse(file, name)
    except OSError:
        raise _unreadable(name, "cannot be read from the disk", "Check its permissions") from None
    return Content(value, kind, digest)


def _unreadable(name: str, what: str, remedy: str) -> AuditError:
    return AuditError("MODEL_UNREADABLE", f"a checkpoint is needed, but {name!r} {what}. {remedy}.")


def _unsafe(name: str, what: str) -> AuditError:
    return AuditError("MODEL_UNSAFE", f"{name!r} {what}; nothing of it was run. {SAVE_AGAIN}.")


def _corrupt(name: str, what: str) -> AuditError:
    remedy = "Copy or download it again, and compare checksums"
    return AuditError("MODEL_CORRUPT", f"{name!r} is damaged: {what}. {remedy}.")


def _require_file(path: Path, name: str) -> None:
    """Refuse everything but a regular file, without opening it."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError, RuntimeError):  # ValueError: a zero byte; RuntimeError: a loop
        if _is_link(path):
            what = f"{name!r} is a link that leads nowhere. Give the checkpoint file itself."
            raise AuditError("MODEL_NOT_A_FILE", what) from None
        raise AuditError(
            "MODEL_NOT_FOUND",
            f"no file {visible(str(path))!r} is there. Give the path of a checkpoint file; names "
            "of pretrained models are not fetched.",
        ) from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise AuditError(
            "MODEL_NOT_A_FILE", f"{name!r} is {what}. Give the checkpoint file itself."
        )


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False


def _sniff(file: IO[bytes], name: str) -> Kind:
    """Decide by the first bytes how to parse the file, and name what is no checkpoint."""
    head = file.read(512)
    text = head.lstrip().lower()
    if not head:
        raise _unreadable(name, "is empty (0 bytes)", "Copy or download it again")
    if head.startswith(b"version https://git-lfs"):
        raise _unreadable(name, "is a Git LFS pointer, not the weights", "Run `git lfs pull`")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise _unreadable(name, "is a web page", "Download the file itself")
    if head.startswith(b"\x93NUMPY"):
        if b"|O" in head:
            raise _unsafe(name, "is a NumPy array of pickled objects")
        raise _unreadable(name, "is a NumPy array", SAVE_AGAIN)
    if head[257:262] == b"ustar":
        raise _unsafe(name, "is in the old tar format, which cannot be read without running it")
    if head.startswith(b"PK"):
        return "zip"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**40:
        return "safetensors"
    if zipfile.is_zipfile(file):
        raise _unsafe(name, "is two files in one (a zip archive behind other bytes)")
    return "pickle"


def _check_zip(file: IO[bytes], name: str) -> None:
    """Read the whole archive once: directory consistent, no tricks, every CRC right."""
    try:
        with zipfile.ZipFile(file) as archive:
            _check_records(archive, file.seek(0, 2), name)
            broken = archive.testzip()
    except zipfile.BadZipFile:
        if zipfile.is_zipfile(file):
            raise _corrupt(name, "its zip directory contradicts itself") from None
        raise _unreadable(name, "is cut short", "Copy or download it again") from None
    except (zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError):
        raise _corrupt(name, "a part of it cannot be unpacked") from None
    if broken is not None:
        raise _corrupt(name, f"the checksum of {visible(broken, 60)!r} is wrong")


def _check_records(archive: zipfile.ZipFile, size: int, name: str) -> None:
    """Refuse archives that are no saved weights, or that two readers would read differently."""
    records = archive.infolist()
    names = [record.filename for record in records]
    pickles = [n for n in names if n.endswith("data.pkl")]
    if any(n.startswith(("/", "\\")) or ".." in n.replace("\\", "/").split("/") for n in names):
        raise _unsafe(name, "holds records that point outside it")
    if len(pickles) > 1 or len(set(names)) < len(names):
        raise _unsafe(name, "holds the same record twice")
    if any(n.endswith(("constants.pkl", ".pt2", "archive_format")) or "/code/" in n for n in names):
        raise _unsafe(name, "is TorchScript or an exported program, which runs code when loaded")
    if not pickles:
        raise _unreadable(name, "is a zip archive without weights of torch in it", SAVE_AGAIN)
    unpacked = sum(record.file_size for record in records)
    if unpacked > 4 * size + MAX_INFLATION or archive.getinfo(pickles[0]).file_size > MAX_PICKLE:
        raise _corrupt(name, f"it declares {unpacked / 2**30:.1f} GiB in {size / 2**20:.1f} MiB")


def _parse_tensors(file: IO[bytes], name: str) -> dict[str, torch.Tensor]:
    """Parse safetensors; the header is checked against the file's size first."""
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > min(MAX_HEADER, size - 8):
        raise _corrupt(name, "its header is longer than the file, which may be cut short")
    try:
        header = json.loads(file.read(length), object_pairs_hook=_distinct)
        ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
        if max(ends, default=0) != size - 8 - length:
            raise _corrupt(name, "it is shorter or longer than its header says")
        file.seek(0)
        return safetensors.torch.load(file.read())
    except AuditError:
        raise
    except Exception:  # the library raises a dozen types; none of its words are for the user
        raise _corrupt(name, "its safetensors header contradicts itself") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _parse(file: IO[bytes], name: str) -> Any:
    """Parse with torch's restricted reader, allowing `argparse.Namespace` beside tensors."""
    try:
        with torch.serialization.safe_globals(stand_ins()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        culprit = _blocked_global(str(error), file)
        if culprit:
            raise _unsafe(name, f"asks to import {visible(culprit, 80)!r}") from None
        raise _unreadable(
            name, "is not one, or is cut short or damaged", "Copy it again, or save it anew"
        ) from None


def _blocked_global(message: str, file: IO[bytes]) -> str | None:
    """Name what the pickle wanted to import or call, if that was why it was refused."""
    found = re.search(r"GLOBAL (\S+) (?:was|whose)", message)
    if found:
        return found[1]
    if called := re.search(r"unrecognized function <[\w-]+ (?:function )?([\w.]+)", message):
        return called[1]
    names = [n for n in _globals(_pickles(file)) if not _PLAIN_GLOBALS.match(n)]
    return names[0] if names else None


def _pickles(file: IO[bytes]) -> Iterable[bytes]:
    """The pickled parts of a file, for looking at only."""
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            return [archive.read(n) for n in archive.namelist() if n.endswith("data.pkl")]
    except zipfile.BadZipFile:
        file.seek(0)
        return [file.read(MAX_PICKLE)]


def _globals(pickles: Iterable[bytes]) -> list[str]:
    """Dotted names of what the pickles import, in order, as far as they can be read."""
    names: list[str] = []
    for data in pickles:
        strings: list[str] = []
        try:
            for opcode, argument, _ in pickletools.genops(data):
                if opcode.name in ("GLOBAL", "INST"):
                    names.append(str(argument).replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL":
                    names.append(".".join(strings[-2:]))
                elif isinstance(argument, str):
                    strings.append(argument)
        except Exception:  # damaged after this point: what was read so far still counts
            continue
    return names
