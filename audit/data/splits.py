"""Parts of a split: by class, by chance, and never through a group of near duplicates."""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def heldout_indices(labels: Integers, groups: Integers, seed: int) -> tuple[Integers, Integers]:
    """Set training images aside, stratified, near duplicates on the same side.

    The size is max(10 %, min(20 %, 2,000 images)) of N; it is missed only where groups of
    duplicates do not fit. Every class stays on both sides if it has two groups or more.

    Args:
        labels: (N,).
        groups: (N,), equal for images that belong together.
        seed: Of the draw; same seed, same answer.

    Returns:
        Positions to fit on and positions held out, both ascending.
    """
    n = len(labels)
    counts = np.bincount(labels)
    room = apportion(counts, int(max(0.1 * n, min(0.2 * n, 2000))))
    room = np.minimum(room, np.maximum(counts - 1, 0))
    held = np.zeros(n, dtype=bool)
    by_group = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[by_group], prepend=groups[by_group[0]] - 1))
    members = np.split(by_group, starts[1:])
    for i in np.random.default_rng(seed).permutation(len(members)):
        wanted = np.bincount(labels[members[i]], minlength=len(counts))
        if (wanted <= room).all():
            held[members[i]] = True
            room -= wanted
    return np.flatnonzero(~held), np.flatnonzero(held)


def subset(labels: Integers, n: int, seed: int) -> Integers:
    """Stratified choice of `n` positions, ascending; all of them if there are no more."""
    if n >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    shares = apportion(np.bincount(labels), n)
    chosen = [
        rng.choice(np.flatnonzero(labels == label), share, replace=False)
        for label, share in enumerate(shares)
    ]
    return np.sort(np.concatenate(chosen))


def apportion(counts: Integers, n: int) -> Integers:
    """Divide `n` among classes in proportion to `counts`, by largest remainder.

    Every class that has an image gets one, if there are enough for that.

    Args:
        counts: (K,), their sum at least `n`.
        n: To be divided.

    Returns:
        (K,), at most `counts`, with sum `n`.
    """
    quota = counts * n / max(int(counts.sum()), 1)
    shares = np.floor(quota).astype(np.int64)
    largest = np.argsort(shares - quota, kind="stable")[: n - int(shares.sum())]
    shares[largest] += 1
    for empty in np.flatnonzero((shares == 0) & (counts > 0)):
        if shares.max() > 1:
            shares[shares.argmax()] -= 1
            shares[empty] += 1
    return shares
