"""Exact nearest neighbours: a fast search for candidates, proved and re-scored in float64.

The squared distance ||a||^2 + ||b||^2 - 2ab loses its digits where points lie close together, so
it is never returned. From it a lower bound of the true value is made (`audit.kernels.bounds`), in
fewer coordinates where that pays (`audit.kernels.sketch`); the candidates with the smallest bounds
are measured again from the original coordinates in float64. If the k-th of them is no farther than
the bound of everything left out, the answer is exact; if not, more candidates are measured, the
point is searched again with products in float64, and at last without any product.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from audit.kernels.bounds import ROWS, TILE, Sketch, Take, not_above, search, search_some, smallest
from audit.kernels.sketch import MOST, sketched

FIRST = (1, 4)  # candidates beyond k that are measured, until they prove the answer
LAST = (6, 56)  # likewise, of points that are searched again
SOME = 256  # points that are searched among all others at a time


class Neighbours(NamedTuple):
    """The k nearest neighbours of every point.

    Attributes:
        distances: (N, k) float64, ascending, Euclidean, in the unit of the input.
        indices: (N, k) int64; of equally near points any may stand here.
    """

    distances: Tensor
    indices: Tensor


def nearest(x: Tensor, k: int) -> Neighbours:
    """Exact k nearest neighbours of every point among the others.

    Needs, beyond the input, a float32 copy of it, in part a second one of half its size at the
    most, and less than 150 MB for every 20,000 points. Time: N^2 D / 2 multiply-adds in float32
    (each pair once), less where the points have a shorter description, more where they lie close
    to each other for float32; N^2 D in bfloat16 where that is several times as fast.

    Args:
        x: (N, D), any float dtype and device, finite; of float64, below 2^500 in size. Distances
            below 2^-500 count as 0.
        k: Neighbours, at least 1 and below N.

    Raises:
        ValueError: If there are too few points, or a value is not finite or too large to square.
    """
    n, _ = x.shape
    if not 1 <= k < n:
        raise ValueError(f"{k} neighbours need more than {k} points, got {n}")
    x = x.detach() if x.dtype in (torch.float32, torch.float64) else x.detach().float()
    centre, scale = _centre_and_scale(x)
    unit = _unit(x, centre, scale)
    sketch = sketched(unit, k)
    found = Neighbours(
        torch.empty((n, k), dtype=torch.float64, device=x.device),
        torch.empty((n, k), dtype=torch.int64, device=x.device),
    )
    if sketch is None:
        every = torch.arange(n, device=x.device)
        bounds = search(unit, min(k + FIRST[-1], n - 1))
        rows = _settle(x, scale, every, bounds, FIRST, found)
    else:
        rows = _sift(x, scale, unit, sketch, found)
    rows = _again(x, scale, rows, lambda part: unit[part], found)
    rows = _again(x, scale, rows, lambda part: (x[part].double() - centre) / scale, found)
    for row in rows.tolist():
        found.distances[row], found.indices[row] = _scan(x, row, k)
    return found


def _centre_and_scale(x: Tensor) -> tuple[Tensor, float]:
    """Nearly the mean (D,), and a power of two near the largest centred coordinate.

    The centre is as exact as x where the difference from it is, else in float64.

    Raises:
        ValueError: If a value is not finite, or too large to square.
    """
    parts = torch.split(x, ROWS)
    least = torch.stack([part.amin(0) for part in parts]).amin(0).double()
    most = torch.stack([part.amax(0) for part in parts]).amax(0).double()
    if not bool((least.isfinite() & most.isfinite()).all()):
        raise ValueError("neighbours need finite values")
    centre = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for part in parts:
        centre += part.sum(0, dtype=torch.float64) / len(x)
    widest = max(float(most.max()), -float(least.min()))
    if widest >= 2.0**500:
        raise ValueError(f"neighbours need values whose squares can be added, got {widest:.1e}")
    largest = float(torch.maximum(most - centre, centre - least).max())
    if largest < 2.0**-500:
        return centre, 1.0
    if 2.0**-100 < largest <= 2 * widest < 2.0**100:
        centre = centre.to(x.dtype)
    return centre, 2.0 ** math.ceil(math.log2(largest))


def _unit(x: Tensor, centre: Tensor, scale: float) -> Tensor:
    """Centred and scaled float32 copy; its coordinates are at most 1."""
    unit = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    for part, out in zip(torch.split(x, ROWS), torch.split(unit, ROWS), strict=True):
        out.copy_((part - centre).div_(scale))
    return unit


def _settle(
    x: Tensor,
    scale: float,
    rows: Tensor,
    bounds: tuple[Tensor, Tensor],
    extra: Sequence[int],
    found: Neighbours,
) -> Tensor:
    """Measure the candidates of some points, nearest bounds first, until they prove the answer.

    Args:
        x: (N, D).
        scale: Of the bounds.
        rows: (R,) places of the points.
        bounds: Their candidates (R, K), and bounds (R, K) of them in squares of `scale`.
        extra: Candidates beyond k after which to look whether the answer is proved.
        found: Where the answers go.

    Returns:
        The places of those that are not proved, with the best answers so far.
    """
    candidates, lower = bounds
    n, k, most = len(x), found.distances.shape[1], candidates.shape[1]
    # No point left out after K candidates is below the next bound, or the last if there is none.
    beyond = torch.full_like(lower[:, -1:], torch.inf) if most == n - 1 else lower[:, -1:]
    following = torch.cat([lower[:, 1:], beyond], 1)  # (R, K)
    found.distances[rows] = torch.inf
    left, first = torch.arange(len(rows), device=x.device), 0
    for last in sorted({min(k + more, most) for more in extra}):
        _measure(x, rows[left], candidates[left, first:last], found)
        farthest = (found.distances[rows[left], -1] / scale).square() * (1 + 1e-9)
        proved = farthest <= following[left, last - 1]  # false, too, where a bound is not a number
        left = left[~proved & (found.distances[rows[left], -1] > 0)]
        first = last
    return rows[left]


def _sift(x: Tensor, scale: float, unit: Tensor, sketch: Sketch, found: Neighbours) -> Tensor:
    """Measure every pair whose bound by a description of the points does not rule it out.

    Args:
        x: (N, D).
        scale: Of the bounds.
        unit: (N, D) float32, x centred and in units of scale.
        sketch: A description of unit.
        found: Where the answers go.

    Returns:
        The places of points that have too many candidates.
    """
    n, k = found.distances.shape
    reach = 1.01 * float(sketch.norms[:n].max().clamp(min=0).sqrt())  # 1.01: norms are low
    left, room = [], sketch.room(min(n, SOME))
    for rows in torch.split(torch.arange(n, device=x.device), SOME):
        bounds = sketch.bounds(rows, room)  # (R, N')
        bounds.scatter_(1, rows[:, None], torch.inf)
        _, first = smallest(bounds, min(k + 1, n - 1))
        found.distances[rows] = torch.inf
        _measure(x, rows, first, found)
        farthest = found.distances[rows, -1] / scale  # (R,)
        limit = farthest.square() * (1 + 1e-6) - sketch.norms[rows]
        bounds.scatter_(1, first, torch.inf)
        near, column, many = not_above(bounds, limit.float(), MOST)  # (P,), (P,), (R,)
        nearer = _least(unit, rows[near], column, reach) <= farthest[near] * (1 + 1e-6)
        _measure_ragged(x, rows, near[nearer], column[nearer], found)
        left.append(rows[many])
    return torch.cat(left)


def _least(unit: Tensor, here: Tensor, there: Tensor, reach: float) -> Tensor:
    """Lower bounds (P,) of distances from differences of float32 coordinates.

    A sum of D squares loses at most D roundings, and every coordinate is rounded before: of points
    no longer than `reach` that takes off two roundings of it, counted fourfold.
    """
    step = torch.finfo(torch.float32).eps / 2
    distances = [
        torch.linalg.vector_norm(unit.index_select(0, a).sub_(unit.index_select(0, b)), dim=1)
        for a, b in zip(torch.split(here, ROWS), torch.split(there, ROWS), strict=True)
    ]
    return torch.cat(distances).double() * (1 - (unit.shape[1] + 8) * step) - 8 * step * reach


def _measure(x: Tensor, rows: Tensor, candidates: Tensor, found: Neighbours) -> None:
    """Merge the exact distances to some candidates (R, K) of rows (R,) into what was found.

    Candidate by candidate, in parts that fit a processor's cache.
    """
    for part, own in zip(torch.split(candidates, ROWS), torch.split(rows, ROWS), strict=True):
        here = x.index_select(0, own).double()  # (r, D)
        squares = [
            x.index_select(0, column).double().sub_(here).square_().sum(1)
            for column in part.unbind(1)
        ]
        _keep(own, part, torch.stack(squares, 1).sqrt_(), found)


def _measure_ragged(
    x: Tensor, rows: Tensor, near: Tensor, column: Tensor, found: Neighbours
) -> None:
    """As `_measure`, for pairs (P,) of one of the rows, ascending, and a candidate."""
    if not len(near):
        return
    counts = torch.bincount(near, minlength=len(rows))
    place = torch.arange(len(near), device=x.device) - (counts.cumsum(0) - counts)[near]
    distances = torch.full((len(rows), int(counts.max())), torch.inf, device=x.device).double()
    candidates = torch.zeros_like(distances, dtype=torch.int64)
    candidates[near, place] = column
    squares = [
        x.index_select(0, there).double().sub_(x.index_select(0, here)).square_().sum(1)
        for here, there in zip(
            torch.split(rows[near], ROWS), torch.split(column, ROWS), strict=True
        )
    ]
    distances[near, place] = torch.cat(squares).sqrt_()
    _keep(rows, candidates, distances, found)


def _keep(rows: Tensor, candidates: Tensor, distances: Tensor, found: Neighbours) -> None:
    """Merge measured candidates (R, K) of rows (R,) into what was found."""
    known = torch.cat([found.distances[rows], distances], 1)
    indices = torch.cat([found.indices[rows], candidates], 1)
    found.distances[rows], order = known.topk(found.distances.shape[1], largest=False)
    found.indices[rows] = indices.gather(1, order)


def _again(x: Tensor, scale: float, rows: Tensor, take: Take, found: Neighbours) -> Tensor:
    """Search some points again, in the coordinates that `take` gives; in place.

    Returns:
        The places of those that are still not proved.
    """
    most = min(found.distances.shape[1] + LAST[-1], len(x) - 1)
    left = [
        _settle(x, scale, part, search_some(take, len(x), part, most), LAST, found)
        for part in torch.split(rows, SOME)
        if len(part)
    ]
    return torch.cat(left) if left else rows


def _scan(x: Tensor, row: int, k: int) -> tuple[Tensor, Tensor]:
    """Distances and indices (k,) of one row, from differences of coordinates."""
    own = x[row].double()
    squares = torch.cat([(part.double() - own).square_().sum(1) for part in torch.split(x, TILE)])
    squares[row] = torch.inf
    values, indices = squares.topk(k, largest=False)
    return values.sqrt(), indices
