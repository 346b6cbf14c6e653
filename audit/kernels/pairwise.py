"""TwoNN from a matrix of squared distances, for clouds of which only that matrix is at hand.

The same estimate, interval and refusals as `audit.kernels.twonn.intrinsic_dimension`, but for
points that lie nearer to each other than a millionth of their distance to the mean: those the
matrix cannot tell from equal ones. Where there are many of them the cloud is refused, too.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audit.kernels.blocks import COPY, NEIGHBOURS, block_count, in_blocks, judge, too_few
from audit.kernels.estimators import Array, two_nn

ROUNDING = 1e-12  # of both points' squared distances to the mean: points nearer than that are one

BLURRED = (
    "Neighbours lie nearer to each other than a millionth of the width of the cloud, which "
    "distances between all points cannot tell from equal ones."
)

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


def dimension(squared: Tensor, blocks: int = 20, seed: int = 0) -> CloudId:
    """Intrinsic dimension of a cloud from its squared distances.

    Args:
        squared: (N, N) float64, as `audit.kernels.gram` makes it.
        blocks: Disjoint random blocks of the points, fewer where they would hold less than 10.
            Clouds of the same N points with one seed have the same blocks.
        seed: Of the blocks.
    """
    kept, blurred = distinct(squared)
    copies = len(squared) - len(kept)
    lacking = too_few(len(kept), copies)
    if lacking:
        return refused(len(kept), BLURRED if blurred else lacking, copies, blocks)
    own = squared[kept][:, kept]
    value = two_nn(log_ratios(own))
    logs = in_blocks(kept, len(squared), blocks, seed, lambda part: log_ratios(own[part][:, part]))
    low, high, _, reason = judge(value, logs, lambda low: rank_of(own, 2 * math.ceil(low) + 20))
    if reason:
        return refused(len(kept), reason, copies, blocks)
    return CloudId(value, low, high, len(kept), copies, logs, "")


def refused(n: int, reason: str, copies: int = 0, blocks: int = 20) -> CloudId:
    """A cloud of `n` distinct points and `copies` of them that has no dimension."""
    unknown = np.full(block_count(n + copies, blocks), math.nan)
    return CloudId(math.nan, math.nan, math.nan, n, copies, unknown, reason)


def distinct(squared: Tensor) -> tuple[Tensor, bool]:
    """The points that are no copy of an earlier one, up to rounding.

    A copy lies nearer than a thousandth of the usual distance of a neighbour.

    Returns:
        Their places (M,), ascending, and whether some were left out that are no such copies, but
        nearer to another than the matrix can tell from 0.
    """
    kept = torch.arange(len(squared), device=squared.device)
    to_all = squared.mean(1)
    to_mean = (to_all - to_all.mean() / 2).clamp_min(0)  # (N,) squared
    blurred = False
    while len(kept) > NEIGHBOURS:
        part = squared[kept][:, kept]
        part.fill_diagonal_(math.inf)
        copy = COPY**2 * float(part.kthvalue(NEIGHBOURS, 1).values.median())
        unresolved = part <= ROUNDING * (to_mean[kept][:, None] + to_mean[kept])
        near = ((part <= copy) | unresolved).tril(-1).any(1)
        if not bool(near.any()):
            break
        blurred = blurred or bool((unresolved & (part > copy)).any())
        kept = kept[~near]
    return kept, blurred and len(kept) > 1


def rank_of(squared: Tensor, most: int) -> int:
    """Linear rank of points, counted up to `most`, on as many random ones (classical scaling)."""
    some = np.random.default_rng(0).permutation(len(squared))[: most + 1]
    rows = torch.from_numpy(some).to(squared.device)
    part = squared[rows][:, rows]
    centred = part - part.mean(0) - part.mean(1)[:, None] + part.mean()
    values = torch.linalg.eigvalsh(-centred / 2)
    return int((values > ROUNDING * values[-1]).sum())


def log_ratios(squared: Tensor) -> Array:
    """log(r2 / r1) of every point: (N, N) squared distances -> (N,)."""
    part = squared.clone()
    part.fill_diagonal_(math.inf)
    first, second = part.topk(2, 1, largest=False).values.log().unbind(1)
    ratios = ((second - first) / 2).cpu().numpy()
    return np.where(ratios < TIE, 0.0, ratios)
