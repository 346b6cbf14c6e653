"""Lower bounds of squared distances, and for every point the others with the smallest ones.

||a||^2 + ||b||^2 - 2ab is computed with rounded products, and the worst-case error of a rounded dot
product (Higham 2002, section 3.1) is taken off: relative to ||a||^2 + ||b||^2, so that it goes into
the norms and costs nothing per pair.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

TILE = 2048  # rows and columns of one block of bounds: 17 MB each in float32
GROUP = 32  # columns of which only the smallest is looked at first: equally far apart
ROWS = 128  # rows that are copied to float64 at a time: they stay in a processor's cache
OUTPUT = 2.0**-8  # relative error of a number rounded to bfloat16
TINY = 1e-30  # squared distance below which float32 may underflow, at unit scale
Take = Callable[[Tensor | slice], Tensor]


class Sketch(NamedTuple):
    """A description of N points from which bounds of all distances follow with less work.

    Attributes:
        points: (N', p) float32 or bfloat16; N' is a multiple of `GROUP`, and rows beyond N are 0.
        norms: (N',) float32, squared norms with the error of the bounds taken off; infinite
            beyond N.
    """

    points: Tensor
    norms: Tensor

    def bounds(self, rows: Tensor, room: Tensor) -> Tensor:
        """Lower bounds (R, N') of squared distances, less `norms` of the rows themselves.

        Those are the same for all of a row, and join what bounds are compared with: a pass less.

        Args:
            rows: (R,) places of points.
            room: (R' >= R, N') float32, overwritten: memory that is used again is faster.
        """
        own, bounds = self.points[rows], room[: len(rows)]
        if self.points.dtype != torch.bfloat16:
            return torch.addmm(self.norms, own, self.points.T, alpha=-2, out=bounds)
        # The product is rounded, too. Where it is negative 0 is a bound, but for errors in norms.
        bounds.copy_(own @ self.points.T).clamp_(min=0)
        return bounds.mul_(-2 / (1 - OUTPUT)).add_(self.norms)

    def room(self, rows: int) -> Tensor:
        """Memory (R, N') for the bounds of so many points."""
        return self.norms.new_empty(rows, len(self.norms))


def described(points: Tensor, norms: Tensor) -> Sketch:
    """Points, (N, p) or longer by rows of 0, and norms (N,), a multiple of `GROUP` long."""
    long = len(norms) + -len(norms) % GROUP
    if len(points) < long:
        points = pad(points, (0, 0, 0, long - len(points)))
    return Sketch(points, pad(norms, (0, long - len(norms)), value=torch.inf))


def relative_error(points: Tensor) -> float:
    """Relative error kappa of a bound: |computed - true| <= kappa (||a||^2 + ||b||^2).

    Input rounded to the precision of the points (twice, if need be) and dot products of D terms in
    any order, all of it twice over (some devices truncate).

    Args:
        points: (N, D) float32 or float64, coordinates at most about 1.
    """
    unit = torch.finfo(points.dtype).eps / 2
    lost = 8 * _lost(points) if points.dtype == torch.float32 else 0.0
    return 2 * (points.shape[1] + 32) * unit + lost


def _lost(points: Tensor) -> float:
    """Relative error of a float32 product with 1: above 0 where fewer bits are multiplied.

    A user may have let products run in TF32 or bfloat16; the bound is then widened.
    """
    generator = torch.Generator().manual_seed(0)
    probe = torch.zeros(256, max(points.shape[1], 64))
    probe[:, 0] = 1 + torch.rand(256, generator=generator)
    ones = torch.zeros_like(probe)
    ones[:, 0] = 1
    product = (probe.to(points.device) @ ones.to(points.device).T).cpu()  # (256, 256)
    return float(((product - probe[:, :1]) / probe[:, :1]).abs().max())


def search(points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest bounds of every point, each pair of tiles multiplied once.

    Args:
        points: (N, D) float32, coordinates at most about 1.
        k: Below N.

    Returns:
        Indices (N, k), and their lower bounds (N, k), ascending: no point left out is below the
        last.
    """
    n, device = len(points), points.device
    norms = low_norms(points, relative_error(points))
    best = torch.full((n, k), torch.inf, device=device)
    index = torch.zeros((n, k), dtype=torch.int64, device=device)
    for rows, columns in _blocks(n):
        bounds = torch.addmm(norms[columns], points[rows], points[columns].T, alpha=-2)
        bounds += norms[rows, None]  # (R, C)
        if rows == columns:
            bounds.fill_diagonal_(torch.inf)  # a point is not its own neighbour
        else:
            _merge(best, index, columns, bounds.T.contiguous(), rows.start)
        _merge(best, index, rows, bounds, columns.start)
    return index, best


def _blocks(n: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of blocks in which every pair of n points is once; smaller on the diagonal.

    A block on the diagonal holds its pairs twice, so there a quarter of the area is saved.
    """
    for i in range(0, n, TILE):
        middle, end = min(i + TILE // 2, n), min(i + TILE, n)
        yield slice(i, middle), slice(i, middle)
        if middle < end:
            yield slice(i, middle), slice(middle, end)
            yield slice(middle, end), slice(middle, end)
        for j in range(end, n, TILE):
            yield slice(i, end), slice(j, min(j + TILE, n))


def search_some(take: Take, n: int, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As `search`, for some points against all.

    Args:
        take: The coordinates of some of the points, (R, D) in the precision to be used.
        n: How many points there are.
        rows: (R,) the places of some.
        k: Below n.

    Returns:
        Indices (R, k) and bounds (R, k), ascending.
    """
    own = take(rows)  # (R, D)
    kappa = relative_error(own)
    own_norms = low_norms(own, kappa)
    best = torch.full((len(rows), k), torch.inf, dtype=own.dtype, device=own.device)
    index = torch.zeros((len(rows), k), dtype=torch.int64, device=own.device)
    for first in range(0, n, TILE):
        columns = take(slice(first, min(first + TILE, n)))  # (C, D)
        bounds = torch.addmm(low_norms(columns, kappa), own, columns.T, alpha=-2)
        bounds += own_norms[:, None]  # (R, C)
        inside = torch.nonzero((rows >= first) & (rows < first + TILE)).ravel()
        bounds[inside, rows[inside] - first] = torch.inf
        _merge(best, index, slice(0, len(rows)), bounds, first)
    return index, best


def low_norms(points: Tensor, kappa: float) -> Tensor:
    """(N,) squared norms with the error of the bounds taken off."""
    norms = [part.double().square().sum(1) for part in torch.split(points, ROWS)]
    return (torch.cat(norms) * (1 - kappa) - TINY).to(points.dtype)


def _merge(best: Tensor, index: Tensor, rows: slice, bounds: Tensor, first: int) -> None:
    """Merge one tile, whose columns begin at `first`, into the smallest bounds so far."""
    k = best.shape[1]
    values, columns = smallest(bounds, min(k, bounds.shape[1]))
    values, order = torch.cat([best[rows], values], 1).topk(k, largest=False)
    best[rows] = values
    index[rows] = torch.cat([index[rows], columns + first], 1).gather(1, order)


def smallest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of every row of (R, C) and their columns, ascending.

    They lie in the k groups of columns with the smallest minima, which a vectorised pass finds.
    """
    if scores.shape[1] < 2 * k * GROUP:
        values, columns = scores.topk(k, largest=False)
        return values, columns
    if scores.shape[1] % GROUP:
        scores = pad(scores, (0, -scores.shape[1] % GROUP), value=torch.inf)
    grouped = scores.unflatten(1, (GROUP, -1))  # (R, GROUP, G): columns G apart are one group
    groups = grouped.amin(1).topk(k, largest=False).indices  # (R, k)
    members = grouped.gather(2, groups[:, None].expand(-1, GROUP, -1)).flatten(1)
    values, place = members.topk(k, largest=False)  # (R, k)
    return values, place // k * grouped.shape[2] + groups.gather(1, place % k)


def not_above(scores: Tensor, limits: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where scores (R, C) are at most the limits (R,) of their rows.

    C is a multiple of `GROUP`; only groups whose smallest score is low enough are looked into.

    Returns:
        Rows (P,), ascending, and columns (P,), but for rows with more than `most` such scores; and
        which rows (R,) those are.
    """
    grouped = scores.unflatten(1, (GROUP, -1))  # (R, GROUP, G)
    low = grouped.amin(1) <= limits[:, None]  # (R, G)
    many = low.sum(1) > most
    row, group = (low & ~many[:, None]).nonzero().unbind(1)  # (Q,)
    near, member = (grouped[row, :, group] <= limits[row, None]).nonzero().unbind(1)  # (P,)
    near, column = row[near], member * grouped.shape[2] + group[near]
    many |= torch.bincount(near, minlength=len(scores)) > most
    return near[~many[near]], column[~many[near]], many
