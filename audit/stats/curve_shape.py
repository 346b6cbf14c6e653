"""The shape of a curve of intrinsic dimensions over depth: hunchback, flat, or neither.

Ansuini et al. (2019), arXiv:1905.12784: in trained networks the dimension first rises and then
falls, in untrained ones it stays flat.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.stats.intervals import simultaneous_quantile

Array = NDArray[np.float64]

FLAT = 1.5  # a curve within this factor of its first point is called flat

FEWEST = 3  # points that can have a shape


class Ratio(NamedTuple):
    """One dimension over another, with an interval that holds for the whole curve.

    Attributes:
        value: 1 where both are the same point.
        low: Lower end of the 95 % interval; NaN if there is none.
        high: Upper end.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


class Shape(NamedTuple):
    """What a curve looks like.

    Attributes:
        kind: In words: "hunchback", "flat", "falling", "rising" or "neither".
        peak: Place of the largest dimension.
        depths: Of the first and the last point that cannot be told from the largest.
        first: The first point over the peak.
        last: The last point over the peak.
    """

    kind: str
    peak: int
    depths: tuple[float, float]
    first: Ratio
    last: Ratio


def shape_of(values: Sequence[float], in_blocks: Array, depths: Sequence[float]) -> Shape:
    """Name the shape of a curve.

    All statements rest on differences of log dimensions between two points of the curve, on the
    same blocks of images, with Student intervals at the level that 2 (K - 1) of them hold together
    (Bonferroni), because the peak is chosen after seeing the curve.

    Flat: no point differs from the first by more than a factor of `FLAT`, intervals included (the
    paper's untrained networks vary by 1.3, its trained ones by 5 and more). Hunchback: else, if
    some point between the ends lies above both. Falling, rising: else, if the last point lies below
    (above) the first. Neither: the images cannot tell.

    Args:
        values: (K,) dimensions, finite and positive, K >= 3, in order of depth.
        in_blocks: (K, B) log estimates on the same blocks of images.
        depths: (K,).
    """
    logs, last = np.log(np.asarray(values, dtype=float)), len(values) - 1

    def ratio(a: int, b: int) -> Ratio:
        return _ratio(logs, in_blocks, a, b)

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


def _ratio(logs: Array, in_blocks: Array, a: int, b: int) -> Ratio:
    """Dimension at a over that at b."""
    if a == b:
        return Ratio(1.0)
    count = in_blocks.shape[1]
    t = simultaneous_quantile(2 * (len(logs) - 1), count - 1)
    margin = t * float((in_blocks[a] - in_blocks[b]).std(ddof=1)) / math.sqrt(count)
    difference = float(logs[a] - logs[b])
    return Ratio(*(math.exp(difference + side * margin) for side in (0, -1, 1)))
