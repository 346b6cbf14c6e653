"""The data that come with the package: a part of Fashion-MNIST, enough for a demonstration.

600 training and 400 evaluation images a class, drawn with a fixed seed from the original training
and test split so that no near duplicate ties the two (`benchmarks/make_embedded.py`). 28 x 28,
grey. MIT licence, Copyright 2017 Zalando SE (`embedded/LICENSE-fashion-mnist`).

Reference: Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747.
"""

import io
from importlib import resources
from pathlib import Path

import numpy as np

from audit.core.errors import AuditError
from audit.data.dataset import Dataset, Split, dataset_digest
from audit.data.idx import array_split

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

FOLDERS = {"train": "train", "eval": "val"}


def load_embedded() -> Dataset:
    """The embedded part of Fashion-MNIST: 6,000 training and 4,000 evaluation images."""
    train, evaluation = _split("train"), _split("eval")
    digest = dataset_digest(CLASSES, train, evaluation)
    return Dataset(CLASSES, train, evaluation, digest, True, (), 0, "embedded Fashion-MNIST")


def write_embedded_folder(path: Path) -> None:
    """Unpack the embedded data as an image folder, `train/` and `val/`, to use as `--data`.

    May be repeated: files that are already right stay, half-written ones are replaced.

    Args:
        path: Made if it does not exist.

    Raises:
        AuditError: OUT_NOT_EMPTY if the folder holds a file that does not belong to the data.
    """
    images = {
        path / FOLDERS[split.name] / f"{name}.png": split.open_image(i)
        for split in (_split("train"), _split("eval"))
        for i, name in enumerate(split.paths)
    }
    strange = [file for file in path.rglob("*") if not file.is_dir() and file not in images]
    if strange:
        raise AuditError(
            "OUT_NOT_EMPTY",
            f"the embedded data need a folder of their own, but {str(path)!r} holds "
            f"{strange[0].name!r}.",
            "Name another folder.",
        )
    for folder in {file.parent for file in images}:
        folder.mkdir(parents=True, exist_ok=True)
    for file, image in images.items():
        packed = io.BytesIO()
        image.save(packed, "PNG", compress_level=1)
        if not file.exists() or file.read_bytes() != packed.getvalue():
            file.write_bytes(packed.getvalue())


def _split(name: str) -> Split:
    archive = resources.files("audit.data") / "embedded" / "fashion-mnist.npz"
    with archive.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"].astype(np.int64)
        positions = arrays[f"{name}_positions"]
    safe = [CLASSES[label].replace("/", " or ") for label in labels]
    paths = [f"{safe[i]}/{position:05d}" for i, position in enumerate(positions)]
    return array_split(name, images, labels, paths)
