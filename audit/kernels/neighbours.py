"""Exact nearest neighbours: a fast search for candidates, proved and re-scored in float64.

The squared distance ||a||^2 + ||b||^2 - 2ab loses its digits where points lie close together, so
it is never returned. From it a lower bound of the true value is made, by the worst-case error of
a rounded dot product (Higham 2002, section 3.1); the candidates with the smallest bounds are
measured again from the original coordinates in float64. If the k-th of them is no farther than
the bound of everything left out, the answer is exact; if not, the row is searched again with
products in float64, and at last without any product.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SPARE = 1  # candidates beyond k that are measured first
MORE = 14  # and where that proves nothing
MOST = 56  # and in the search in float64
TILE = 2048  # rows and columns of one block of bounds: 17 MB each in float32
GROUP = 32  # columns of which only the smallest is looked at first
ROWS = 128  # rows that are copied to float64 at a time: they stay in a processor's cache
TINY = 1e-30  # squared distance below which float32 may underflow, at unit scale


class Neighbours(NamedTuple):
    """The k nearest neighbours of every point.

    Attributes:
        distances: (N, k) float64, ascending, Euclidean, in the unit of the input.
        indices: (N, k) int64; of equally near points any may stand here.
    """

    distances: Tensor
    indices: Tensor


def two_nearest(x: Tensor) -> tuple[Tensor, Tensor]:
    """Exact distances to the first and the second neighbour.

    Args:
        x: (N, D), any float dtype and device, finite, N >= 3. See `nearest` for the memory.

    Returns:
        Two (N,) float64 tensors on the device of x; 0 where a point is repeated.
    """
    distances = nearest(x, 2).distances
    return distances[:, 0], distances[:, 1]


def nearest(x: Tensor, k: int) -> Neighbours:
    """Exact k nearest neighbours of every point among the others.

    Needs, beyond the input, a float32 copy of it and less than 150 MB (N = 20,000 and
    D = 2,048: 310 MB at the most). Time: N^2 D multiply-adds in float32 (each pair once).

    Args:
        x: (N, D), any float dtype and device, finite.
        k: Neighbours, at least 1 and below N.

    Raises:
        ValueError: If there are too few points or a value is not finite.
    """
    n, _ = x.shape
    if not 1 <= k < n:
        raise ValueError(f"{k} neighbours need more than {k} points, got {n}")
    if not all(bool(torch.isfinite(part).all()) for part in torch.split(x, TILE)):
        raise ValueError("neighbours need finite values")
    x = x.detach() if x.dtype in (torch.float32, torch.float64) else x.detach().float()
    centre, scale = _centre_and_scale(x)
    candidates, lower = _search(_unit(x, centre, scale), min(k + MORE, n - 1))
    rows = torch.arange(n, device=x.device)
    found = Neighbours(rows.new_empty((n, k), dtype=torch.float64), rows.new_empty((n, k)))
    for count in (min(k + SPARE, n - 1), min(k + MORE, n - 1)):
        distances, indices = _score(x, rows, candidates[rows, :count], k)
        found.distances[rows], found.indices[rows] = distances, indices
        # No point left out is nearer than the next bound, or than the last one kept.
        bound = lower[rows, min(count, lower.shape[1] - 1)].double()
        rows = rows[_unproved(distances, bound, scale)]
        if count == n - 1 or not len(rows):
            return found
    _again(x, centre, scale, rows, found)
    return found


def _centre_and_scale(x: Tensor) -> tuple[Tensor, float]:
    """Mean (D,) in float64, and a power of two near the largest centred coordinate."""
    centre = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for part in torch.split(x, ROWS):
        centre += part.double().sum(0) / len(x)
    peaks = [(part - centre).abs_().amax() for part in torch.split(x, ROWS)]
    largest = float(torch.stack(peaks).max())
    if not 2.0**-1000 < largest < 2.0**1000:
        return centre, 1.0
    return centre, 2.0 ** math.ceil(math.log2(largest))


def _unit(x: Tensor, centre: Tensor, scale: float) -> Tensor:
    """Centred and scaled float32 copy; its coordinates are at most 1."""
    unit = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    for part, out in zip(torch.split(x, ROWS), torch.split(unit, ROWS), strict=True):
        out.copy_((part - centre).div_(scale))
    return unit


def _error(unit: Tensor) -> float:
    """Relative error kappa of a float32 bound: |computed - true| <= kappa (||a||^2 + ||b||^2).

    Rounded input and dot products of D terms in any order, twice over (some devices truncate).
    """
    return 2 * (unit.shape[1] + 32) * 2.0**-24 + 8 * _lost(unit)


def _lost(unit: Tensor) -> float:
    """Relative error of a float32 product with 1: above 0 where fewer bits are multiplied.

    A user may have let products run in TF32 or bfloat16; the bound is then widened.
    """
    generator = torch.Generator().manual_seed(0)
    probe = torch.zeros(256, max(unit.shape[1], 64))
    probe[:, 0] = 1 + torch.rand(256, generator=generator)
    ones = torch.zeros_like(probe)
    ones[:, 0] = 1
    product = (probe.to(unit.device) @ ones.to(unit.device).T).cpu()  # (256, 256)
    return float(((product - probe[:, :1]) / probe[:, :1]).abs().max())


def _search(unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Candidates for the k nearest, each pair of tiles multiplied once.

    Returns:
        Indices (N, k), and their lower bounds (N, k), ascending: no point left out is below the
        last.
    """
    n, device = len(unit), unit.device
    kappa = _error(unit)
    norms = torch.cat([part.double().square_().sum(1) for part in torch.split(unit, ROWS)])  # (N,)
    norms = (norms * (1 - kappa) - TINY).float()
    best = torch.full((n, k), torch.inf, device=device)
    index = torch.zeros((n, k), dtype=torch.int64, device=device)
    for i in range(0, n, TILE):
        for j in range(i, n, TILE):
            rows, columns = slice(i, min(i + TILE, n)), slice(j, min(j + TILE, n))
            bounds = torch.addmm(norms[columns], unit[rows], unit[columns].T, alpha=-2)
            bounds += norms[rows, None]  # (R, C)
            if i == j:
                bounds.fill_diagonal_(torch.inf)  # a point is not its own neighbour
            else:
                _merge(best, index, columns, bounds.T.contiguous(), i)
            _merge(best, index, rows, bounds, j)
    return index, best


