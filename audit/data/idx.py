"""Data in MNIST's idx format: four files, plain or gzipped.

Format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, type 8 = unsigned byte, number of
dimensions, each dimension as a big-endian 32-bit number, then the bytes).
"""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.core.errors import AuditError
from audit.data.dataset import Split, canonical_order
from audit.data.images import ImageProblemError, pixel_digest, refuse_size

MAX_IDX_BYTES = 4 * 2**30
MAX_INFLATION = 100  # times its size that a gzipped file may declare; MNIST's declare 8
ROOM = 2**24  # bytes that any file may declare
PREFIXES = {"train": "train", "eval": "t10k"}
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Images in memory.

    Attributes:
        images: (N, H, W) grey or (N, H, W, 3) colour, in the split's order.
        digests: N, of shape and pixels, as computed on loading.
    """

    images: Bytes
    digests: tuple[str, ...]

    def read(self, index: int) -> tuple[Image.Image, str]:
        """Image `index`; what is in memory cannot have changed."""
        return Image.fromarray(self.images[index]), self.digests[index]

    def read_many(self, indices: Sequence[int]) -> Iterator[tuple[Image.Image, str]]:
        """Several images."""
        return map(self.read, indices)


def find_idx(folder: Path) -> dict[str, tuple[Path, Path]] | None:
    """Image and label file of both splits, or None if any of the four is missing."""
    found = {}
    for split, prefix in PREFIXES.items():
        images, labels = _find(folder, f"{prefix}-images", 3), _find(folder, f"{prefix}-labels", 1)
        if images is None or labels is None:
            return None
        found[split] = (images, labels)
    return found


def read_idx(path: Path, dimensions: int) -> Bytes:
    """One idx file of unsigned bytes.

    Args:
        path: Plain or gzipped; told by content.
        dimensions: 3 for images (N, H, W), 1 for labels (N,).

    Raises:
        AuditError: DATA_UNREADABLE if it is damaged, cut short, too long, empty, or something else;
            DATA_IMAGE_TOO_LARGE if it declares more than MAX_IDX_BYTES, or than a file of its size
            can hold, or images of a size that no image file may have.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as opened:
            return _read_open(cast("IO[bytes]", opened), path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, "is damaged or cut short") from error


def array_split(name: str, images: Bytes, labels: NDArray[np.int64], paths: list[str]) -> Split:
    """A split of images in memory, brought into canonical order.

    Args:
        name: "train" or "eval".
        images: (N, H, W) or (N, H, W, 3).
        labels: (N,).
        paths: N display names.
    """
    shape = repr(images.shape[1:]).encode()
    digests = [hashlib.sha256(shape + image.tobytes()).hexdigest() for image in images]
    order = canonical_order(labels.tolist(), digests, paths)
    kept = tuple(digests[i] for i in order)
    images = images[order]
    pixels = tuple(pixel_digest(Image.fromarray(image)) for image in images)
    names = tuple(paths[i] for i in order)
    sizes = np.broadcast_to(np.array(images.shape[2:0:-1], dtype=np.uint16), (len(images), 2))
    return Split(name, labels[order], names, kept, pixels, ArraySource(images, kept), sizes)


def load_idx(files: dict[str, tuple[Path, Path]]) -> tuple[tuple[str, ...], Split, Split]:
    """Class names, which are the labels' numbers, and both splits.

    Args:
        files: From `find_idx`.

    Raises:
        AuditError: DATA_UNREADABLE, DATA_CLASS_MISMATCH.
    """
    images = {split: read_idx(paths[0], 3) for split, paths in files.items()}
    labels = {split: read_idx(paths[1], 1) for split, paths in files.items()}
    for split, paths in files.items():
        if len(images[split]) != len(labels[split]):
            raise _unreadable(paths[1], f"has {len(labels[split])} labels for other images")
    known = np.unique(labels["train"])
    if not np.array_equal(known, np.unique(labels["eval"])):
        raise AuditError(
            "DATA_CLASS_MISMATCH",
            "the audit needs one list of classes for both splits, but the labels of the evaluation "
            "images are not those of the training images.",
        )
    names = tuple(str(label) for label in known)
    train, evaluation = (
        array_split(
            split,
            images[split],
            np.searchsorted(known, labels[split]).astype(np.int64),
            [f"{split}/{i:05d}" for i in range(len(images[split]))],
        )
        for split in ("train", "eval")
    )
    return names, train, evaluation


def _find(folder: Path, stem: str, dimensions: int) -> Path | None:
    for joint in ("-", "."):
        for ending in ("", ".gz"):
            path = folder / f"{stem}{joint}idx{dimensions}-ubyte{ending}"
            if path.is_file():
                return path
    return None


def _read_open(file: IO[bytes], path: Path, dimensions: int) -> Bytes:
    head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
        raise _unreadable(path, f"is no idx file of {dimensions}-dimensional bytes")
    shape = struct.unpack(f">{dimensions}I", head[4:])
    size = math.prod(shape)
    if size > min(MAX_IDX_BYTES, MAX_INFLATION * path.stat().st_size + ROOM):
        raise AuditError(
            "DATA_IMAGE_TOO_LARGE",
            "the audit reads idx files of at most 4 GB, and none that unpack to "
            f"{MAX_INFLATION} times their size, but {path.name!r} declares {size:,} bytes.",
            "Use an image folder.",
        )
    if not size:
        raise _unreadable(path, f"declares nothing ({' x '.join(map(str, shape))})")
    _refuse_images(path, shape)
    content = file.read(size + 1)
    if len(content) != size:
        raise _unreadable(path, f"does not hold the {size} bytes that it declares")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _refuse_images(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse a file (N, H, W) of images that are too large; one of labels has none."""
    if len(shape) < 3:
        return
    try:
        refuse_size(shape[2], shape[1])
    except ImageProblemError as problem:
        raise AuditError(
            "DATA_IMAGE_TOO_LARGE",
            f"the audit needs images that fit into memory, but each of {path.name!r} {problem}.",
            "Use smaller images.",
        ) from None


def _unreadable(path: Path, what: str) -> AuditError:
    return AuditError(
        "DATA_UNREADABLE",
        f"the audit needs idx files, but {path.name!r} {what}.",
        "Fetch it again.",
    )
