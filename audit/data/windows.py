"""Parts of a thumbnail, read at any place and size: what a shifted or cropped copy still shows.

Two pictures that are one, but for a shift, a crop, a zoom or a mirror image, show the middle of the
first somewhere in the second. So of each picture the middle is kept, as sketches, and looked for in
the windows of another. Up to `SHIFT` of 32 pixels, down to `1 / max(ZOOMS)` of the side.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # of the thumbnails
MIDDLE = 20.0  # side of the middle; a corner crop of 81 % of the side still shows it
EDGE = (SIDE - MIDDLE) / 2  # pixels on either side of it
SHIFT = 4.0  # pixels of a thumbnail by which a copy may be shifted
ZOOMS = (1.14, 1.23, 1.33)  # ratios of the sides of two pictures of which one is a crop
STEP = 1.5  # pixels between windows of one size; with 2, a third of the copies that were shifted
# by an odd number of pixels is not found
CROP_STEP = 2.0  # the same for windows of other sizes; with 1.5 no more crops are found
COARSE, FINE = 10, 16  # cells a side of the two views of a window
SAMPLES = 4  # points a cell and axis
Thumbs = NDArray[np.uint8]
Floats = NDArray[np.float32]


def unit(x: Floats) -> Floats:
    """Each row brought to mean 0 and norm 1: (N, ...) -> (N, D)."""
    flat = x.reshape(len(x), math.prod(x.shape[1:]))  # -1 would not do where there is no row
    flat = flat - flat.mean(axis=1, keepdims=True)
    found: Floats = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return found


def reading(starts: Floats, sizes: Floats, cells: int) -> Floats:
    """Matrices that read windows along one axis by linear interpolation: (m, cells, SIDE).

    Args:
        starts: (m,) first edges in pixels.
        sizes: (m,) in pixels.
        cells: How many means to read.
    """
    inner = (np.arange(cells * SAMPLES, dtype=np.float32) + 0.5) / (cells * SAMPLES)
    at = starts[:, None] + sizes[:, None] * inner - 0.5  # (m, cells * SAMPLES), pixel centres
    at = np.clip(at, 0, SIDE - 1).reshape(len(starts), cells, SAMPLES, 1)
    near = np.maximum(0, 1 - np.abs(at - np.arange(SIDE, dtype=np.float32)))
    found: Floats = near.mean(axis=2, dtype=np.float32)
    return found


@cache
def grids() -> tuple[tuple[float, Floats], ...]:
    """Windows of a picture that may show another's middle: sizes, and starts along an axis."""
    found = [(MIDDLE, np.linspace(EDGE - SHIFT, EDGE + SHIFT, places(2 * SHIFT, STEP)))]
    for zoom in ZOOMS:
        room = SIDE - SIDE / zoom
        offsets = np.linspace(0, room, places(room, CROP_STEP))
        found.append((MIDDLE / zoom, offsets + EDGE / zoom))  # the other one is a crop of this
        found.append((MIDDLE * zoom, (EDGE - offsets) * zoom))  # this is a crop of the other one
    inside = [(s, at[(at > -0.5) & (at + s < SIDE + 0.5)].astype(np.float32)) for s, at in found]
    return tuple((size, starts) for size, starts in inside if len(starts))


def places(span: float, step: float) -> int:
    """How many windows cover so many pixels."""
    return int(np.ceil(span / step)) + 1


def windows() -> Floats:
    """All of them, in the order of `coarse_windows`: (V, 3) size, top, left."""
    rows = [(s, top, left) for s, starts in grids() for top in starts for left in starts]
    return np.array(rows, dtype=np.float32)


def coarse_windows(thumbs: Floats) -> Floats:
    """The coarse view of every window: (n, SIDE, SIDE, C) -> (n, V, COARSE, COARSE, C)."""
    n, channels = len(thumbs), thumbs.shape[3]
    planes, found = np.moveaxis(thumbs, 3, 1), []
    for size, starts in grids():
        k = len(starts)
        read = reading(starts, np.full(k, size, np.float32), COARSE).reshape(-1, SIDE)
        cells = (read @ planes @ read.T).reshape(n, channels, k, COARSE, k, COARSE)
        found.append(cells.transpose(0, 2, 4, 3, 5, 1).reshape(n, k * k, COARSE, COARSE, channels))
    return np.concatenate(found, axis=1)


def coarse_middle(thumbs: Floats) -> Floats:
    """The coarse view of the middle: (n, SIDE, SIDE, C) -> (n, COARSE^2 C)."""
    (read,) = reading(np.array([EDGE], np.float32), np.array([MIDDLE], np.float32), COARSE)
    return unit(np.moveaxis(read @ np.moveaxis(thumbs, 3, 1) @ read.T, 1, 3))


def fine_windows(thumbs: Floats, at: Floats, mirrored: NDArray[np.bool_]) -> Floats:
    """The fine structure of one window a picture, as `fine_middle` of another one would have it.

    Args:
        thumbs: (n, SIDE, SIDE) grey.
        at: (n, 3) size, top, left.
        mirrored: (n,) whether the window is to be mirrored.

    Returns:
        (n, FINE^2), each row of mean 0 and norm 1.
    """
    size, top, left = at.T
    cells = reading(top, size, FINE) @ thumbs @ reading(left, size, FINE).transpose(0, 2, 1)
    cells[mirrored] = cells[mirrored, :, ::-1]
    detail: Floats = np.asarray(cells - blur() @ cells @ blur().T, dtype=np.float32)
    return unit(detail)


def fine_middle(thumbs: Floats) -> Floats:
    """The fine structure of the middle: (n, SIDE, SIDE) grey -> (n, FINE^2)."""
    middle = np.tile(np.array([MIDDLE, EDGE, EDGE], np.float32), (len(thumbs), 1))
    return fine_windows(thumbs, middle, np.zeros(len(thumbs), dtype=bool))


def grey(thumbs: Thumbs) -> Floats:
    """The mean of the channels: (n, SIDE, SIDE, C) -> (n, SIDE, SIDE)."""
    found: Floats = thumbs.mean(axis=3, dtype=np.float32)
    return found


@cache
def blur() -> Floats:
    """A Gaussian blur of 1.3 cells along one axis of a fine view, as a matrix."""
    from scipy.ndimage import gaussian_filter1d

    found: Floats = gaussian_filter1d(np.eye(FINE, dtype=np.float32), 1.3, axis=0)
    return found
