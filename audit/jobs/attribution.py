"""What the audited model's answer rests on: what it loses where a patch of the image is hidden.

Occlusion (Zeiler & Fergus 2014, arXiv:1311.2901), by captum: a square is moved over the image and
painted in the colour that normalisation maps to zero. The output watched is the lead of one class,
its logit minus the mean of all logits, which no constant added to the logits changes.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from audit.jobs.workshop import Tick

PLACES = 8  # of the square along a side, at most
TOGETHER = 32  # squares in one forward pass
LIMIT = 20.0  # seconds that the maps of one report may take, about
SLOW = "no map, for the model is too slow"
NOT_FINITE = "no map, for it gives NaN or infinity where a patch is hidden"
Map = NDArray[np.float32]


def patch_side(wanted: float, side: int) -> int:
    """The whole number nearest to `wanted` at which `PLACES` squares still cover a side."""
    return min(side, max(round(wanted), -(-side // PLACES)))


def grid(side: int, patch: int) -> tuple[int, int]:
    """Steps of the square, and by how many pixels its way along a side exceeds the side."""
    stride = max(1, -(-(side - patch) // (PLACES - 1)))
    return stride, -(side - patch) % stride


def occlusion(run: Callable[[Tensor], Tensor], x: Tensor, target: int, patch: int) -> Map:
    """How much of a class's lead is lost where a square is hidden.

    Args:
        run: Maps (B, C, H, W) to logits (B, K).
        x: (1, C, H, W), normalised: the square is painted with zeros.
        target: The class.
        patch: Side of the square in pixels.

    Returns:
        (H, W), in units of the logits: every pixel takes the mean over the squares that hide it.
        Squares at the border may reach over it by half a step, on opposite sides alike to a pixel.
    """
    from captum.attr import Occlusion  # takes seconds: it brings a drawing library

    (_, channels, side, _), (stride, excess) = x.shape, grid(x.shape[-1], patch)
    inside = slice(excess // 2, excess // 2 + side)

    def leads(padded: Tensor) -> Tensor:
        logits = run(padded[..., inside, inside]).float()
        return logits - logits.mean(dim=1, keepdim=True)

    found = Occlusion(leads).attribute(
        F.pad(x, (excess // 2, excess - excess // 2) * 2),
        sliding_window_shapes=(channels, patch, patch),
        strides=(channels, stride, stride),
        baselines=0,
        target=target,
        perturbations_per_eval=TOGETHER,
    )
    lost: Map = found[0, 0, inside, inside].numpy()
    return lost


def occlusions(
    run: Callable[[Tensor], Tensor],
    images: Tensor,
    targets: NDArray[np.int64],
    patch: int,
    tick: Tick,
    limit: float = LIMIT,
) -> list[Map | str]:
    """Maps of as many images as there is time for, the first ones first.

    Args:
        run: Maps (B, C, H, W) to logits (B, K).
        images: (M, C, H, W), normalised.
        targets: (M,) the class of each.
        patch: Side of the square in pixels.
        tick: Told the share that is done.
        limit: Seconds. Exceeded by one image at most, and not begun by a model of which a single
            image would take longer.

    Returns:
        M times a map of (H, W), or why there is none, in words.
    """
    found: list[Map | str] = []
    try:
        longest = rehearsed(run, images[:1]) * (1 + places(images.shape[-1], patch))
        started = time.monotonic()
        for x, target in zip(images.split(1), targets, strict=True):
            begun = time.monotonic()
            if begun - started + longest > limit:
                break
            lost = occlusion(run, x, int(target), patch)
            found.append(lost if np.isfinite(lost).all() else NOT_FINITE)
            longest = time.monotonic() - begun
            tick(len(found) / len(images))
        why = SLOW
    except Exception as error:  # the rest of the audit does not hang on a picture
        why = f"no map, for the model could not be run on it ({type(error).__name__})"
    return found + [why] * (len(images) - len(found))


def rehearsed(run: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Seconds of one image in one forward pass; captum is imported before."""
    for _ in range(2):  # the first time prepares more than it computes
        started = time.monotonic()
        occlusion(run, x, 0, x.shape[-1])  # the image, and all of it hidden
    return (time.monotonic() - started) / 2


def places(side: int, patch: int) -> int:
    """How many squares are tried in an image."""
    stride, _ = grid(side, patch)
    return (1 - (patch - side) // stride) ** 2
