"""Near duplicates: the same picture saved again, resized, recompressed, slightly cut or recoloured.

Candidates are pairs whose perceptual hashes (imagehash's phash, 64 bits) differ in few bits. The
hash alone is not enough: among pictures of one kind of object on a plain ground, most are
candidates. So a candidate counts only if it is closer than chance can explain on *these* data.

For each picture, its distances to M = 4,000 random ones give the density around it: the number of
pictures within distance d grows like d^D, with D and the scale taken from the 10th and the 100th
neighbour. By chance, N (100 / M) (d / d_100)^D = NFA pictures lie as close as the pair does. The
pair counts if NFA <= 1e-6 for both pictures and for both distances: of the whole picture at
16 x 16, and of its fine structure at 32 x 32 (grey, less a blur of 2 pixels), each brought to mean
0 and norm 1. The form is that of a-contrario detection.

Measured, on contact sheets of the pairs on either side of the limit. CIFAR-10: 107 to 117 of the
10,000 test images (three samples) have a near duplicate among the training images, where 286 have
one by eye; nearly all that were looked at are right, and so are most up to NFA = 1e-3.
Fashion-MNIST: 21 or 22 of 10,000, one picture or one product photographed alike; up to 1e-3 follow
products in other shades. The share is stable, single pairs at the limit are not: of two samples'
pairs 60 to 75 % are common.

How it can mislead: mirrored, rotated and strongly cut copies are not found; where thousands of
pictures are almost alike (trousers from the front), only nearly identical ones are.

References:
    Desolneux, Moisan & Morel (2000), IJCV 40(1):7, doi:10.1023/A:1026593302236 (a contrario)
    Barz & Denzler (2020), J. Imaging 6(6):41, arXiv:1902.00423 (CIFAR's duplicates, by eye)
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.data.folder import workers

MAX_BITS = 8  # of 64; Hamming distance of candidates
MAX_NFA = 1e-6
SAMPLE = 4000  # M
NEAR, FAR = 10, 100  # neighbours that give the density; up to 9 copies do not disturb it
SIDE = 32  # of the thumbnails
FLAT = 2.0  # grey levels; a picture with less contrast looks like every other
Thumbs = NDArray[np.uint8]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


class View(NamedTuple):
    """Two descriptions of pictures, each of mean 0 and norm 1: (N, D) float32."""

    whole: Floats
    fine: Floats


def near_pairs(thumbs: Thumbs, seed: int = 0) -> tuple[Indices, NDArray[np.float64]]:
    """Pairs of near duplicates among distinct pictures.

    Args:
        thumbs: (N, 32, 32, C); exact copies must have been merged, C is 1 or 3.
        seed: Of the sample that gives the density.

    Returns:
        (P, 2) positions i < j, and (P,) distances of the whole pictures, 0 to 2.
    """
    if len(thumbs) < 2 * NEAR:
        return np.empty((0, 2), dtype=np.int64), np.empty(0)
    pairs = hamming_pairs(perceptual_hashes(thumbs), MAX_BITS)
    if not len(pairs):
        return pairs, np.empty(0)
    involved, local = np.unique(pairs, return_inverse=True)
    reach = _reach(thumbs, involved, seed)  # (2, len(involved))
    local = local.reshape(-1, 2)
    limits = np.minimum(reach[:, local[:, 0]], reach[:, local[:, 1]])  # (2, P)
    coarse = np.concatenate([_coarse(view.whole) for _, view in _views(thumbs, involved)])
    kept, distances = [], []
    for chunk in _chunks(len(pairs), 2**16):
        maybe = _gap(coarse, *local[chunk].T) <= limits[0, chunk]
        for part in _chunks(int(maybe.sum()), 2**12):
            at = chunk[maybe][part]
            a, b = (_view(thumbs[pairs[at, side]]) for side in (0, 1))
            whole, fine = (np.linalg.norm(x - y, axis=1) for x, y in zip(a, b, strict=True))
            good = (whole <= limits[0, at]) & (fine <= limits[1, at])
            kept.append(pairs[at[good]])
            distances.append(whole[good].astype(np.float64))
    if not kept:
        return np.empty((0, 2), dtype=np.int64), np.empty(0)
    return np.concatenate(kept), np.concatenate(distances)


def perceptual_hashes(thumbs: Thumbs) -> NDArray[np.uint64]:
    """The library's phash of every thumbnail: (N, 32, 32, C) -> (N,)."""
    import imagehash

    bits = np.empty((len(thumbs), 64), dtype=bool)
    for i, thumb in enumerate(thumbs):
        image = Image.fromarray(thumb[..., 0] if thumb.shape[2] == 1 else thumb)
        bits[i] = imagehash.phash(image).hash.ravel()
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def hamming_pairs(hashes: NDArray[np.uint64], max_bits: int) -> Indices:
    """All pairs i < j that differ in at most `max_bits` bits: (N,) -> (P, 2).

    Compares every pair, 2 to 3 seconds of one core for 10^9 pairs; tables of bit chunks are
    slower up to about 10^5 pictures because hashes of one kind of picture crowd together.
    """
    rows, columns = 128, 16_384

    def block(start: int) -> Indices:
        found = []
        for first in range(start, len(hashes), columns):
            other = hashes[first : first + columns]
            close = np.bitwise_count(hashes[start : start + rows, None] ^ other) <= max_bits
            i, j = np.divmod(np.flatnonzero(close), len(other))
            found.append(np.stack([i + start, j + first], axis=1))
        pairs = np.concatenate(found)
        return pairs[pairs[:, 0] < pairs[:, 1]]

    with ThreadPoolExecutor(workers()) as pool:
        return np.concatenate(list(pool.map(block, range(0, len(hashes), rows))))


