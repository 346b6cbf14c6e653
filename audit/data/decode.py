"""From files to arrays, once: the geometry of timm's evaluation transform, in uint8.

timm resizes the shortest side to floor(side / crop_pct), keeping the aspect ratio (the other side
is cut to whole pixels), then cuts a square from the centre. For a rectangle it keeps the aspect
ratio, too, and resizes until both sides are covered (the other one is rounded). In the mode
"squash" height and width become floor(height / crop_pct) and floor(width / crop_pct), whatever
they were. Images are equal to those of
`timm.data.create_transform(..., is_training=False, normalize=False)` bit for bit.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.core.errors import AuditError
from audit.core.sizes import Size, height_width, shown
from audit.data.dataset import Split
from audit.data.image_folder import workers

Pixels = NDArray[np.uint8]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

MODES = {1: "L", 3: "RGB"}
CHUNK = 128


def decode(
    split: Split,
    size: Size,
    channels: int,
    *,
    crop_pct: float = 1.0,
    interpolation: str = "bicubic",
    crop_mode: str = "center",
    out: Pixels | None = None,
) -> Pixels:
    """All images of a split as the subject would see them, before normalisation.

    Args:
        split: N images.
        size: Of what comes out, in pixels.
        channels: 1 (grey) or 3 (RGB).
        crop_pct: Share of the resized shortest side that the crop keeps, in (0, 1].
        interpolation: A key of FILTERS.
        crop_mode: "center", or "squash", which does not keep the aspect ratio.
        out: (N, C, H, W) to fill; new memory by default.

    Returns:
        (N, C, H, W).

    Raises:
        AuditError: MODEL_PREPROCESSING for settings that are not supported; DATA_CHANGED,
            DATA_UNREADABLE if a file changed or went away.
    """
    _check_settings(size, channels, crop_pct, interpolation, crop_mode)
    resample, mode = FILTERS[interpolation], MODES[channels]
    height, width = height_width(size)
    scaled = math.floor(height / crop_pct), math.floor(width / crop_pct)
    filled = np.empty((len(split), channels, height, width), np.uint8) if out is None else out

    def fill(start: int) -> int:
        stop = min(start + CHUNK, len(split))
        rows = range(start, stop)
        for i, found in zip(rows, split.read(rows), strict=True):
            image = found.convert(mode)
            if crop_mode == "squash":
                image = image.resize(scaled[::-1], resample)
            image = central(covering(image, scaled, resample), height, width)
            filled[i] = np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)
        return stop - start

    _run(fill, range(0, len(split), CHUNK), None)
    return filled


def covering(
    image: Image.Image, wanted: tuple[int, int], resample: Image.Resampling
) -> Image.Image:
    """Resize with its aspect ratio until height and width are at least those wanted, one equal."""
    (width, height), (tall, wide) = image.size, wanted
    if tall != wide:
        ratio = min(height / tall, width / wide)
        size = round(width / ratio), round(height / ratio)
        return image if size == image.size else image.resize(size, resample)
    if min(width, height) == tall:
        return image
    long = int(tall * max(width, height) / min(width, height))
    return image.resize((tall, long) if width <= height else (long, tall), resample)


def central(image: Image.Image, height: int, width: int) -> Image.Image:
    """Cut `height` x `width` from the centre."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def thumbnails(
    split: Split, side: int, channels: int, progress: Callable[[int], None] | None = None
) -> Pixels:
    """All images, each squeezed whole into a square: (N, side, side, C)."""
    out = np.empty((len(split), side, side, channels), dtype=np.uint8)

    def fill(start: int) -> int:
        stop = min(start + CHUNK, len(split))
        rows = range(start, stop)
        for i, found in zip(rows, split.read(rows), strict=True):
            image = found.convert(MODES[channels])
            if image.size != (side, side):
                image = image.resize((side, side), Image.Resampling.BICUBIC)
            out[i] = np.asarray(image).reshape(side, side, channels)
        return stop - start

    _run(fill, range(0, len(split), CHUNK), progress)
    return out


def _run(
    fill: Callable[[int], int], starts: Iterable[int], progress: Callable[[int], None] | None
) -> None:
    with ThreadPoolExecutor(workers()) as pool:
        for done in pool.map(fill, starts):
            if progress:
                progress(done)


def _check_settings(
    size: Size, channels: int, crop_pct: float, interpolation: str, crop_mode: str
) -> None:
    problem = ""
    if min(height_width(size)) < 1:
        problem = f"{shown(size)} pixels"
    elif channels not in MODES:
        problem = f"{channels} channels"
    elif not 0 < crop_pct <= 1:
        problem = f"a crop of {crop_pct} of the image"
    elif interpolation not in FILTERS:
        problem = f"the interpolation {interpolation!r}"
    elif crop_mode not in {"center", "squash"}:
        problem = f"the crop mode {crop_mode!r}"
    if problem:
        raise AuditError(
            "MODEL_PREPROCESSING",
            f"the audit prepares images with 1 or 3 channels, a crop of at most the whole image "
            f"and the interpolations {', '.join(FILTERS)}, but the model asks for {problem}.",
        )
