"""Shorter points whose distances are never larger, for a first look at who may be near.

Split every point into its part y in a few directions and the rest, of length r. Then
|y - y'|^2 + (r - r')^2 <= |x - x'|^2, whatever the directions: the rest enters by its length alone
(the triangle inequality). Along principal axes features of a network keep most of their distances
in a tenth of the coordinates; noise of equal variance in all directions keeps nothing, and is left
as it is.
"""

import numpy as np
import torch
from torch import Tensor

from audit.kernels import bounds

LENGTHS = (16, 32, 64, 128, 256)  # directions that are tried
WORTH = 5e10  # N^2 D; below, the choice takes as long as the search
LONGEST = 2**15  # coordinates; beyond, the length of the rest is not exact enough
REFINE = 4096  # points from which the axes are refined
PROBES = 128  # points for which the exact answer is found, to choose
SEEN = 2048  # points among which the probes' candidates are counted
REST = 0.4  # of the variance outside all directions: then nothing is gained
MOST = 200  # candidates; a point that has more is searched again in all coordinates
# Times in multiply-adds of a matrix product:
EXACT = 40.0  # to measure one coordinate of a pair
LOOK = 120.0  # to look at one bound
LOOK_TWICE = 140.0  # to look at one bound from both sides


def shortened(points: Tensor, k: int) -> Tensor | None:
    """The points in fewer coordinates, or nothing where that would save no time.

    Args:
        points: (N, D) float32, centred, coordinates at most 1.
        k: Neighbours that are looked for.

    Returns:
        (N, p + 1) float32 whose distances are never larger, up to rounding.
    """
    n, d = points.shape
    lengths = [p for p in LENGTHS if 4 * p <= d]
    if n * n * d < WORTH or not lengths or d > LONGEST:
        return None
    order = torch.from_numpy(np.random.default_rng(0).permutation(n)).to(points.device)
    axes = _axes(points[order[: 2 * lengths[-1]]], lengths[-1])
    seen = order[-SEEN:]  # none of which made the axes
    probes = seen[:PROBES]
    rest = _projected(points[seen], axes, lengths[-1:])[lengths[-1]][:, -1]
    if rest.square().sum() > REST * points[seen].square().sum():
        return None
    axes = _refined(points, order[:REFINE], axes)
    few = _projected(points[seen], axes, lengths)
    _, best = bounds.search_some(lambda part: points[part], n, probes, k)
    costs = {d: n * (d / 2 + LOOK_TWICE) + EXACT * d * (k + 1)}  # multiply-adds for one point
    for p in lengths:
        counts = _nearer(few[p], best[:, -1]) * n / len(seen)
        again = n * d * float((counts > MOST).double().mean())
        measured = k + 1 + float(counts.clamp(max=MOST).mean())
        costs[p] = n * (p + LOOK) + EXACT * d * measured + again
    cheapest = min(costs, key=costs.__getitem__)
    return None if cheapest == d else _projected(points, axes, [cheapest])[cheapest]


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


def _nearer(short: Tensor, thresholds: Tensor) -> Tensor:
    """How many points (S, p + 1) seem nearer to each of the first than a threshold (P,)."""
    squares = torch.cdist(short[: len(thresholds)], short).square()
    return (squares <= thresholds[:, None]).sum(1).double() - 1
