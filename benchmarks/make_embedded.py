"""Make the embedded data from Fashion-MNIST's idx files: a stratified part of each split.

    python -m benchmarks.make_embedded FOLDER_WITH_IDX_FILES

The first seed from SEED upwards is taken whose draw has no near duplicate between the splits
(Fashion-MNIST has about two in a thousand), so that a demonstration does not begin with a leak.
The chosen positions are stored beside the images, to be checked against the original files.
"""

import sys
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.data.duplicates import data_facts
from audit.data.embedded import load_embedded
from audit.data.idx import find_idx, read_idx

SEED = 20_170_828  # Fashion-MNIST was published on 28 August 2017
PER_CLASS = {"train": 600, "eval": 400}
OUT = Path(__file__).parents[1] / "audit" / "data" / "embedded" / "fashion-mnist.npz"


def main(folder: Path) -> None:
    files = find_idx(folder)
    if files is None:
        raise SystemExit(f"{folder} does not hold the four idx files")
    images = {split: read_idx(paths[0], 3) for split, paths in files.items()}
    labels = {split: read_idx(paths[1], 1) for split, paths in files.items()}
    OUT.parent.mkdir(exist_ok=True)
    for seed in count(SEED):
        rng = np.random.default_rng(seed)
        arrays: dict[str, NDArray[np.generic]] = {}
        for split, n in PER_CLASS.items():
            chosen = draw(labels[split], n, rng)
            arrays[f"{split}_images"] = images[split][chosen]
            arrays[f"{split}_labels"] = labels[split][chosen]
            arrays[f"{split}_positions"] = chosen.astype(np.uint16)
        np.savez_compressed(OUT, allow_pickle=False, **arrays)
        facts = data_facts(load_embedded())
        leaks = len(facts.exact_leaks) + len(facts.near_leaks)
        print(f"seed {seed}: {leaks} leaks, {OUT.stat().st_size:,} bytes")
        if not leaks:
            return


def draw(labels: NDArray[np.uint8], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of `n` images a class, ascending."""
    each = [rng.choice(np.flatnonzero(labels == k), n, replace=False) for k in np.unique(labels)]
    return np.sort(np.concatenate(each))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
