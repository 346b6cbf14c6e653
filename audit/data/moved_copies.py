"""Copies that were moved: shifted, mirrored, zoomed or cropped, and saved again.

What `audit.data.near_duplicates` compares are whole pictures, which these do not match. Here the
middle of each picture is looked for in the windows of the evaluation images, as they are and
mirrored (`audit.data.windows`): the window whose coarse view is closest to a middle is moved and
resized a little until its fine structure fits best. The pair counts if so good a fit is not
expected by chance on these data: the rule of `audit.data.near_duplicates` for the fine structure of
the middles of both pictures, where every window and every step of the alignment counts as a trial,
with `MAX_NFA`; and the correlation of the fine structures must be at least `LEAST`.

A picture that is a mirror image or a shifted copy of one with another label is no copy here: where
the classes are left and right these are two pictures.

Measured by `benchmarks/moved_copies.py`: see benchmarks/data.md.

How it can mislead: simple shapes on plain ground that were moved are not found (`SPREAD`), nor are
copies that were turned, or cut to less than four fifths of the side at a corner, nor pairs of moved
copies that are both training images.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.data.fingerprints import MIDDLE_DIRECTIONS, Prints, directions, flat
from audit.data.image_folder import workers
from audit.data.windows import (
    COARSE,
    STEP,
    Floats,
    Thumbs,
    coarse_windows,
    fine_windows,
    grey,
    unit,
    windows,
)

MAX_NFA = (
    1e-8  # with 1e-6 no more planted copies are found, and more pairs of products that are alike
)
# Cells, of 256, over which a fine structure is spread: 1 / sum of its fourth powers. A lone shape
# on plain ground fits every other one once it is moved and resized. Half of the false pairs of
# discs have 37 and more and of rectangles 12; 95 % of planted copies of photographs 40 and more.
SPREAD = 40.0
LEAST = 0.6  # correlation of fine structures; unlike pictures that fit by chance reach 0.5
PROMISING = 0.3  # the same before the alignment, below which none is tried
CHUNK = 256  # pictures whose windows are searched at once
CELLS, PROBES = 256, 2  # parts that the middles are sorted into, and of these searched
SCALES = (0.955, 1.0, 1.045)
Indices = NDArray[np.int64]


class Closest(NamedTuple):
    """For n pictures, the middle that is closest to one of their windows.

    Attributes:
        middle: (n,) whose.
        window: (n,) which of `windows()`.
        mirrored: (n,) whether mirrored.
    """

    middle: Indices
    window: Indices
    mirrored: NDArray[np.bool_]


class SearchedPrints(NamedTuple):
    """Pictures among which copies are looked for.

    Attributes:
        prints: Of N pictures.
        own: (n,) positions of the pictures that are looked at, where they are among the N.
    """

    prints: Prints
    own: Indices | None = None


Found = tuple[Indices, NDArray[np.float64]]  # (P, 2) positions, (P,) distances


def moved_copies(thumbs: Thumbs, density: Floats, pools: Sequence[SearchedPrints]) -> list[Found]:
    """Moved copies: in each pool at most one for every picture, whose middle is the closest.

    Args:
        thumbs: (n, 32, 32, C) of the pictures that are looked at.
        density: (n, 6) of their fingerprints.
        pools: Of one picture at least.

    Returns:
        For each pool: positions in `thumbs` and in its prints, and distances of fine structures.
    """
    indices = [MiddleIndex(pool.prints.middle.astype(np.float32)) for pool in pools]

    def part(start: int) -> list[Found]:
        rows = slice(start, start + CHUNK)
        seen, found = sketched_windows(thumbs[rows]), []
        for pool, index in zip(pools, indices, strict=True):
            best = closest(seen, index, None if pool.own is None else pool.own[rows])
            pairs, distances = aligned(thumbs[rows], density[rows], pool.prints, best)
            found.append((pairs + np.array([start, 0]), distances))
        return found

    with ThreadPoolExecutor(workers()) as threads:
        parts = list(threads.map(part, range(0, len(thumbs), CHUNK)))
    none = np.empty((0, 2), dtype=np.int64), np.empty(0)
    whole = []
    for place in range(len(pools)):
        both = [none, *(found[place] for found in parts)]
        pairs, distances = (np.concatenate(arrays) for arrays in zip(*both, strict=True))
        whole.append((pairs, distances))
    return whole


class MiddleIndex:
    """Middles sorted into parts around some of them, so that few are compared with a window.

    Attributes:
        middles: (N, 64) sketches.
        centres: (K, 64) of the parts.
        members: Positions by part.
        place: (N, 2) part and place therein, by position.
    """

    def __init__(self, middles: Floats) -> None:
        """Sort middles: every one into the part of the closest centre."""
        count = min(CELLS, max(1, len(middles) // 32))
        chosen = np.random.default_rng(0).choice(len(middles), count, replace=False)
        self.middles, self.centres = middles, middles[np.sort(chosen)]
        part = ranked(middles, self.centres, 1)[:, 0]
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange(count + 1))
        self.members = [order[a:b] for a, b in pairwise(ends)]
        self.place = np.empty((len(middles), 2), dtype=np.int64)
        self.place[:, 0] = part
        for rows in self.members:
            self.place[rows, 1] = np.arange(len(rows))

    def closest(self, sketches: Floats, own: Indices | None) -> tuple[Indices, Floats]:
        """The closest middle of each sketch (q, 64) but its `own` (q,), and how close it is.

        Returns:
            Positions (q,), and minus half the squares of the distances (q,).
        """
        best = np.full(len(sketches), -np.inf, dtype=np.float32)
        which = np.zeros(len(sketches), dtype=np.int64)
        for parts in ranked(sketches, self.centres, PROBES).T:
            order = np.argsort(parts, kind="stable")
            ends = np.searchsorted(parts[order], np.arange(len(self.centres) + 1))
            for part, members in enumerate(self.members):
                rows = order[ends[part] : ends[part + 1]]
                if not len(rows) or not len(members):
                    continue
                fit = affinity(sketches[rows], self.middles[members])
                if own is not None:
                    mine = np.flatnonzero(self.place[own[rows], 0] == part)
                    fit[mine, self.place[own[rows[mine]], 1]] = -np.inf
                at = fit.argmax(axis=1)
                value = fit[np.arange(len(rows)), at]
                better = value > best[rows]
                best[rows[better]] = value[better]
                which[rows[better]] = members[at[better]]
        return which, best - (sketches * sketches).sum(axis=1) / 2


def affinity(a: Floats, b: Floats) -> Floats:
    """Minus half the squared distance, up to a constant for each row of `a`: (q, D), (m, D)."""
    found: Floats = a @ b.T - (b * b).sum(axis=1) / 2
    return found


def ranked(a: Floats, b: Floats, count: int) -> Indices:
    """The `count` rows of `b` that are closest to each row of `a`, the closest first."""
    fit, found = affinity(a, b), []
    for _ in range(min(count, len(b))):
        found.append(fit.argmax(axis=1))
        fit[np.arange(len(a)), found[-1]] = -np.inf
    return np.stack(found, axis=1)


def sketched_windows(thumbs: Thumbs) -> Floats:
    """Sketches of all windows, as they are and mirrored in turn: (n, 2 V, 64)."""
    n = len(thumbs)
    seen = coarse_windows(thumbs.astype(np.float32))  # (n, V, COARSE, COARSE, C)
    views = unit(seen.reshape(n * seen.shape[1], -1))
    found: Floats = np.stack([views @ p for p in projections(seen.shape[4])], axis=1)
    return found.reshape(n, 2 * seen.shape[1], -1)


def closest(seen: Floats, index: MiddleIndex, own: Indices | None) -> Closest:
    """The best window of each picture, and whose middle it shows.

    Args:
        seen: (n, 2 V, 64) from `sketched_windows`.
        index: Of the middles.
        own: (n,) which of these is the picture's own, if one is.
    """
    n, count, _ = seen.shape
    repeated = None if own is None else np.repeat(own, count)
    middle, fit = index.closest(seen.reshape(n * count, -1), repeated)
    at = fit.reshape(n, count).argmax(axis=1)
    return Closest(middle.reshape(n, count)[np.arange(n), at], at // 2, at % 2 == 1)


@cache
def projections(channels: int) -> tuple[Floats, Floats]:
    """Directions for a coarse view as it is, and for its mirror image."""
    own = directions(COARSE * COARSE * channels)[:, :MIDDLE_DIRECTIONS]
    mirrored = own.reshape(COARSE, COARSE, channels, -1)[:, ::-1]
    return own, np.ascontiguousarray(mirrored.reshape(own.shape))


def aligned(thumbs: Thumbs, density: Floats, prints: Prints, found: Closest) -> Found:
    """The pairs whose fine structure fits once the window is moved and resized a little."""
    at, picture = windows()[found.window], grey(thumbs)
    goal = prints.middle_fine[found.middle].astype(np.float32)

    def seen(rows: Indices, at: Floats) -> Floats:
        return fine_windows(picture[rows], at, found.mirrored[rows])

    def fits(rows: Indices, at: Floats) -> Floats:
        view = seen(rows, at)
        gap = view @ directions(view.shape[1]) - goal[rows]
        return 1 - (gap * gap).sum(axis=1) / 2

    every = np.arange(len(thumbs))
    rows = every[(fits(every, at) > PROMISING) & ~flat(thumbs)]
    best, fit = at[rows], np.full(len(rows), -np.inf, dtype=np.float32)
    for reach in (STEP / 2, STEP / 4):
        middle = best.copy()
        for move in moves(reach):
            tried = moved(middle, move)
            value = fits(rows, tried)
            better = value > fit
            fit[better], best[better] = value[better], tried[better]
    trials = 2 * len(windows()) * 2 * len(moves(STEP))
    chance = np.log(MAX_NFA / len(prints.hashes) / trials)
    both = np.stack([density[rows], prints.density[found.middle[rows]]])[..., 4:6]  # (2, n, 2)
    limit = np.exp(both[..., 0] + both[..., 1] * chance).min(axis=0)  # NaN without contrast
    distance = np.sqrt(np.maximum(2 - 2 * fit, 0))
    spread = 1 / np.maximum((seen(rows, best) ** 4).sum(axis=1), 1e-9)
    good = (fit >= LEAST) & (distance <= limit) & (spread >= SPREAD)
    pairs = np.stack([rows[good], found.middle[rows[good]]], axis=1)
    return pairs, distance[good].astype(np.float64)


def moves(reach: float) -> list[tuple[float, float, float]]:
    """Small changes of a window: factors of its size, pixels down and to the right."""
    steps = (-reach, 0.0, reach)
    scales = SCALES if reach > STEP / 3 else tuple(1 + (s - 1) / 2 for s in SCALES)
    return [(scale, down, right) for scale in scales for down in steps for right in steps]


def moved(at: Floats, move: tuple[float, float, float]) -> Floats:
    """Windows (n, 3) resized about their middle, then moved."""
    scale, down, right = move
    grown = at[:, 0] * (scale - 1)
    found: Floats = np.stack(
        [at[:, 0] + grown, at[:, 1] - grown / 2 + down, at[:, 2] - grown / 2 + right], axis=1
    ).astype(np.float32)
    return found
