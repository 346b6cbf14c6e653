"""Coordinate channels, as CoordConv adds them before a convolution.

Reference: Liu et al. (2018), NeurIPS, arXiv:1807.03247, section 3. The published code divides the
row channel by the number of columns and the other way round, which is wrong for images that are
not square; here each axis is scaled by its own length.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """A square part of an image; where it reaches beyond the image, it goes on at the other side.

    Attributes:
        top: Its first row.
        left: Its first column.
        size: Its side, in pixels.
        height: Of the whole image.
        width: Of the whole image.
    """

    top: int
    left: int
    size: int
    height: int
    width: int

    @property
    def inside(self) -> bool:
        """Whether it does not reach beyond the image."""
        return self.top + self.size <= self.height and self.left + self.size <= self.width

    def cut(self, x: Tensor) -> Tensor:
        """That part of images: (..., height, width) -> (..., size, size)."""
        bottom, right = self.top + self.size, self.left + self.size
        if self.inside:
            return x[..., self.top : bottom, self.left : right]
        rows = torch.arange(self.top, bottom) % self.height
        cols = torch.arange(self.left, right) % self.width
        return x[..., rows[:, None], cols[None, :]]


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
    own = coordinates(*((window.height, window.width) if window else (h, w)), x)
    own = window.cut(own) if window else own
    return torch.cat([x, own.expand(n, 2, h, w)], dim=1)
