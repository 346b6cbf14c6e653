"""Data sets with one known fault, or with none, made from the embedded images.

Every set is grey or coloured pictures of `SIDE` pixels in memory, drawn anew for each seed;
training and evaluation pictures are made from the two disjoint parts of the embedded images. What a
label depends on is stated here and tested, so that the right answer is known beforehand.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.data.dataset import Dataset, Split, dataset_digest
from audit.data.decode import decode
from audit.data.embedded import load_embedded
from audit.data.idx import array_split

SIDE = 26  # pixels; the nulls' largest gating patch is then 5 x 5
PATCH = 4  # side of a planted mark
TINTS = ((60, 0, 0), (0, 60, 0), (0, 0, 60), (60, 60, 0), (60, 0, 60), (0, 60, 60))
CORNERS = ((5, 5), (5, 17), (17, 5), (17, 17))  # upper left pixel of a mark, before its jitter
JITTER = 2
THING = 6  # side of an object in an arrangement
KINDS = (1, 7, 8)  # trousers, sneakers, bags: told apart by a few pixels
SHIFTS = ((0, SIDE // 2), (SIDE // 2, 0), (SIDE // 2, SIDE // 2))  # between two objects, on a torus
RELATIONS = ("beside", "above", "diagonal")
CONTRAST, NOISE = 110.0, 10.0  # grey levels
ENLARGED = 5  # times that the pictures of the grained set are enlarged: 130 pixels a side
PERIOD = 2.2  # pixels of the grating: reduced to 64 pixels a side nothing of it is left
FAINT = 6.0  # grey levels of the grating, to either side
GROUND = 12.0  # deviation of the noise that it lies on
GRAINS = ((0, None), (1, None), (2, 0.6), (2, 0.6 + np.pi / 2))  # tint and angle by class
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Maker = Callable[["Garments", Labels, np.random.Generator], Pixels]


@dataclass(frozen=True)
class Garments:
    """One part of the embedded images.

    Attributes:
        pixels: (N, SIDE, SIDE), the central part of each.
        labels: (N,) what they show.
        things: (N, THING, THING) in [0, 1], the same pictures reduced.
    """

    pixels: Pixels
    labels: Labels
    things: NDArray[np.float32]


@functools.cache
def sources() -> dict[str, Garments]:
    """Both parts of the embedded images, "train" and "eval"; none of one is in the other."""
    embedded = load_embedded()
    assert embedded.train is not None
    return {split.name: garments(split) for split in (embedded.train, embedded.eval)}


def garments(split: Split) -> Garments:
    """Read one split of the embedded images."""
    whole = decode(split, 28, 1)[:, 0]
    edge = (28 - SIDE) // 2
    block, margin = 28 // THING, 28 % THING // 2
    inner = whole[:, margin : margin + block * THING, margin : margin + block * THING]
    tiles = inner.reshape(-1, THING, block, THING, block).astype(np.float32).mean(axis=(2, 4))
    things = tiles / np.maximum(tiles.max(axis=(1, 2), keepdims=True), 1)
    return Garments(whole[:, edge : edge + SIDE, edge : edge + SIDE], split.labels, things)


def tinted(source: Garments, labels: Labels, rng: np.random.Generator) -> Pixels:
    """A small patch at a random place is tinted; its colour is the class, and nothing else is.

    Returns:
        (N, SIDE, SIDE, 3).
    """
    n = len(labels)
    grey = 0.5 * different(source, n, rng)
    pictures = np.repeat(grey[..., None], 3, axis=3) + 40
    tints = np.array(TINTS, dtype=np.float64)
    for picture, label, (i, j) in zip(
        pictures, labels, rng.integers(SIDE - PATCH + 1, size=(n, 2)), strict=True
    ):
        picture[i : i + PATCH, j : j + PATCH] += tints[label]
    return pictures.round().astype(np.uint8)


def placed(source: Garments, labels: Labels, rng: np.random.Generator) -> Pixels:
    """The same bright mark in every picture; the corner in which it lies is the class.

    Returns:
        (N, SIDE, SIDE).
    """
    n = len(labels)
    pictures = 0.4 * different(source, n, rng)
    at = np.array(CORNERS)[labels] + rng.integers(-JITTER, JITTER + 1, size=(n, 2))
    for picture, (i, j) in zip(pictures, at, strict=True):
        picture[i : i + PATCH, j : j + PATCH] = 255
    return pictures.round().astype(np.uint8)


def grained(source: Garments, labels: Labels, rng: np.random.Generator) -> Pixels:
    """Large tinted pictures; two of four classes differ only in the direction of a faint grating.

    Whoever sees the pictures reduced to half their size cannot tell these two apart. The contents
    mean nothing.

    Returns:
        (N, 5 SIDE, 5 SIDE, 3).
    """
    n, side = len(labels), ENLARGED * SIDE
    rows, columns = np.mgrid[:side, :side]
    chosen = 0.4 * different(source, n, rng) + 80
    pictures = np.empty((n, side, side, 3), dtype=np.uint8)
    for i, label in enumerate(labels):
        tint, angle = GRAINS[label]
        picture = np.kron(chosen[i], np.ones((ENLARGED, ENLARGED)))
        picture = picture + rng.normal(0, GROUND, picture.shape)
        if angle is not None:
            wave = rows * np.cos(angle) + columns * np.sin(angle)
            picture += FAINT * np.sin(2 * np.pi * (wave / PERIOD + rng.random()))
        tinted_picture = picture[..., None] + 0.3 * np.array(TINTS[tint])
        pictures[i] = tinted_picture.round().clip(0, 255)
    return pictures


def as_they_are(source: Garments, labels: Labels, rng: np.random.Generator) -> Pixels:
    """Embedded images, whatever they show, so that the labels mean nothing: (N, SIDE, SIDE)."""
    return different(source, len(labels), rng)


def different(source: Garments, n: int, rng: np.random.Generator) -> Pixels:
    """A random choice of `n` of the embedded images, each at most once: (n, SIDE, SIDE)."""
    return source.pixels[rng.choice(len(source.pixels), n, replace=False)]


def arranged(source: Garments, labels: Labels, rng: np.random.Generator) -> Pixels:
    """Two objects of one kind on noise; the class is the kind and how they lie to each other.

    The first lies anywhere on a torus, the second half a side further along the columns, the rows
    or both. So every place holds an object equally often in each class, and no patch that a null
    sees holds parts of both (the gap is SIDE / 2 - THING pixels): what adds up evidence of patches,
    with or without their places, finds the kind and nothing of the arrangement. (Its logits are
    linear in that evidence and cross-entropy is convex, so where the mean evidence of two classes
    is equal, treating them alike is the global optimum.) Each object is darker or brighter than
    the ground by chance, which takes the arrangement out of linear templates and moments too.

    Returns:
        (N, SIDE, SIDE).
    """
    pools = [np.flatnonzero(source.labels == kind) for kind in KINDS]
    pictures = rng.normal(128, NOISE, (len(labels), SIDE, SIDE))
    for picture, label in zip(pictures, labels, strict=True):
        kind, relation = divmod(int(label), len(RELATIONS))
        for place in both_places(rng.integers(SIDE, size=2), relation):
            thing = source.things[rng.choice(pools[kind])]
            rows, columns = ((p + np.arange(THING)) % SIDE for p in place)
            picture[np.ix_(rows, columns)] += rng.choice((-CONTRAST, CONTRAST)) * thing
    return pictures.round().clip(0, 255).astype(np.uint8)


def both_places(first: Labels, relation: int) -> tuple[Labels, Labels]:
    """Upper left pixels of the two objects, (2,) each, given the first."""
    return first, (first + np.array(SHIFTS[relation])) % SIDE


ARRANGED_CLASSES = tuple(
    f"{kind} {relation}" for kind in ("trousers", "sneakers", "bags") for relation in RELATIONS
)


def planted(
    maker: Maker, classes: tuple[str, ...], n_train: int, n_eval: int, seed: int
) -> Dataset:
    """A data set whose labels are drawn first, in equal numbers, and then made visible.

    Args:
        maker: Draws pictures for labels.
        classes: Their names.
        n_train: Training images, a multiple of the number of classes.
        n_eval: Evaluation images, likewise.
        seed: Of everything random.
    """
    rng = np.random.default_rng(seed)
    splits = []
    for name, n in (("train", n_train), ("eval", n_eval)):
        labels = rng.permutation(np.arange(n) % len(classes))
        pictures = maker(sources()[name], labels, rng)
        paths = [f"{classes[label]}/{i:05d}" for i, label in enumerate(labels)]
        splits.append(array_split(name, pictures, labels, paths))
    train, evaluation = splits
    digest = dataset_digest(classes, train, evaluation)
    grey = maker not in (tinted, grained)
    return Dataset(classes, train, evaluation, digest, grey, (), 0, "planted, of embedded images")