def _merge(best: Tensor, index: Tensor, rows: slice, bounds: Tensor, first: int) -> None:
    """Merge one tile, whose columns begin at `first`, into the smallest bounds so far."""
    k = best.shape[1]
    values, columns = _smallest(bounds, min(k, bounds.shape[1]))
    values, order = torch.cat([best[rows], values], 1).topk(k, largest=False)
    best[rows] = values
    index[rows] = torch.cat([index[rows], columns + first], 1).gather(1, order)


def _smallest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of every row of (R, C) and their columns, ascending.

    They lie in the k groups of columns with the smallest minima, which a vectorised pass finds.
    """
    r, c = scores.shape
    if c < 2 * k * GROUP:
        values, columns = scores.topk(k, largest=False)
        return values, columns
    if c % GROUP:
        scores = torch.nn.functional.pad(scores, (0, -c % GROUP), value=torch.inf)
    grouped = scores.view(r, -1, GROUP)
    groups = grouped.amin(2).topk(k, largest=False).indices  # (R, k)
    members = grouped.gather(1, groups[:, :, None].expand(-1, -1, GROUP)).view(r, -1)
    values, place = members.topk(k, largest=False)  # (R, k)
    return values, groups.gather(1, place // GROUP) * GROUP + place % GROUP


def _score(x: Tensor, rows: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Exact distances and indices (R, k) of the nearest among the candidates (R, K) of rows (R,).

    Candidate by candidate, in parts that fit a processor's cache.
    """
    distances, indices = [], []
    for part, own in zip(torch.split(candidates, ROWS), torch.split(rows, ROWS), strict=True):
        here = x.index_select(0, own).double()  # (r, D)
        squares = [
            x.index_select(0, column).double().sub_(here).square_().sum(1)
            for column in part.unbind(1)
        ]
        values, order = torch.stack(squares, 1).topk(k, largest=False)
        distances.append(values.sqrt())
        indices.append(part.gather(1, order))
    return torch.cat(distances), torch.cat(indices)


def _unproved(distances: Tensor, bound: Tensor, scale: float) -> Tensor:
    """Rows whose last distance could be beaten by a point that was left out."""
    farthest = (distances[:, -1] / scale).square() * (1 + 1e-9)
    return torch.nonzero((farthest > bound) & (farthest > 0)).ravel()


def _again(x: Tensor, centre: Tensor, scale: float, rows: Tensor, found: Neighbours) -> None:
    """Search some rows once more, with products in float64, then without products; in place."""
    n, k = len(x), found.distances.shape[1]
    for part in torch.split(rows, 4 * ROWS):
        candidates, bound = _search_double(x, centre, scale, part, min(k + MOST, n - 1))
        distances, indices = _score(x, part, candidates, k)
        for i in _unproved(distances, bound, scale).tolist():
            distances[i], indices[i] = _scan(x, int(part[i]), k)
        found.distances[part], found.indices[part] = distances, indices


def _search_double(
    x: Tensor, centre: Tensor, scale: float, rows: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """As `_search`, for some rows (R,) against all points, in float64."""
    n, kappa = len(x), 2 * (x.shape[1] + 32) * 2.0**-53
    own = (x.index_select(0, rows).double() - centre) / scale  # (R, D)
    own_norms = own.square().sum(1) * (1 - kappa)
    best = torch.full((len(rows), k), torch.inf, dtype=torch.float64, device=x.device)
    index = torch.zeros((len(rows), k), dtype=torch.int64, device=x.device)
    for first in range(0, n, TILE):
        columns = (x[first : first + TILE].double() - centre) / scale  # (C, D)
        bounds = torch.addmm(columns.square().sum(1) * (1 - kappa), own, columns.T, alpha=-2)
        bounds += own_norms[:, None]  # (R, C)
        inside = torch.nonzero((rows >= first) & (rows < first + TILE)).ravel()
        bounds[inside, rows[inside] - first] = torch.inf
        _merge(best, index, slice(0, len(rows)), bounds, first)
    return index, best[:, -1] if k < n - 1 else torch.full_like(best[:, -1], torch.inf)


def _scan(x: Tensor, row: int, k: int) -> tuple[Tensor, Tensor]:
    """Distances and indices (k,) of one row, from differences of coordinates."""
    own = x[row].double()
    squares = torch.cat([(part.double() - own).square_().sum(1) for part in torch.split(x, TILE)])
    squares[row] = torch.inf
    values, indices = squares.topk(k, largest=False)
    return values.sqrt(), indices
