"""Near duplicates: the same picture saved again, resized, recompressed, slightly cut or recoloured.

Candidates are pairs whose perceptual hashes (imagehash's phash, 64 bits) differ in few bits. The
hash alone is not enough: among pictures of one kind of object on a plain ground, most are
candidates. So a candidate counts only if it is closer than chance can explain on *these* data.

For each picture, its distances to M = 4,000 random ones of its split give the density around it:
the number of pictures within distance d grows like d^D, with D and the scale taken from the 10th
and the 100th neighbour. By chance, N (100 / M) (d / d_100)^D = NFA of N pictures lie as close as
the pair does. The pair counts if NFA <= 1e-6 for both pictures and for both distances: of the whole
pictures and of their fine structure, as their sketches give them (`audit.data.fingerprints`). The
form is that of a-contrario detection.

Measured. CIFAR-10: 103 of the 10,000 test images have a near duplicate among the training images,
where 286 have one by eye; 101 by sketches and 102 by the views that they stand for, 93 in common.
On contact sheets of the pairs on either side of the limit nearly all that were looked at are right,
and so are most up to NFA = 1e-3. Fashion-MNIST: 17 of 10,000, one picture or one product
photographed alike; up to 1e-3 follow products in other shades. The share is stable, single pairs
at the limit are not. 60,000 images take 44 s of one core, 70,000 take 43 s.

How it can mislead: mirrored, shifted and cut copies are found by `audit.data.moved_copies` alone,
rotated ones not at all; where thousands of
pictures are almost alike (trousers from the front), only nearly identical ones are.

References:
    Desolneux, Moisan & Morel (2000), IJCV 40(1):7, doi:10.1023/A:1026593302236 (a contrario)
    Barz & Denzler (2020), J. Imaging 6(6):41, arXiv:1902.00423 (CIFAR's duplicates, by eye)
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from audit.data.fingerprints import Prints
from audit.data.image_folder import workers

MAX_BITS = 8  # of 64; Hamming distance of candidates
MAX_NFA = 1e-6
CHUNK = 2**14
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def near_pairs(prints: Prints) -> tuple[Indices, NDArray[np.float64]]:
    """Pairs of near duplicates among distinct pictures.

    Args:
        prints: Of N pictures of one split or several; exact copies must have been merged.

    Returns:
        (P, 2) positions i < j, and (P,) distances of the whole pictures, about 0 to 2.
    """
    n = len(prints.hashes)
    reach = np.exp(prints.density[:, 0::2] + prints.density[:, 1::2] * np.log(MAX_NFA / n))
    pairs = hamming_pairs(prints.hashes, MAX_BITS)
    kept, distances = [np.empty((0, 2), dtype=np.int64)], [np.empty(0)]
    for start in range(0, len(pairs), CHUNK):
        at = pairs[start : start + CHUNK]
        limits = np.minimum(*reach[at.T])  # (P, 2), NaN where one cannot tell
        whole, fine = (_gap(view, *at.T) for view in (prints.whole, prints.fine))
        good = (whole <= limits[:, 0]) & (fine <= limits[:, 1])
        kept.append(at[good])
        distances.append(whole[good].astype(np.float64))
    return np.concatenate(kept), np.concatenate(distances)


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


def _gap(view: NDArray[np.float16], i: Indices, j: Indices) -> Floats:
    gap: Floats = np.linalg.norm(view[i].astype(np.float32) - view[j].astype(np.float32), axis=1)
    return gap
