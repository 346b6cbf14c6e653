"""Descriptions of points that show with less work who may be near.

In fewer coordinates: split every point into its part y in a few directions and the rest, of
length r. Then |y - y'|^2 + (r - r')^2 <= |x - x'|^2, whatever the directions: the rest enters by
its length alone (the triangle inequality). Along principal axes features of a network keep most of
their distances in a tenth of the coordinates; noise of equal variance in all directions keeps
nothing.
In fewer digits, where the processor multiplies those faster: `audit.kernels.rounded`.
"""

import numpy as np
import torch
from torch import Tensor

from audit.kernels import bounds
from audit.kernels.bounds import Sketch, described, low_norms, relative_error
from audit.kernels.rounded import rounded, speed_up

LENGTHS = (16, 32, 64, 128, 256)  # directions that are tried
WORTH = 5e10  # N^2 D; below, the choice takes as long as the search
LONGEST = 2**15  # coordinates; beyond, the length of the rest is not exact enough
REFINE = 4096  # points from which the axes are refined
PROBES = 128  # points for which the exact answer is found, to choose
SEEN = 2048  # points among which the probes' candidates are counted
ENOUGH = 0.6  # of the time of all coordinates in float32: then no axes are looked for
REST = 0.4  # of the variance outside all directions: then nothing is gained
MOST = 200  # candidates; a point that has more is searched again in all coordinates

# Times in multiply-adds of a matrix product:
EXACT = 40.0  # to measure one coordinate of a pair
LOOK = 120.0  # to look at one bound
LOOK_TWICE = 140.0  # to look at one bound from both sides
ROUNDED = -1  # among the lengths: all coordinates in bfloat16


def sketched(points: Tensor, k: int) -> Sketch | None:
    """The description that saves most time, or nothing where none saves any.

    Args:
        points: (N, D) float32, centred, coordinates at most 1.
        k: Neighbours that are looked for.
    """
    n, d = points.shape
    if n * n * d < WORTH:
        return None
    order = torch.from_numpy(np.random.default_rng(0).permutation(n)).to(points.device)
    seen = order[-SEEN:]  # none of which makes the axes; the first are the probes
    _, best = bounds.search_some(lambda part: points[part], n, seen[:PROBES], k)

    def cost(sketch: Sketch, multiplied: float) -> float:
        """Multiply-adds for one point, by a description of those that are seen."""
        counts = _nearer(sketch, best[:, -1]) * n / len(seen)
        again = n * d * float((counts > MOST).double().mean())
        measured = k + 1 + float(counts.clamp(max=MOST).mean())
        return n * (multiplied + LOOK) + EXACT * d * measured + again

    costs = {d: n * (d / 2 + LOOK_TWICE) + EXACT * d * (k + 1)}
    fast = speed_up(points.device)
    if fast > 1:
        costs[ROUNDED] = cost(rounded(points[seen]), d / fast)
        if costs[ROUNDED] < ENOUGH * costs[d]:
            return rounded(points)
    axes = _principal(points, order, seen)
    if axes is not None:
        few = _projected(points[seen], axes, _lengths(d))
        costs |= {p: cost(_described(few[p]), p) for p in few}
    cheapest = min(costs, key=costs.__getitem__)
    if cheapest == ROUNDED:
        return rounded(points)
    if axes is None or cheapest == d:
        return None
    return _described(_projected(points, axes, [cheapest])[cheapest])


def _lengths(d: int) -> list[int]:
    """How many directions are tried for points of D coordinates."""
    return [p for p in LENGTHS if 4 * p <= d <= LONGEST]


def _described(short: Tensor) -> Sketch:
    """A description of points (N, p) float32 by themselves."""
    return described(short, low_norms(short, relative_error(short)))


def _principal(points: Tensor, order: Tensor, seen: Tensor) -> Tensor | None:
    """Directions (D, P) for the lengths that are tried, or nothing where too much lies outside."""
    lengths = _lengths(points.shape[1])
    if not lengths:
        return None
    axes = _axes(points[order[: 2 * lengths[-1]]], lengths[-1])
    rest = _projected(points[seen], axes, lengths[-1:])[lengths[-1]][:, -1]
    if rest.square().sum() > REST * points[seen].square().sum():
        return None
    return _refined(points, order[:REFINE], axes)


def _axes(some: Tensor, most: int) -> Tensor:
    """Orthonormal directions (D, P) float64, nearly the principal axes of some points (R, D)."""
    some = some.double()
    _, vectors = torch.linalg.eigh(some @ some.T)
    return torch.linalg.qr(some.T @ vectors[:, -most:].flip(1)).Q


def _refined(points: Tensor, some: Tensor, axes: Tensor) -> Tensor:
    """Axes nearer to the principal ones, largest variance first: a step of subspace iteration."""
    moments = torch.zeros_like(axes)
    for rows in torch.split(some, bounds.TILE):
        part = points[rows].double()
        moments += part.T @ (part @ axes)
    return torch.linalg.svd(moments, full_matrices=False).U


def _projected(points: Tensor, axes: Tensor, lengths: list[int]) -> dict[int, Tensor]:
    """By p the first p coordinates along the axes and the length of the rest: (N, p + 1)."""
    made = {p: points.new_empty(len(points), p + 1) for p in lengths}
    for rows in torch.split(torch.arange(len(points), device=points.device), bounds.ROWS):
        part = points[rows].double()
        along = part @ axes[:, : lengths[-1]]
        whole = part.square_().sum(1)
        for p, out in made.items():
            rest = (whole - along[:, :p].square().sum(1)).clamp(min=0).sqrt()
            out[rows] = torch.cat([along[:, :p], rest[:, None]], 1).float()
    return made


def _nearer(sketch: Sketch, thresholds: Tensor) -> Tensor:
    """How many others may be nearer to each of the first points than a squared distance (P,)."""
    first = torch.arange(len(thresholds), device=thresholds.device)
    squares = sketch.bounds(first, sketch.room(len(first))) + sketch.norms[first, None]  # (P, N')
    squares[first, first] = torch.inf
    return (squares <= thresholds[:, None]).sum(1).double()
