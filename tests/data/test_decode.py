"""From images to arrays: timm's geometry, bit for bit."""

import numpy as np
import pytest

from audit.core.errors import AuditError
from audit.core.sizes import Size
from audit.data import decode
from audit.data.dataset import Dataset
from audit.data.load import load_dataset
from tests.samples.images import noise


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Images of many shapes, from 1 pixel up."""
    root = tmp_path_factory.mktemp("shapes")
    sizes = [(1, 1), (3, 5), (32, 32), (33, 32), (40, 61), (61, 40), (224, 97), (35, 35)]
    for name in ("a", "b"):
        (root / name).mkdir()
        for i in range(26):
            noise(*sizes[i % len(sizes)], 3).save(root / name / f"{i}.png")
    return load_dataset(None, evaluation=root)


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos", "nearest"])
@pytest.mark.parametrize(
    ("size", "crop_pct"),
    [
        *((32, 1.0), (32, 0.875), (33, 0.9), (61, 0.95)),
        *(((48, 32), 1.0), ((20, 33), 0.875), ((61, 60), 0.95), ((32, 33), 0.5)),
    ],
)
def test_geometry_is_timms(
    shapes: Dataset, size: Size, crop_pct: float, interpolation: str, crop_mode: str
):
    from timm.data import create_transform

    how = {"crop_pct": crop_pct, "interpolation": interpolation, "crop_mode": crop_mode}
    theirs = create_transform(size, **how, is_training=False, normalize=False)
    ours = decode(shapes.eval, size, 3, **how)
    for i in range(len(shapes.eval)):
        image = shapes.eval.open_image(i).convert("RGB")
        assert (ours[i] == np.asarray(theirs(image))).all()


def test_grey_and_colour(shapes: Dataset):
    grey, colour = decode(shapes.eval, 16, 1), decode(shapes.eval, 16, 3)
    assert grey.shape == (52, 1, 16, 16)
    assert colour.shape == (52, 3, 16, 16)


@pytest.mark.parametrize("bad", [{"crop_pct": 1.5}, {"interpolation": "random"},
                                 {"crop_mode": "border"}])  # fmt: skip
def test_preprocessing_that_is_not_supported(shapes: Dataset, bad: dict[str, object]):
    with pytest.raises(AuditError, match="MODEL_PREPROCESSING"):
        decode(shapes.eval, 16, 3, **bad)
