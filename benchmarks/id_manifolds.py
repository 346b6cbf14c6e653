"""Clouds of known dimension."""

import numpy as np
import torch
from torch import Tensor


def gaussian(n: int, d: int, seed: int) -> Tensor:
    """(N, d) of equal variance: no edge, a density that falls off."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, d)))


def cube(n: int, d: int, seed: int) -> Tensor:
    """(N, d) uniform: where d is large most points lie near an edge."""
    return torch.from_numpy(np.random.default_rng(seed).random((n, d)))


def mixture(n: int, d: int, seed: int) -> Tensor:
    """(N, d): half of the points fill d dimensions, half only d / 4 of them, elsewhere."""
    points = gaussian(n, d, seed)
    points[: n // 2, max(1, d // 4) :] = 0
    points[: n // 2, 0] += 20
    return points


MANIFOLDS = {"gaussian": gaussian, "cube": cube, "mixture": mixture}
