"""Distances and linear spread of points whose coordinates come a few columns at a time.

Squared distances and scalar products are sums over coordinates. So a cloud of N points with any
number of coordinates needs two N x N matrices and one chunk of columns in memory, never the whole.
The result depends on how wide the chunks are in its last digits only; whoever wants the same bits
gives the same chunks.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

TILE = 512  # rows of a product; pairs of tiles are multiplied once
CONSTANT = 1e-6  # a spread below this share of the mean is rounding, not variance
SMALLEST_EIGENVALUE = 1e-5  # of the largest: below it lies the rounding of float32 products


class Gram(NamedTuple):
    """What is kept of a cloud of points.

    Attributes:
        squared: (N, N) float64, squared Euclidean distances, 0 on the diagonal. Error: below
            (D + 4) 2^-52 of the squared distances to the mean, because the columns are centred.
        products: (N, N) float64, scalar products after every coordinate was centred and scaled to
            unit variance; coordinates that do not vary are left out. Products of one chunk are
            taken in float32.
        coordinates: How many vary.
    """

    squared: Tensor
    products: Tensor
    coordinates: int


def gram(chunks: Iterable[Tensor], n: int, device: str | torch.device = "cpu") -> Gram:
    """Add up distances and scalar products over chunks of columns.

    Args:
        chunks: Each (N, w), any float type, finite.
        n: N.
        device: Where it is done.
    """
    raw, scaled = (torch.zeros((n, n), dtype=torch.float64, device=device) for _ in range(2))
    varying = 0
    for chunk in chunks:
        x = chunk.to(device).double()
        mean = x.mean(0)
        x -= mean  # (N, w)
        _add_products(raw, x)
        spread = x.square().mean(0).sqrt()
        kept = spread > CONSTANT * mean.abs()
        varying += int(kept.sum())
        _add_products(scaled, (x[:, kept] / spread[kept]).float())
    return Gram(_squared_distances(_mirrored(raw)), _mirrored(scaled), varying)


def _add_products(total: Tensor, x: Tensor) -> None:
    """Add x x' to the tiles of (N, N) on and above the diagonal, in place."""
    for i in range(0, len(x), TILE):
        rows = x[i : i + TILE]
        for j in range(i, len(x), TILE):
            part = total[i : i + TILE, j : j + TILE]
            part += rows @ x[j : j + TILE].T


def _mirrored(upper: Tensor) -> Tensor:
    """Copy the tiles above the diagonal to those below it, in place."""
    for i in range(0, len(upper), TILE):
        for j in range(i + TILE, len(upper), TILE):
            upper[j : j + TILE, i : i + TILE] = upper[i : i + TILE, j : j + TILE].T
    return upper


def _squared_distances(products: Tensor) -> Tensor:
    """||a||^2 + ||b||^2 - 2ab, not negative, in place."""
    norms = products.diagonal().clone()
    products.mul_(-2).add_(norms[:, None]).add_(norms[None, :]).clamp_(min=0)
    products.fill_diagonal_(0)
    return products


def linear_dimension(products: Tensor, share: float = 0.9) -> tuple[int, int]:
    """How many principal components hold a share of the variance, and how many there are at all.

    As in Ansuini et al. (2019), section 3.3: of coordinates scaled to unit variance. A count that
    begins at 1, where the authors' script prints the index that begins at 0.

    Args:
        products: (N, N), of centred points, as `Gram.products`.
        share: Of the variance, above 0 and at most 1.

    Returns:
        The number of components, at most N - 1, and the linear rank; both 0 if nothing varies.
    """
    values = torch.linalg.eigvalsh(products).flip(0).clamp(min=0)
    total = float(values.sum())
    if not total > 0:
        return 0, 0
    reached = (values.cumsum(0) / total) >= share * (1 - 1e-9)
    rank = int((values > SMALLEST_EIGENVALUE * values[0]).sum())
    return int(reached.nonzero()[0]) + 1, rank
