"""What TwoNN does with a cloud, whether its points or only their distances are at hand.

The interval comes from disjoint random blocks of the points; see
`audit.kernels.twonn.intrinsic_dimension`, which says how it was checked.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy import special
from torch import Tensor

from audit.kernels.estimators import Array, two_nn

MIN_POINTS = 50
RANK_SLACK = 1.25  # an estimate this much above the linear rank is no sampling error
MAX_DUPLICATES = 0.2  # share of points that are copies of others
COPY = 1e-3  # nearer than this share of the median neighbour distance: a copy, up to rounding
NEIGHBOURS = 4  # the second estimator looks at the second and the fourth
SMALLEST_BLOCK = 10  # points
CONSTANT = "All points are equal: the features are constant."


class Judged(NamedTuple):
    """What becomes of an estimate on all points.

    Attributes:
        low: Lower end of its 95 % interval; NaN if refused.
        high: Upper end.
        margin: Half of the interval of its logarithm; NaN if refused.
        reason: One sentence if refused, else empty.
    """

    low: float
    high: float
    margin: float
    reason: str


def too_few(points: int, copies: int) -> str:
    """Why there are too few distinct points, or nothing."""
    if points == 1 and copies:
        return CONSTANT
    if points < MIN_POINTS:
        return f"{points} distinct points are too few; {MIN_POINTS} are needed."
    if copies > MAX_DUPLICATES * (points + copies):
        share = copies / (points + copies)
        return f"{share:.0%} of the points are copies of others; at most {MAX_DUPLICATES:.0%} may."
    return ""


def in_blocks(
    kept: Tensor, images: int, blocks: int, seed: int, log_ratios: Callable[[Tensor], Array]
) -> Array:
    """Log estimates on disjoint random blocks of the images, each searched by itself.

    Args:
        kept: (M,) places of the distinct points among all images.
        images: How many there are; clouds of the same number and seed have the same blocks.
        blocks: Fewer where they would hold less than 10 points.
        seed: Of the division.
        log_ratios: log(r2 / r1) of the points of one block, given their places (m,) in `kept`.

    Returns:
        (B,); NaN for blocks without an estimate.
    """
    count = block_count(images, blocks)
    block = np.random.default_rng(seed).permutation(images) % count
    own = torch.from_numpy(block).to(kept.device)[kept]  # (M,)
    logs = np.full(count, math.nan)
    for b in range(count):
        part = (own == b).nonzero()[:, 0]
        value = two_nn(log_ratios(part)) if len(part) > 2 else 0.0
        if value > 0:
            logs[b] = math.log(value)
    return logs


def block_count(images: int, blocks: int) -> int:
    """As many blocks as hold 10 points each, two at least."""
    return max(2, min(blocks, images // SMALLEST_BLOCK))


def half_interval(logs: Array, drawn: Array | None = None) -> float:
    """Half the 95 % interval of a log estimate on all points, from (B,) blocks of them.

    Where the estimate is a mean over networks that differ in their seed alone, the variance of that
    mean over seeds is added, as in `audit.stats.curve_shape.log_margin`. 1 / df of Student's t is
    the mean of 1 / df of both variances, weighted by their shares (`audit.stats.gain.freedom`).

    Args:
        logs: (B,) on disjoint blocks.
        drawn: (S,) log estimates on all points, one a network; None or one: a single network, whose
            seed the interval leaves out.
    """
    images, seeds, free = float(logs.var(ddof=1)) / len(logs), 0.0, 1
    if drawn is not None and len(drawn) > 1:
        seeds, free = float(drawn.var(ddof=1)) / len(drawn), len(drawn) - 1
    share = seeds / (images + seeds) if seeds > 0 else 0.0
    t = float(special.stdtrit(1 / ((1 - share) / (len(logs) - 1) + share / free), 0.975))
    return t * math.sqrt(images + seeds)


def judge(value: float, logs: Array, rank: Callable[[float], int]) -> Judged:
    """Give an estimate its interval, or refuse it.

    Args:
        value: On all points.
        logs: (B,) log estimates on blocks.
        rank: Linear rank of the points, given the lower end of the interval.
    """
    if not 0 < value < math.inf:
        return refused("First and second neighbours are equally far: quantised values.")
    margin = half_interval(logs)
    if not math.isfinite(margin):
        return refused("Some blocks of points have no estimate: too few distinct points.")
    low, high = value * math.exp(-margin), value * math.exp(margin)
    spanned = rank(low)
    if spanned < min(low, value / RANK_SLACK):
        return refused(
            f"The points span {spanned} dimensions, fewer than the estimate of {value:.1f}."
        )
    return Judged(low, high, margin, "")


def refused(reason: str) -> Judged:
    """No interval."""
    return Judged(math.nan, math.nan, math.nan, reason)
