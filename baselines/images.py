"""Decoded images, from bytes to what a network takes: batches, windows, mirrors, normalisation."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from audit.baselines.coordinates import Window

ENOUGH = 2**26  # values that channel statistics are measured on, at most: 256 MB as floats


@dataclass(frozen=True)
class Images:
    """Decoded images with labels.

    Attributes:
        pixels: (M, C, H, W) uint8, in memory or mapped from a file.
        labels: (N,) int64.
        mean: (C,) of the training images, in [0, 1].
        std: (C,) of the training images, in [0, 1].
        rows: (N,) which of the pixels they are, so that a part needs no copy; None: all, in order.
    """

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[2], self.pixels.shape[3]

    def at(self, index: Tensor) -> Tensor:
        """Where images lie among the pixels: (B,) -> (B,)."""
        return index if self.rows is None else self.rows[index]

    def batch(
        self,
        index: Tensor,
        augment: str,
        generator: torch.Generator,
        window: Window | None = None,
    ) -> Tensor:
        """A batch to train on: (B,) indices -> (B, C, H, W) float32, channels last.

        Args:
            index: Which images.
            augment: "none", "mirror" (half of them) or "mirror-crop" (shifts by up to an eighth of
                the side as well).
            generator: Draws mirrors and shifts.
            window: The part of every image that is wanted; all of it by default.
        """
        index = self.at(index)
        if window and augment != "mirror-crop" and window.inside:
            pixels = window.cut(self.pixels)[index]  # what lies outside is not even read
        else:
            mild = augment != "mirror-crop"
            pixels = self.pixels[index] if mild else augmented(self.pixels, index, generator)
            pixels = window.cut(pixels) if window else pixels
        if augment == "mirror":
            flip = torch.rand(len(index), generator=generator) < 0.5
            pixels = torch.where(flip.view(-1, 1, 1, 1), pixels.flip(3), pixels)
        return normalise(pixels, self.mean, self.std)

    def normalised(self, index: Tensor) -> Tensor:
        """Images as networks take them: (B,) indices -> (B, C, H, W) float32, channels last."""
        return normalise(self.pixels[self.at(index)], self.mean, self.std)

    def subset(self, index: Tensor) -> "Images":
        """The images at `index` (M,), normalised by the same statistics, without a copy."""
        return Images(self.pixels, self.labels[index], self.mean, self.std, self.at(index))


@dataclass(frozen=True)
class Mirrored:
    """Images as seen in a mirror, to judge a network by."""

    images: Images

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""
        return self.images.labels

    def __len__(self) -> int:
        return len(self.images)

    def normalised(self, index: Tensor) -> Tensor:
        """Mirrored images as networks take them: (B,) indices -> (B, C, H, W) float32."""
        return self.images.normalised(index).flip(3)


class EvalData(Protocol):
    """What is needed to judge a network."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""
        ...

    def __len__(self) -> int: ...

    def normalised(self, index: Tensor) -> Any:
        """What the network takes, for the images at `index` as they are."""
        ...


class Data(EvalData, Protocol):
    """What the loop needs of training data."""

    def batch(self, index: Tensor, augment: str, generator: torch.Generator) -> Any:
        """What the network takes, for the images at `index`, augmented."""
        ...


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(B, C, H, W) uint8 -> float32, channels last, mean 0 and standard deviation 1."""
    shape = (1, -1, 1, 1)
    scale = 1 / (255 * std.view(shape))
    x = pixels.float().contiguous(memory_format=torch.channels_last)
    return x.mul_(scale).sub_((mean / std).view(shape))


def statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel in [0, 1], from at most 5,000 images.

    Of large images fewer are enough: the pixels are counted.
    """
    each = pixels[0].numel()
    step = max(1, -(-len(pixels) // min(5000, max(1, ENOUGH // each))))
    sample = pixels[::step].float().div_(255)
    return sample.mean(dim=(0, 2, 3)), sample.std(dim=(0, 2, 3)).clamp_min(1e-3)


def augmented(pixels: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the images and shift each by up to an eighth of its side, reflected.

    Args:
        pixels: (N, C, H, W) uint8.
        index: (B,) which of them.
        generator: Draws shifts and mirrors.

    Returns:
        (B, C, H, W) uint8, by one gather.
    """
    n, sides = len(index), pixels.shape[2:]
    pad = max(1, min(sides) // 8)
    shift = torch.randint(-pad, pad + 1, (2, n, 1), generator=generator)
    rows, cols = (torch.arange(s) + by for s, by in zip(sides, shift, strict=True))  # (B, side)
    cols = torch.where(torch.rand((n, 1), generator=generator) < 0.5, cols.flip(1), cols)
    rows, cols = (
        (s - 1) - ((s - 1) - r.abs()).abs() for s, r in zip(sides, (rows, cols), strict=True)
    )
    picked = pixels.permute(0, 2, 3, 1)[index[:, None, None], rows[:, :, None], cols[:, None, :]]
    return picked.permute(0, 3, 1, 2)