def _reach(thumbs: Thumbs, involved: Indices, seed: int) -> Floats:
    """Distance up to which a pair is no chance, by picture: (2, len(involved)), whole and fine."""
    n = len(thumbs)
    sample = np.random.default_rng(seed).choice(n, min(SAMPLE, n), replace=False)
    reference = _view(thumbs[sample])
    far = min(FAR, len(sample) // 2)
    near = max(far * NEAR // FAR, 1)
    expected = n * far / len(sample)  # pictures within the distance of the far neighbour
    parts = []
    for at, view in _views(thumbs, involved):
        flat = thumbs[at].std(axis=(1, 2)).max(axis=1) < FLAT
        both = [
            _limit(_cross(v, r), near, far, expected) for v, r in zip(view, reference, strict=True)
        ]
        parts.append(np.where(flat, -1.0, np.stack(both)))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _limit(distances: Floats, near: int, far: int, expected: float) -> Floats:
    """Where NFA reaches MAX_NFA: (n, M) distances to the sample -> (n,)."""
    ranked = np.partition(distances, (near, far), axis=1)  # position 0 is often the picture itself
    d_near, d_far = np.maximum(ranked[:, near], 1e-6), np.maximum(ranked[:, far], 1e-6)
    inverse_dimension = np.log(d_far / d_near) / np.log(far / near)
    return d_far * (MAX_NFA / expected) ** inverse_dimension


def _view(thumbs: Thumbs) -> View:
    from scipy.ndimage import gaussian_filter1d

    x = thumbs.astype(np.float32)
    half = SIDE // 2
    whole = x.reshape(len(x), half, 2, half, 2, -1).mean(axis=(2, 4))
    grey = x.mean(axis=3)
    blurred = gaussian_filter1d(gaussian_filter1d(grey, 2, axis=1), 2, axis=2)
    return View(_unit(whole), _unit(grey - blurred))


def _unit(x: Floats) -> Floats:
    flat = x.reshape(len(x), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _coarse(whole: Floats) -> Floats:
    """Projection to 8 x 8 blocks: its distances are lower bounds of those of `whole`."""
    half, blocks = SIDE // 2, 8
    step = half // blocks
    x = whole.reshape(len(whole), blocks, step, blocks, step, -1)
    return x.sum(axis=(2, 4)).reshape(len(whole), -1) / step


def _cross(a: Floats, b: Floats) -> Floats:
    """Distances between vectors of norm 1: (n, D), (m, D) -> (n, m)."""
    return np.sqrt(np.maximum(2 - 2 * (a @ b.T), 0))


def _gap(x: Floats, i: Indices, j: Indices) -> Floats:
    return np.linalg.norm(x[i] - x[j], axis=1)


def _views(thumbs: Thumbs, involved: Indices) -> Iterator[tuple[Indices, View]]:
    for chunk in _chunks(len(involved), 2048):
        at = involved[chunk]
        yield at, _view(thumbs[at])


def _chunks(n: int, size: int) -> Iterator[Indices]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))
