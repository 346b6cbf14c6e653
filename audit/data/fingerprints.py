"""What is kept of a picture to recognise it again without having it: about 970 bytes.

- A digest of the decoded pixels tells exact copies.
- A perceptual hash (imagehash's phash, 64 bits) finds candidates for near duplicates.
- Two sketches give the distance between candidates: of the whole picture at 16 x 16, and of its
  fine structure at 32 x 32 (grey, less a blur of 2 pixels), each brought to mean 0 and norm 1 and
  projected onto 128 fixed random directions (signs), which keeps a distance to about 6 %
  (Johnson & Lindenstrauss).
- Two more sketches are of its middle, by which a shifted, mirrored or cropped copy is found
  (`audit.data.moved_copies`).
- How crowded its own split is around it (see `audit.data.near_duplicates`), from the unprojected
  views.

So leaks are found the same way whether the training images are at hand or only their fingerprints.
A fingerprint holds no pixels, but it is no secret either: a rough outline of a picture could be
estimated from its sketches.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.data.dataset import Split
from audit.data.decode import thumbnails
from audit.data.windows import SIDE, Floats, Thumbs, coarse_middle, fine_middle, grey, unit

DIRECTIONS = 128
MIDDLE_DIRECTIONS = 64  # for candidates alone; 128 find as many copies in 1.4 times the time
FLAT = 2.0  # grey levels; a picture with less contrast looks like every other
SAMPLE = 4000  # M
NEAR, FAR = 10, 100  # neighbours that give the density; up to 9 copies do not disturb it
CHUNK = 2048


class Prints(NamedTuple):
    """Fingerprints of N pictures.

    Attributes:
        digests: (N, 32) uint8, of the decoded pixels.
        hashes: (N,) uint64, perceptual.
        whole: (N, 128) float16, sketches of the whole pictures.
        fine: (N, 128) float16, sketches of their fine structure.
        middle: (N, 64) float16, coarse sketches of the middles.
        middle_fine: (N, 128) float16, sketches of the middles' fine structure.
        density: (N, 6) float32; for whole, fine and middle_fine, offset a and slope b: by chance,
            a share x of all other pictures lies within the distance exp(a + b log x).
            NaN for pictures without contrast and in splits too small to tell.
    """

    digests: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    whole: NDArray[np.float16]
    fine: NDArray[np.float16]
    middle: NDArray[np.float16]
    middle_fine: NDArray[np.float16]
    density: Floats

    def select(self, index: NDArray[np.int64]) -> "Prints":
        """Those at `index` (n,)."""
        return Prints._make(array[index] for array in self)


def fingerprints(
    split: Split, channels: int, progress: Callable[[int], None] | None = None
) -> Prints:
    """Look at every image of a split once.

    Args:
        split: N images.
        channels: 1 (grey) or 3; only prints of equal channels can be compared.
        progress: Called with the number of images just finished.

    Raises:
        AuditError: DATA_CHANGED, DATA_UNREADABLE if a file changed since loading.
    """
    return with_thumbs(split, channels, progress)[0]


def with_thumbs(
    split: Split, channels: int, progress: Callable[[int], None] | None = None
) -> tuple[Prints, Thumbs]:
    """The same, and the thumbnails that they were taken of: (N, 32, 32, C)."""
    digests = np.frombuffer(bytes.fromhex("".join(split.pixel_digests)), dtype=np.uint8)
    thumbs = thumbnails(split, SIDE, channels, progress)
    return of_thumbs(thumbs, digests.reshape(-1, 32)), thumbs


def of_thumbs(thumbs: Thumbs, digests: NDArray[np.uint8]) -> Prints:
    """Fingerprints of one split's thumbnails: (N, 32, 32, C), (N, 32)."""
    n = len(thumbs)
    _, distinct = np.unique(keys(digests), return_index=True)
    chosen = np.random.default_rng(0).choice(distinct, min(SAMPLE, len(distinct)), replace=False)
    reference = (*views(thumbs[chosen]), fine_middle(grey(thumbs[chosen])))
    sketches = [np.empty((n, DIRECTIONS), dtype=np.float16) for _ in reference]
    middle = np.empty((n, MIDDLE_DIRECTIONS), dtype=np.float16)
    density = np.empty((n, 2 * len(reference)), dtype=np.float32)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        seen = (*views(thumbs[part]), fine_middle(grey(thumbs[part])))
        for k, view in enumerate(seen):
            sketches[k][part] = view @ directions(view.shape[1])
            density[part, 2 * k : 2 * k + 2] = crowding(view, reference[k])
        coarse = coarse_middle(thumbs[part].astype(np.float32))
        middle[part] = coarse @ directions(coarse.shape[1])[:, :MIDDLE_DIRECTIONS]
        density[part][flat(thumbs[part])] = np.nan
    whole, fine, middle_fine = sketches
    return Prints(digests, perceptual_hashes(thumbs), whole, fine, middle, middle_fine, density)


