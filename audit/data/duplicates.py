"""What is in the data before any model looks: counts, duplicates, leaks, contradictory labels.

Exact duplicates have equal pixels after decoding (equal files always do). Near duplicates: see
`audit.data.near_duplicates`, and `audit.data.moved_copies` for those that were shifted, mirrored,
zoomed or cropped, which are looked for from the evaluation images on. Nothing here is refused: the
policy judges it. All of it follows from labels, fingerprints and the evaluation images' thumbnails:
of the training images nothing but fingerprints is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.data.dataset import Dataset, Split
from audit.data.fingerprints import Prints, fingerprints, joined, keys, with_thumbs
from audit.data.moved_copies import SearchedPrints, moved_copies
from audit.data.near_duplicates import near_pairs
from audit.data.windows import Thumbs

Integers = NDArray[np.int64]
Pair = tuple[int, int]


class Conflict(NamedTuple):
    """Two images that are the same picture under different labels: (split name, position)."""

    first: tuple[str, int]
    second: tuple[str, int]


@dataclass(frozen=True, eq=False)
class DuplicateFacts:
    """Positions are those of `Dataset.train` and `Dataset.eval`; training parts may be empty.

    Attributes:
        train_counts: Images a class, in the order of the classes.
        eval_counts: Likewise.
        train_duplicates: Groups of training images with equal pixels.
        eval_duplicates: Groups of evaluation images with equal pixels.
        exact_leaks: (evaluation, training) images with equal pixels: one pair an evaluation image.
        near_leaks: Likewise for near duplicates, the closest; without the images in `exact_leaks`.
        label_conflicts: Same picture, two labels, within or across splits; one pair for two labels
            of equal pixels, every pair of near duplicates.
        train_groups: (N,) equal for images tied by exact or near duplicates, directly or through
            others; shared with `eval_groups`.
        eval_groups: (N,).
    """

    train_counts: tuple[int, ...]
    eval_counts: tuple[int, ...]
    train_duplicates: tuple[tuple[int, ...], ...]
    eval_duplicates: tuple[tuple[int, ...], ...]
    exact_leaks: tuple[Pair, ...]
    near_leaks: tuple[Pair, ...]
    label_conflicts: tuple[Conflict, ...]
    train_groups: Integers
    eval_groups: Integers


@dataclass(frozen=True, eq=False)
class _Pool:
    """Both splits in one row, training images first, and their distinct pictures.

    Attributes:
        n_train: Positions below are training images.
        labels: (N,).
        picture: (N,) which distinct picture an image shows.
        near: (P, 2) pairs of distinct pictures that are near duplicates.
        distances: (P,).
    """

    n_train: int
    labels: Integers
    picture: Integers
    near: Integers
    distances: NDArray[np.float64]


class Known(NamedTuple):
    """What is known of a split.

    Attributes:
        labels: (N,).
        prints: Fingerprints of its images.
        thumbs: (N, 32, 32, C) of its images, where moved copies of others are looked for.
    """

    labels: Integers
    prints: Prints
    thumbs: Thumbs | None = None


def known_with_thumbs(
    split: Split, channels: int, progress: Callable[[int], None] | None = None
) -> Known:
    """Look at every image of a split once, and keep the thumbnails.

    Args:
        split: N images.
        channels: 1 (grey) or 3.
        progress: Called with the number of images just finished.
    """
    return Known(split.labels, *with_thumbs(split, channels, progress))


def data_facts(dataset: Dataset, progress: Callable[[int], None] | None = None) -> DuplicateFacts:
    """Look at every image once.

    Args:
        dataset: As loaded.
        progress: Called with the number of images just finished.

    Raises:
        AuditError: DATA_CHANGED, DATA_UNREADABLE if a file changed since loading.
    """
    channels = 1 if dataset.grey else 3
    train = dataset.train
    known = None
    if train is not None:
        known = Known(train.labels, fingerprints(train, channels, progress))
    evaluation = known_with_thumbs(dataset.eval, channels, progress)
    return facts_of(known, evaluation, len(dataset.classes))


def facts_of(train: Known | None, evaluation: Known, classes: int) -> DuplicateFacts:
    """The facts of two splits, of which the first may be missing.

    Args:
        train: Its images need not be at hand.
        evaluation: Fingerprints with the same number of channels.
        classes: How many.
    """
    n_train, k = 0 if train is None else len(train.labels), classes
    splits = [known for known in (train, evaluation) if known is not None]
    pool = _pool(splits, n_train)
    groups = _groups(pool)
    exact = _exact_leaks(pool)
    return DuplicateFacts(
        _counts(pool.labels[:n_train], k),
        _counts(pool.labels[n_train:], k),
        _equal(pool.picture[:n_train]),
        _equal(pool.picture[n_train:]),
        exact,
        _near_leaks(pool, {evaluation for evaluation, _ in exact}),
        _conflicts(pool),
        groups[:n_train],
        groups[n_train:],
    )


def groups_of(known: Known) -> Integers:
    """(N,) equal for images of one split tied by exact or near duplicates."""
    return _groups(_pool([known], len(known.labels)))


def _pool(splits: list[Known], n_train: int) -> _Pool:
    prints = joined([known.prints for known in splits])
    _, first, picture = np.unique(keys(prints.digests), return_index=True, return_inverse=True)
    distinct, labels = prints.select(first), np.concatenate([known.labels for known in splits])
    near, distances = near_pairs(distinct)
    thumbs = splits[-1].thumbs
    if thumbs is not None:
        new = first >= n_train  # pictures of evaluation images alone
        moved, more = _moved(thumbs[first[new] - n_train], distinct, new, labels[first])
        near = np.concatenate([near, moved])
        distances = np.concatenate([distances, more])
    return _Pool(n_train, labels, picture.astype(np.int64), near, distances)


def _moved(
    thumbs: Thumbs, distinct: Prints, new: NDArray[np.bool_], labels: Integers
) -> tuple[Integers, NDArray[np.float64]]:
    """Pairs of distinct pictures of which one is a moved copy of the other under the same label.

    Where classes are left and right, a mirror image under the other label is another picture.

    Args:
        thumbs: (n, 32, 32, C) of the pictures that `new` marks.
        distinct: Fingerprints of all N pictures.
        new: (N,) which pictures only evaluation images show.
        labels: (N,) of the first image of each.
    """
    members = [np.flatnonzero(~new), np.flatnonzero(new)]
    own = np.arange(len(thumbs))
    pools = [
        SearchedPrints(distinct.select(members[0])),
        SearchedPrints(distinct.select(members[1]), own),
    ]
    used = [i for i, pool in enumerate(pools) if len(pool.prints.hashes)]
    found = moved_copies(thumbs, distinct.density[new], [pools[i] for i in used])
    pairs, distances = [np.empty((0, 2), dtype=np.int64)], [np.empty(0)]
    for i, (at, gaps) in zip(used, found, strict=True):
        both = np.stack([members[1][at[:, 0]], members[i][at[:, 1]]], axis=1)
        alike = labels[both[:, 0]] == labels[both[:, 1]]
        pairs.append(np.sort(both[alike], axis=1))
        distances.append(gaps[alike])
    return np.concatenate(pairs), np.concatenate(distances)


def _groups(pool: _Pool) -> Integers:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = int(pool.picture.max()) + 1
    i, j = pool.near.T
    graph = coo_array((np.ones(len(i), dtype=bool), (i, j)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    return component.astype(np.int64)[pool.picture]


def _counts(labels: Integers, k: int) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=k).tolist())


def _members(keys: Integers) -> dict[int, list[int]]:
    """Positions by key, for keys that occur more than once."""
    order = np.argsort(keys, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)
    return {int(keys[run[0]]): run.tolist() for run in runs if len(run) > 1}


def _equal(picture: Integers) -> tuple[tuple[int, ...], ...]:
    return tuple(sorted(tuple(run) for run in _members(picture).values()))


def _exact_leaks(pool: _Pool) -> tuple[Pair, ...]:
    leaks = []
    for run in _members(pool.picture).values():  # ascending: training images first
        if run[0] < pool.n_train:
            leaks += [(i - pool.n_train, run[0]) for i in run if i >= pool.n_train]
    return tuple(sorted(leaks))


def _near_leaks(pool: _Pool, exact: set[int]) -> tuple[Pair, ...]:
    """The closest training image of every evaluation image that has a near duplicate there."""
    shown = _by_picture(pool)
    closest: dict[int, int] = {}
    for at in np.argsort(pool.distances, kind="stable"):
        a, b = pool.near[at].tolist()
        for here, there in ((a, b), (b, a)):
            train = shown[there][0]
            if train < pool.n_train:
                for i in shown[here]:
                    if i >= pool.n_train and i - pool.n_train not in exact:
                        closest.setdefault(i - pool.n_train, train)
    return tuple(sorted(closest.items()))


def _conflicts(pool: _Pool) -> tuple[Conflict, ...]:
    conflicts = []
    for run in _members(pool.picture).values():
        by_label = {int(pool.labels[i]): i for i in reversed(run)}  # the first of each label
        conflicts += [(run[0], i) for i in by_label.values() if i != run[0]]
    shown = _by_picture(pool)
    for a, b in pool.near.tolist():
        i, j = shown[a][0], shown[b][0]
        if pool.labels[i] != pool.labels[j]:
            conflicts.append((min(i, j), max(i, j)))
    return tuple(Conflict(_place(i, pool), _place(j, pool)) for i, j in sorted(conflicts))


def _by_picture(pool: _Pool) -> dict[int, list[int]]:
    """Positions by picture, ascending, for pictures that have a near duplicate."""
    wanted = np.flatnonzero(np.isin(pool.picture, pool.near))
    shown: dict[int, list[int]] = {}
    for i in wanted.tolist():
        shown.setdefault(int(pool.picture[i]), []).append(i)
    return shown


def _place(i: int, pool: _Pool) -> tuple[str, int]:
    return ("train", i) if i < pool.n_train else ("eval", i - pool.n_train)
