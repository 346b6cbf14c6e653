"""What a data set is to the rest of the audit: labels, digests, and images that open on demand."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.core.errors import AuditError


class Source(Protocol):
    """Where a split's images come from."""

    def read(self, index: int) -> tuple[Image.Image, str]:
        """Image `index` in mode "L" or "RGB", and the digest of what was read for it."""
        ...

    def read_many(self, indices: Sequence[int]) -> Iterable[tuple[Image.Image, str]]:
        """The same of several, in order, which takes less time."""
        ...


@dataclass(frozen=True, eq=False)
class Picked:
    """Some images of another source.

    Attributes:
        source: That other source.
        index: (n,) positions there.
    """

    source: Source
    index: NDArray[np.int64]

    def read(self, index: int) -> tuple[Image.Image, str]:
        """Image `index` of those picked."""
        return self.source.read(int(self.index[index]))

    def read_many(self, indices: Sequence[int]) -> Iterable[tuple[Image.Image, str]]:
        """Several of those picked."""
        return self.source.read_many([int(self.index[i]) for i in indices])


@dataclass(frozen=True, eq=False)
class Split:
    """One part of the data, in an order that depends on content alone: label, then digest.

    Attributes:
        name: "train" or "eval".
        labels: (N,) int64, positions in the data set's list of classes.
        paths: N names for display, relative to the split; always valid Unicode.
        digests: N sha256 in hex, of the file's bytes, or of shape and pixels without a file.
        pixel_digests: N sha256 in hex, of the decoded image (mode, size, pixels).
        source: Opens the images; index i there is index i here.
        sizes: (N, 2) width and height in pixels, None where they were not noted.
    """

    name: str
    labels: NDArray[np.int64]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    pixel_digests: tuple[str, ...]
    source: Source
    sizes: NDArray[np.uint16] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def digest(self) -> str:
        """Sha256 in hex over labels and image digests: names and places do not matter."""
        pairs = sorted(zip(self.labels.tolist(), self.digests, strict=True))
        text = "".join(f"{label} {digest}\n" for label, digest in pairs)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def names_digest(self) -> str:
        """Sha256 in hex over the images' names, which captions show."""
        return hashlib.sha256("\n".join(self.paths).encode()).hexdigest()

    def select(self, index: NDArray[np.int64]) -> "Split":
        """The images at `index` (n,), in that order."""
        chosen = index.tolist()
        return Split(
            self.name,
            self.labels[index],
            tuple(self.paths[i] for i in chosen),
            tuple(self.digests[i] for i in chosen),
            tuple(self.pixel_digests[i] for i in chosen),
            Picked(self.source, index),
            None if self.sizes is None else self.sizes[index],
        )

    def read(self, indices: Sequence[int]) -> Iterator[Image.Image]:
        """Some images in mode "L" or "RGB", in order.

        Raises:
            AuditError: DATA_CHANGED, DATA_UNREADABLE: a file is not the one that was checked on
                loading, or went away.
        """
        found = self.source.read_many(indices)
        for index, (image, digest) in zip(indices, found, strict=True):
            self._require_same(index, digest)
            yield image

    def open_image(self, index: int) -> Image.Image:
        """Image `index` in mode "L" or "RGB".

        Raises:
            AuditError: DATA_CHANGED, DATA_UNREADABLE: the file changed or went away.
        """
        image, digest = self.source.read(index)
        self._require_same(index, digest)
        return image

    def require_unchanged(self) -> None:
        """Refuse files that are no longer what they were; images in memory stay what they are.

        Raises:
            AuditError: DATA_CHANGED, DATA_UNREADABLE.
        """
        digest = getattr(self.source, "digest", None)
        if digest is not None:
            for index in range(len(self)):
                self._require_same(index, digest(index))

    def _require_same(self, index: int, digest: str) -> None:
        if digest != self.digests[index]:
            raise AuditError(
                "DATA_CHANGED",
                f"the audit needs images that stay as they are, but {self.paths[index]!r} has "
                "changed since it was first read.",
                "Run the audit again on the new data.",
            )


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training split, if there is one, and an evaluation split with the same classes.

    Attributes:
        classes: K names; a label is a position here.
        train: None if only evaluation images were given.
        eval: The images that the subject is judged on.
        digest: Sha256 in hex over class names and the splits' digests.
        grey: Whether every image has a single channel.
        skipped: Names of what was left out: system files, files that are no images, and
            unreadable images up to the number that the policy allows.
        unreadable: How many of those are images that cannot be read.
        source: In words: "image folder", "idx files", "embedded Fashion-MNIST".
        broken: Name of each unreadable image, and what is wrong with it.
        hidden: Names of folders that hold images where a class would, but count as none, because
            they begin with a dot or are an archiver's.
    """

    classes: tuple[str, ...]
    train: Split | None
    eval: Split
    digest: str
    grey: bool
    skipped: tuple[str, ...]
    unreadable: int
    source: str
    broken: tuple[tuple[str, str], ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def hidden_words(self) -> str:
        """Names `hidden` behind a count of classes in a message; empty if there is none."""
        return hidden_words(self.hidden)

    @cached_property
    def train_digest(self) -> str:
        """Sha256 in hex of the training split and the classes; empty without a training split."""
        return "" if self.train is None else combined_digest(*self.classes, self.train.digest)

    @cached_property
    def eval_digest(self) -> str:
        """Sha256 in hex of the evaluation split and the classes."""
        return combined_digest(*self.classes, self.eval.digest)

    @cached_property
    def files_digest(self) -> str:
        """Sha256 in hex over names and sizes of all files, which digests of content leave out."""
        digest = hashlib.sha256()
        for split in (self.train, self.eval):
            if split is not None:
                digest.update("\n".join((split.name, *split.paths)).encode())
                digest.update(b"" if split.sizes is None else split.sizes.tobytes())
        digest.update("\n".join(("", *self.skipped)).encode())
        digest.update(repr(self.broken).encode())
        return digest.hexdigest()


def hidden_words(names: Iterable[str]) -> str:
    """Words for a message that counts classes: folders of images that were taken for none."""
    shown = [repr(name) for name in sorted(set(names))[:3]]
    more = ", …" if len(set(names)) > len(shown) else ""
    listed = ", ".join(shown) + more
    return f" (hidden folders hold images too, but are no classes: {listed})" if shown else ""


def dataset_digest(classes: tuple[str, ...], train: Split | None, evaluation: Split) -> str:
    """Sha256 in hex of all that a measurement can depend on; file names and places are not."""
    return combined_digest(*classes, train.digest if train else "", evaluation.digest)


def evaluation_only(dataset: Dataset) -> Dataset:
    """The same without its training split."""
    digest = dataset_digest(dataset.classes, None, dataset.eval)
    return replace(dataset, train=None, digest=digest)


def trained_on(dataset: Dataset) -> Dataset:
    """The evaluation split as the training split, to fit nulls where there is no other."""
    train = replace(dataset.eval, name="train")
    return replace(
        dataset, train=train, digest=dataset_digest(dataset.classes, train, dataset.eval)
    )


def combined_digest(*parts: str) -> str:
    """Sha256 in hex over several strings; where one ends matters."""
    lengths = "".join(f"{len(part.encode())}:{part}" for part in parts)
    return hashlib.sha256(lengths.encode()).hexdigest()


def canonical_order(labels: list[int], digests: list[str], paths: list[str]) -> list[int]:
    """Positions by label, digest, then name: the order of a split does not depend on its place."""
    return sorted(range(len(labels)), key=lambda i: (labels[i], digests[i], paths[i]))
