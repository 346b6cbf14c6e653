"""What the audited model's answer rests on: what it loses where a patch of the image is hidden.

Occlusion (Zeiler & Fergus 2014, arXiv:1311.2901), by captum: a patch is moved over the image and
painted in the colour that normalisation maps to zero. The output watched is the lead of one class,
its logit minus the mean of all logits, which no constant added to the logits changes.
"""

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from audit.jobs.job import Tick

PLACES = 8  # of the patch along a side, at most
TOGETHER = 32  # patches in one forward pass
LIMIT = 20.0  # seconds that the maps of one report may take, about
SLOW = "no map, for the model is too slow"
NOT_FINITE = "no map, for it gives NaN or infinity where a patch is hidden"
Map = NDArray[np.float32]
Pair = tuple[int, int]


def patch_side(wanted: float, side: int) -> int:
    """The whole number nearest to `wanted` at which `PLACES` patches still cover a side."""
    return min(side, max(round(wanted), -(-side // PLACES)))


def grid(side: int, patch: int) -> tuple[int, int]:
    """Steps of the patch, and by how many pixels its way along a side exceeds the side."""
    stride = max(1, -(-(side - patch) // (PLACES - 1)))
    return stride, -(side - patch) % stride


def occlusion(run: Callable[[Tensor], Tensor], x: Tensor, target: int, patch: Pair) -> Map:
    """How much of a class's lead is lost where a patch is hidden.

    Args:
        run: Maps (B, C, H, W) to logits (B, K).
        x: (1, C, H, W), normalised: the patch is painted with zeros.
        target: The class.
        patch: Its height and width in pixels.

    Returns:
        (H, W), in units of the logits: every pixel takes the mean over the patches that hide it.
        Patches at the border may reach over it by half a step, on opposite sides alike to a pixel.
    """
    from captum.attr import Occlusion  # takes seconds: it brings a drawing library

    channels, *sides = x.shape[1:]
    strides, excess = zip(*map(grid, sides, patch), strict=True)
    before = [more // 2 for more in excess]
    inside = [slice(b, b + side) for b, side in zip(before, sides, strict=True)]
    (top, left), (bottom, right) = before, (m - b for m, b in zip(excess, before, strict=True))
    rows, columns = inside

    def leads(padded: Tensor) -> Tensor:
        logits = run(padded[..., rows, columns]).float()
        return logits - logits.mean(dim=1, keepdim=True)

    found = Occlusion(leads).attribute(
        F.pad(x, (left, right, top, bottom)),
        sliding_window_shapes=(channels, *patch),
        strides=(channels, *strides),
        baselines=0,
        target=target,
        perturbations_per_eval=TOGETHER,
    )
    lost: Map = found[0, 0, rows, columns].numpy()
    return lost


def occlusions(
    run: Callable[[Tensor], Tensor],
    images: Tensor,
    targets: NDArray[np.int64],
    patch: Pair,
    tick: Tick,
    limit: float = LIMIT,
) -> list[Map | str]:
    """Maps of as many images as there is time for, the first ones first.

    Args:
        run: Maps (B, C, H, W) to logits (B, K).
        images: (M, C, H, W), normalised.
        targets: (M,) the class of each.
        patch: Height and width of what is hidden, in pixels.
        tick: Told the share that is done.
        limit: Seconds. Exceeded by one image at most, and not begun by a model of which a single
            image would take longer.

    Returns:
        M times a map of (H, W), or why there is none, in words.
    """
    found: list[Map | str] = []
    try:
        tried = math.prod(map(places, images.shape[-2:], patch))
        longest = rehearsed(run, images[:1]) * (1 + tried)
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
        occlusion(run, x, 0, (x.shape[-2], x.shape[-1]))  # the image, and all of it hidden
    return (time.monotonic() - started) / 2


def places(side: int, patch: int) -> int:
    """How many patches are tried along a side."""
    stride, _ = grid(side, patch)
    return 1 - (patch - side) // stride
