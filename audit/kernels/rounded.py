"""Points rounded to bfloat16, for a first look at who may be near, where such products are fast.

Processors with matrix units multiply bfloat16 several times as fast as float32. What rounding the
coordinates takes from a scalar product is at most theta (2 + theta) ||a|| ||b||, where theta is the
largest share of a point's length that its rounding moved it by, which is measured. Products are
added up in float32 and rounded once (`audit.kernels.bounds.OUTPUT`).
"""

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from audit.kernels.bounds import GROUP, OUTPUT, ROWS, Sketch, described, low_norms, relative_error

SIDE = 512  # of the square products that are timed
TIMES = 3  # the fastest of so many counts
WORTH = 2.0  # times as fast as float32; below, nothing is gained
BEST = 16.0  # times as fast; what was timed beside other processes is not believed beyond


def rounded(points: Tensor) -> Sketch:
    """A description of points (N, D) float32, with coordinates at most about 1, in bfloat16."""
    n, d = points.shape
    low = points.new_zeros((n + -n % GROUP, d), dtype=torch.bfloat16)
    lengths, moved = points.new_empty(n), points.new_empty(n)
    for first in range(0, n, ROWS):
        some = slice(first, min(first + ROWS, n))
        low[some] = points[some]
        lengths[some] = torch.linalg.vector_norm(points[some], dim=1)
        moved[some] = torch.linalg.vector_norm(points[some] - low[some], dim=1)
    theta = 1.01 * float((moved / lengths).nan_to_num_(0.0).max())  # 1.01: roundings of lengths
    kappa = 2 * relative_error(points) + theta * (2 + theta)  # 2: lengths are in float32, too
    return described(low, low_norms(lengths[:, None], kappa))


def speed_up(device: torch.device) -> float:
    """How many times as fast as float32 products of bfloat16 are; 1 where they are not to be used.

    Of the processor alone: a GPU is fast enough in float32. Also 1 where they are less exact than
    `rounded` takes for granted.
    """
    if device.type != "cpu":
        return 1.0
    found = _speed_up(torch.get_num_threads())
    return min(found, BEST) if found >= WORTH else 1.0


@cache
def _speed_up(threads: int) -> float:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(SIDE, SIDE, generator=generator)
    low = points.bfloat16()
    exact = low.double() @ low.double().T
    lengths = low.double().square().sum(1).sqrt()
    allowed = OUTPUT * exact.abs() + relative_error(points) * torch.outer(lengths, lengths)
    if not bool(((low @ low.T).double() - exact).abs().le(allowed).all()):
        return 1.0
    return _seconds(lambda: points @ points.T) / _seconds(lambda: low @ low.T)


def _seconds(work: Callable[[], Tensor]) -> float:
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)