def flat(thumbs: Thumbs) -> NDArray[np.bool_]:
    """Which pictures have hardly any contrast in any channel: (n, 32, 32, C) -> (n,)."""
    spread = thumbs.max(axis=(1, 2)) - thumbs.min(axis=(1, 2))  # (n, C)
    found = spread.max(axis=1) < FLAT * SIDE * 2**0.5  # R^2 / (2 * 32^2) is the least variance
    found[found] = thumbs[found].std(axis=(1, 2)).max(axis=1) < FLAT
    return np.asarray(found)


def keys(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    """Digests as one value each: (N, 32) -> (N,)."""
    return np.ascontiguousarray(digests).view("V32").ravel()


def joined(prints: "list[Prints]") -> Prints:
    """Several in one row."""
    return Prints._make(np.concatenate(arrays) for arrays in zip(*prints, strict=True))


def perceptual_hashes(thumbs: Thumbs) -> NDArray[np.uint64]:
    """Perceptual hashes as imagehash's phash gives them: (N, 32, 32, C) -> (N,).

    Its definition with its own libraries (Pillow's grey, scipy's cosine transform, numpy's median),
    for many at once, in a tenth of the time; a test holds it to the library bit for bit.
    """
    from scipy.fftpack import dct

    bits = np.empty((len(thumbs), 64), dtype=bool)
    for start in range(0, len(thumbs), CHUNK):
        part = thumbs[start : start + CHUNK]
        column = part.reshape(-1, SIDE, part.shape[3])  # one below the other
        picture = Image.fromarray(column[..., 0] if part.shape[3] == 1 else column)
        grey = np.asarray(picture.convert("L")).reshape(-1, SIDE, SIDE)
        low = dct(dct(grey, axis=1), axis=2)[:, :8, :8].reshape(-1, 64)
        bits[start : start + CHUNK] = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def views(thumbs: Thumbs) -> tuple[Floats, Floats]:
    """Whole (N, 256 C) and fine (N, 1024) from (N, 32, 32, C), each row of mean 0 and norm 1."""
    x = thumbs.astype(np.float32)
    quads = x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]
    whole: Floats = quads / np.float32(4)
    grey: Floats = np.add.reduce(np.moveaxis(x, 3, 0)) / np.float32(x.shape[3])
    fine: Floats = np.asarray(grey - blur() @ grey @ blur().T, dtype=np.float32)
    return unit(whole), unit(fine)


@cache
def blur() -> Floats:
    """A Gaussian blur of 2 pixels along one axis of a thumbnail, as a matrix: (32, 32)."""
    from scipy.ndimage import gaussian_filter1d

    found: Floats = gaussian_filter1d(np.eye(SIDE, dtype=np.float32), 2, axis=0)
    return found


def crowding(view: Floats, reference: Floats) -> Floats:
    """Offset and slope of log distance against log share of pictures: (n, D), (M, D) -> (n, 2).

    From the 10th and the 100th neighbour among the M; the picture itself may be one of them.
    """
    far = min(FAR, len(reference) // 2)
    near = far * NEAR // FAR
    if near < 1:
        return np.full((len(view), 2), np.nan, dtype=np.float32)
    closeness = view @ reference.T  # distances between rows of norm 1 follow from it
    ranked = -np.partition(-closeness, (near, far), axis=1)[:, [near, far]]
    r_near, r_far = np.sqrt(np.maximum(2 - 2 * ranked, 1e-12)).T
    slope = np.log(r_far / r_near) / np.log(far / near)
    return np.stack([np.log(r_far) - slope * np.log(far / len(reference)), slope], axis=1)


@cache
def directions(dimensions: int) -> Floats:
    """Projection that keeps distances on average: (D, 128) of +-1 / sqrt(128).

    From a hash: the same in every version of every library.
    """
    raw = hashlib.shake_256(f"sketch {dimensions}".encode()).digest(dimensions * DIRECTIONS // 8)
    signs = np.unpackbits(np.frombuffer(raw, dtype=np.uint8)).reshape(dimensions, DIRECTIONS)
    scaled: Floats = (2 * signs.astype(np.float32) - 1) / np.float32(DIRECTIONS**0.5)
    return scaled
