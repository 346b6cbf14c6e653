"""Small image folders and pictures, for tests of the data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.core.errors import AuditError
from audit.data.load import load_dataset

RNG = np.random.default_rng(0)


def noise(*shape: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8))


def cats_and_dogs(root: Path, classes: Sequence[str] = ("cat", "dog"), each: int = 26) -> Path:
    """Colour PNGs of 8 x 8 pixels in train/ and in val/."""
    for split in ("train", "val"):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(each):
                noise(8, 8, 3).save(root / split / name / f"{i}.png")
    return root


def refusal(data: Path | None, **settings: object) -> tuple[str, str]:
    with pytest.raises(AuditError) as caught:
        load_dataset(data, **settings)
    return caught.value.reason, str(caught.value)
