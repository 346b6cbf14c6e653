"""Coordinate channels, as CoordConv adds them before a convolution.

Reference: Liu et al. (2018), NeurIPS, arXiv:1807.03247, section 3. The published code divides the
row channel by the number of columns and the other way round, which is wrong for images that are
not square; here each axis is scaled by its own length.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """A square part of a square image.

    Attributes:
        top: Its first row.
        left: Its first column.
        size: Its side, in pixels.
        of: Side of the whole image.
    """

    top: int
    left: int
    size: int
    of: int

    def cut(self, x: Tensor) -> Tensor:
        """That part of images: (..., of, of) -> (..., size, size)."""
        return x[..., self.top : self.top + self.size, self.left : self.left + self.size]


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


def add_coordinates(x: Tensor, window: Window | None = None) -> Tensor:
    """Concatenate the two coordinate channels: (N, C, H, W) -> (N, C + 2, H, W).

    Args:
        x: Images, or the part of them that `window` names: then the coordinates are those of the
            whole image.
        window: Which part.
    """
    n, _, h, w = x.shape
    own = window.cut(coordinates(window.of, window.of, x)) if window else coordinates(h, w, x)
    return torch.cat([x, own.expand(n, 2, h, w)], dim=1)
