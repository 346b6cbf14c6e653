"""TwoNN from a matrix of squared distances, for clouds of which only that matrix is at hand.

The same estimate, interval and refusals as `audit.kernels.twonn.intrinsic_dimension`.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy import special
from torch import Tensor

from audit.kernels.estimators import Array, two_nn
from audit.kernels.twonn import (
    COPY,
    MAX_DUPLICATES,
    MIN_POINTS,
    NEIGHBOURS,
    RANK_SLACK,
    SMALLEST_BLOCK,
)

ROUNDING = 1e-12  # of the mean squared distance: points nearer than that are one
TIE = 1e-10  # log ratios below it are rounding: the distances are equal


class CloudId(NamedTuple):
    """The dimension of one cloud, or why it has none.

    Attributes:
        value: In dimensions; NaN if refused.
        low: Lower end of the 95 % interval (disjoint blocks); NaN if refused.
        high: Upper end.
        n: Distinct points.
        duplicates: Points that were merged into others.
        in_blocks: (B,) log estimates on disjoint blocks of the points, for differences between
            clouds of the same images; NaN if refused.
        reason: One sentence if refused, else empty.
    """

    value: float
    low: float
    high: float
    n: int
    duplicates: int
    in_blocks: Array
    reason: str


def dimension(squared: Tensor, rank: int, blocks: int = 20, seed: int = 0) -> CloudId:
    """Intrinsic dimension of a cloud from its squared distances.

    Args:
        squared: (N, N) float64, as `audit.kernels.gram` makes it.
        rank: Linear rank of the points; an estimate clearly above it is refused.
        blocks: Disjoint random blocks of the points, fewer where they would hold less than 10.
            Clouds of the same N points with one seed have the same blocks.
        seed: Of the blocks.
    """
    kept = distinct(squared)
    copies = len(squared) - len(kept)
    count = max(2, min(blocks, len(squared) // SMALLEST_BLOCK))
    refused = CloudId(
        *3 * (math.nan,), len(kept), copies, np.full(count, math.nan), _too_few(len(kept), copies)
    )
    if refused.reason:
        return refused
    value = two_nn(log_ratios(squared[kept][:, kept]))
    if not 0 < value < math.inf:
        return refused._replace(
            reason="First and second neighbours are equally far: quantised values."
        )
    in_blocks = _in_blocks(squared, kept, count, seed)
    margin = half_interval(in_blocks)
    if not math.isfinite(margin):
        return refused._replace(
            reason="Some blocks of points have no estimate: too few distinct points."
        )
    low, high = value * math.exp(-margin), value * math.exp(margin)
    if rank < min(low, value / RANK_SLACK):
        return refused._replace(
            reason=f"The points span {rank} dimensions, fewer than the estimate of {value:.1f}."
        )
    return CloudId(value, low, high, len(kept), copies, in_blocks, "")


def distinct(squared: Tensor) -> Tensor:
    """Places (M,), ascending, of the points that are no copy of an earlier one, up to rounding.

    A copy lies nearer than a thousandth of the usual distance of a neighbour.
    """
    kept = torch.arange(len(squared), device=squared.device)
    floor = ROUNDING * float(squared.mean())
    while len(kept) > NEIGHBOURS:
        part = squared[kept][:, kept]
        part.fill_diagonal_(math.inf)
        usual = float(part.kthvalue(NEIGHBOURS, 1).values.median())
        near = (part <= max(COPY**2 * usual, floor)).tril(-1).any(1)
        if not bool(near.any()):
            break
        kept = kept[~near]
    return kept


def log_ratios(squared: Tensor) -> Array:
    """log(r2 / r1) of every point: (N, N) squared distances -> (N,)."""
    part = squared.clone()
    part.fill_diagonal_(math.inf)
    first, second = part.topk(2, 1, largest=False).values.log().unbind(1)
    ratios = ((second - first) / 2).cpu().numpy()
    return np.where(ratios < TIE, 0.0, ratios)


def half_interval(in_blocks: Array) -> float:
    """Half the 95 % interval of a log estimate on all points, from (B,) blocks of them."""
    count = len(in_blocks)
    t = float(special.stdtrit(count - 1, 0.975))
    return t * float(in_blocks.std(ddof=1)) / math.sqrt(count)


def _in_blocks(squared: Tensor, kept: Tensor, count: int, seed: int) -> Array:
    block = np.random.default_rng(seed).permutation(len(squared)) % count
    own = torch.from_numpy(block).to(kept.device)[kept]
    logs = np.full(count, math.nan)
    for b in range(count):
        part = kept[own == b]
        value = two_nn(log_ratios(squared[part][:, part])) if len(part) > 2 else 0.0
        if value > 0:
            logs[b] = math.log(value)
    return logs


def _too_few(points: int, copies: int) -> str:
    if points < MIN_POINTS:
        return f"{points} distinct points are too few; {MIN_POINTS} are needed."
    if copies > MAX_DUPLICATES * (points + copies):
        share = copies / (points + copies)
        return f"{share:.0%} of the points are copies of others; at most {MAX_DUPLICATES:.0%} may."
    return ""
