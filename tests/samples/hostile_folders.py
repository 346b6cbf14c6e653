"""Image folders that must be refused: how to build each, and the reason that must be given."""

import gzip
import os
import shutil
import socket
import stat
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.samples.hostile_tools import Case
from tests.samples.images import cats_and_dogs, noise

UNREADABLE, LARGE, LINK = "DATA_UNREADABLE", "DATA_IMAGE_TOO_LARGE", "DATA_LINK_OUTSIDE"
CLASSES, EMPTY = "DATA_CLASS_MISMATCH", "DATA_EMPTY_CLASS"
FIRST = Path("val") / "cat" / "0.png"


def with_bytes(change: Callable[[bytes], bytes], name: str = "0.png") -> Callable[[Path], Path]:
    """The folder with one file changed."""

    def build(root: Path) -> Path:
        data = cats_and_dogs(root / "data")
        (data / "val" / "cat" / name).write_bytes(change((data / FIRST).read_bytes()))
        return data

    return build


def changed(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    """The folder after any change."""

    def build(root: Path) -> Path:
        data = cats_and_dogs(root / "data")
        change(data)
        return data

    return build


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def declared(width: int, height: int) -> Callable[[bytes], bytes]:
    """A PNG that declares a size and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")
    return lambda _: picture


def commented(raw: bytes) -> bytes:
    """A comment that unpacks to 20 MB."""
    return raw[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000))) + raw[33:]


def link(data: Path, target: Path | str, name: str = "x.png") -> None:
    (data / "val" / "cat" / name).symlink_to(target)


def device(data: Path) -> None:
    """A device of number 0:0, which any user may make, and which is nothing."""
    os.mknod(data / "val" / "cat" / "x.png", stat.S_IFCHR | 0o600, os.makedev(0, 0))


def listening(data: Path) -> None:
    """A socket; it is bound by a short path, as long ones do not fit."""
    here = Path.cwd()
    os.chdir(data / "val" / "cat")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("x.png")
    os.chdir(here)


def hidden(data: Path) -> None:
    both(data, lambda split: (split / "cat").rename(split / ".cat"))


def stranger(data: Path) -> None:
    """A link to a picture beside the folder."""
    noise(8, 8, 3).save(data.parent / "secret.png")
    link(data, data.parent / "secret.png")


def elsewhere(data: Path) -> None:
    """A split that is a link out of the folder."""
    (data / "val").rename(data.parent / "elsewhere")
    (data / "val").symlink_to(data.parent / "elsewhere")


def both(data: Path, change: Callable[[Path], object]) -> None:
    for split in ("train", "val"):
        change(data / split)


def twins(a: str) -> Callable[[Path], Path]:
    return changed(lambda data: both(data, lambda s: shutil.copytree(s / "cat", s / a)))


def emptied(data: Path, keep: int) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            for file in sorted((data / split / name).iterdir())[keep:]:
                file.unlink()


def zeros(data: Path) -> None:
    """Four idx files of which one unpacks a few kilobytes to gigabytes."""
    shutil.rmtree(data)
    data.mkdir()
    for prefix in ("train", "t10k"):
        head = bytes((0, 0, 8, 3)) + struct.pack(">3I", 60_000, 250, 250)
        (data / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + bytes(2**20)))
        labels = bytes((0, 0, 8, 1)) + struct.pack(">I", 4) + b"\0\1\0\1"
        (data / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def idx_bomb(folder: Path, size: int) -> Path:
    """One idx file of images, all zeros, that unpacks to `size` bytes, a multiple of 2^20."""
    path = folder / "train-images-idx3-ubyte.gz"
    head = bytes((0, 0, 8, 3)) + struct.pack(">3I", size // 2**20, 2**10, 2**10)
    path.write_bytes(gzip.compress(head + bytes(size)))
    return path


ROW = "unreadable images"
SIZE = "too large"
STRUCTURE = "structure of folders"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
BAD = {
    "cut short": with_bytes(lambda raw: raw[:-30]),
    "one flipped bit": with_bytes(lambda raw: raw[:60] + bytes([raw[60] ^ 1]) + raw[61:]),
    "empty": with_bytes(lambda _: b""),
    "text": with_bytes(lambda _: b"hello"),
    "Git LFS pointer": with_bytes(lambda _: LFS),
    "EPS": with_bytes(lambda _: EPS),
    "SVG": with_bytes(lambda _: SVG),
    "pipe": changed(lambda data: os.mkfifo(data / "val" / "cat" / "x.png")),
    "device": changed(device),
    "socket": changed(listening),
    "dangling link": changed(lambda data: link(data, "nowhere.png")),
}
BIG = {
    "50,000 x 50,000": with_bytes(declared(50_000, 50_000)),
    "13,000 x 13,000": with_bytes(declared(13_000, 13_000)),
    "8,001 x 8,001": with_bytes(declared(8_001, 8_001)),
    "2 x 60,000": with_bytes(declared(2, 60_000)),
    "1 x 300": changed(lambda data: noise(1, 300, 3).save(data / "val" / "cat" / "x.png")),
    "comment of 20 MB": with_bytes(commented),
    "idx of 4 GB in 1 KB": changed(zeros),
}
WRONG = {
    "class missing in val": (CLASSES, lambda data: shutil.rmtree(data / "val" / "cat")),
    "class missing in train": (CLASSES, lambda data: shutil.rmtree(data / "train" / "cat")),
    "other names in val": (CLASSES, lambda d: (d / "val" / "cat").rename(d / "val" / "cow")),
    "empty class": (EMPTY, lambda data: both(data, lambda split: (split / "eel").mkdir())),
    "one class": (
        "DATA_ONE_CLASS",
        lambda data: both(data, lambda split: shutil.rmtree(split / "dog")),
    ),
    "one image": ("DATA_TOO_SMALL", lambda data: emptied(data, 1)),
    "24 images a class": ("DATA_TOO_SMALL", lambda data: emptied(data, 24)),
    "link to another place": (LINK, stranger),
    "one class beside a hidden one": ("DATA_ONE_CLASS", hidden),
    # a device behind a link is refused as any link out of the folder, which no setting allows
    "link to a device": (LINK, lambda data: link(data, "/dev/zero")),
    "split that is a link": (LINK, elsewhere),
    "link to the folder above": (LINK, lambda data: link(data, "..", "up")),
    "link to itself": (LINK, lambda data: link(data, "loop", "loop")),
    "no split": ("DATA_NOT_FOUND", lambda data: shutil.rmtree(data / "val")),
}
CASES: dict[str, Case] = {
    **{name: Case(ROW, build, (UNREADABLE,)) for name, build in BAD.items()},
    **{name: Case(SIZE, build, (LARGE,)) for name, build in BIG.items()},
    **{
        name: Case(STRUCTURE, changed(change), (reason,))
        for name, (reason, change) in WRONG.items()
    },
    "twins by case": Case(STRUCTURE, twins("CAT"), (CLASSES,)),
    "twins by Unicode": Case(STRUCTURE, twins("\uff43at"), (CLASSES,)),
}
