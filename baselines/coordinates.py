"""Coordinate channels, as CoordConv adds them before a convolution.

Reference: Liu et al. (2018), NeurIPS, arXiv:1807.03247, section 3. The published code divides the
row channel by the number of columns and the other way round, which is wrong for images that are
not square; here each axis is scaled by its own length.
"""

import torch
from torch import Tensor


def coordinates(height: int, width: int, like: Tensor) -> Tensor:
    """Row and column of every pixel, scaled to [-1, 1].

    Args:
        height: H, at least 2.
        width: W, at least 2.
        like: Gives device and dtype.

    Returns:
        (2, H, W): channel 0 is 2 i / (H - 1) - 1, channel 1 is 2 j / (W - 1) - 1.
    """
    rows = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)
    cols = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)
    return torch.stack(torch.meshgrid(rows, cols, indexing="ij"))


def add_coordinates(x: Tensor) -> Tensor:
    """Concatenate the two coordinate channels: (N, C, H, W) -> (N, C + 2, H, W)."""
    n, _, h, w = x.shape
    return torch.cat([x, coordinates(h, w, x).expand(n, 2, h, w)], dim=1)
