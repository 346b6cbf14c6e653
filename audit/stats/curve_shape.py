"""Shape of a curve of intrinsic dimensions over depth: hunchback, flat, or neither.

Ansuini et al. (2019), arXiv:1905.12784: in trained networks the dimension first rises and then
falls, in untrained ones it stays flat.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audit.stats.intervals import Array, joint_freedom, simultaneous_quantile

# A curve within this factor of its first point is called flat. Chosen by hand, between the paper's
# untrained networks, which vary by 1.3, and its trained ones, which vary by 5 and more.
FLAT = 1.5
FEWEST = 3  # points; with two there is nothing between the ends


class Ratio(NamedTuple):
    """Ratio of two dimensions, with an interval that covers for the whole curve.

    Attributes:
        value: The ratio; 1 where both are the same point.
        low: Lower end of the 95 % interval; NaN if there is none.
        high: Upper end of the interval.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


class Shape(NamedTuple):
    """Shape of a curve.

    Attributes:
        kind: One of "hunchback", "flat", "falling", "rising" and "neither".
        peak: Index of the largest dimension.
        depths: Depths of the first and the last point not shown to differ from the largest.
        first: Ratio of the first point to the peak.
        last: Ratio of the last point to the peak.
    """

    kind: str
    peak: int
    depths: tuple[float, float]
    first: Ratio
    last: Ratio


def shape_of(
    values: Sequence[float],
    in_blocks: Array,
    depths: Sequence[float],
    drawn: Array | None = None,
) -> Shape:
    """Name the shape of a curve.

    All statements rest on differences of log dimensions between two points of the curve, on the
    same blocks of images, with Student intervals at the level at which 2 (K - 1) of them cover
    together (Bonferroni), because the peak is chosen after seeing the curve.

    Flat: no point differs from the first by more than a factor of `FLAT`, intervals included.
    Hunchback: otherwise, if some point between the ends is above both. Falling, rising: otherwise,
    if the last point is below (above) the first. Neither: the images cannot tell.

    Args:
        values: Dimensions (K,), finite and positive, K >= 3, in order of depth.
        in_blocks: Log estimates (K, B) on the same blocks of images.
        depths: Relative depths (K,) of the points.
        drawn: Log dimensions (S, K) of the networks that the curve is the mean of: their spread is
            part of the intervals, with S - 1 degrees of freedom. None for a single network.
    """
    logs, last = np.log(np.asarray(values, dtype=float)), len(values) - 1

    def ratio(a: int, b: int) -> Ratio:
        return _ratio(logs, in_blocks, a, b, drawn)

    peak = int(logs.argmax())
    to_first, to_last = ratio(0, peak), ratio(last, peak)
    humps = [i for i in range(1, last) if ratio(0, i).high < 1 and ratio(last, i).high < 1]
    against_first = [ratio(i, 0) for i in range(1, last + 1)]
    if all(r.low > 1 / FLAT and r.high < FLAT for r in against_first):
        kind = "flat"
    elif humps:
        kind = "hunchback"
    else:
        end = against_first[-1]
        kind = "falling" if end.high < 1 else "rising" if end.low > 1 else "neither"
    alike = [i for i in range(last + 1) if i == peak or not ratio(i, peak).high < 1]
    return Shape(kind, peak, (depths[alike[0]], depths[alike[-1]]), to_first, to_last)


def log_margin(blocks: Array, drawn: Array | None, together: int = 1) -> float:
    """Return half of the 95 % interval of a log dimension, or of a difference of two.

    The variance over images comes from the blocks. Where the value is a mean over networks that
    differ in their seed alone, the variance of that mean is added; it holds each network's own part
    of the variance over images once more, so the interval is a little wide.

    Args:
        blocks: Values (B,) on disjoint blocks of images, averaged over the networks.
        drawn: Values (S,) on all images, one a network; None or one value for a single network.
        together: Number of intervals that must cover together (Bonferroni).
    """
    images, seeds, free = float(blocks.var(ddof=1)) / len(blocks), 0.0, 1
    if drawn is not None and len(drawn) > 1:
        seeds, free = float(drawn.var(ddof=1)) / len(drawn), len(drawn) - 1
    df = joint_freedom(images, seeds, len(blocks) - 1, free)
    return simultaneous_quantile(together, df) * math.sqrt(images + seeds)


def _ratio(logs: Array, in_blocks: Array, a: int, b: int, drawn: Array | None) -> Ratio:
    """Return the ratio of the dimension at a to that at b."""
    if a == b:
        return Ratio(1.0)
    seeds = None if drawn is None else drawn[:, a] - drawn[:, b]
    margin = log_margin(in_blocks[a] - in_blocks[b], seeds, 2 * (len(logs) - 1))
    difference = float(logs[a] - logs[b])
    return Ratio(*(math.exp(difference + side * margin) for side in (0, -1, 1)))
