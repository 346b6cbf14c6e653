"""Data without image files: idx, and the part of Fashion-MNIST that comes with the package."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from audit.core.errors import AuditError
from audit.data import decode
from audit.data.embedded import load_embedded, write_embedded_folder
from audit.data.load import load_dataset

RNG = np.random.default_rng(0)


def write_idx(path: Path, array: np.ndarray) -> None:
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    content = bytes((0, 0, 8, array.ndim)) + shape + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content))


@pytest.fixture
def idx(tmp_path: Path) -> Path:
    for prefix in ("train", "t10k"):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", RNG.integers(0, 256, (60, 7, 7)))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", np.arange(60) % 3)
    return tmp_path


def test_idx_files(idx: Path):
    data = load_dataset(idx)
    assert (data.classes, data.grey, data.source) == (("0", "1", "2"), True, "idx files")
    assert [int(path[-5:]) % 3 for path in data.eval.paths] == data.eval.labels.tolist()
    assert decode(data.eval, 7, 1).shape == (60, 1, 7, 7)


@pytest.mark.parametrize("how", ["cut", "gzip", "long", "short labels"])
def test_damaged_idx_files(idx: Path, how: str):
    path = idx / "train-images-idx3-ubyte.gz"
    raw = path.read_bytes()
    if how == "short labels":
        write_idx(idx / "train-labels-idx1-ubyte.gz", np.arange(59) % 3)
    elif how == "gzip":
        path.write_bytes(raw[:100] + bytes(50) + raw[150:])
    else:
        content = gzip.decompress(raw)
        path.write_bytes(gzip.compress(content[:-1] if how == "cut" else content + b"x"))
    with pytest.raises(AuditError, match="DATA_UNREADABLE"):
        load_dataset(idx)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((60, 0, 0), "DATA_UNREADABLE"),
        ((0, 7, 7), "DATA_UNREADABLE"),
        ((60, 1, 70_000), "DATA_IMAGE_TOO_LARGE"),
        ((60, 2, 600), "DATA_IMAGE_TOO_LARGE"),
    ],
)
def test_images_of_impossible_sizes(idx: Path, shape: tuple[int, int, int], reason: str):
    for prefix in ("train", "t10k"):
        write_idx(idx / f"{prefix}-images-idx3-ubyte.gz", np.zeros(shape))
        write_idx(idx / f"{prefix}-labels-idx1-ubyte.gz", np.arange(shape[0]) % 3)
    with pytest.raises(AuditError, match=reason):
        load_dataset(idx)


def test_idx_labels_that_differ_between_splits(idx: Path):
    write_idx(idx / "t10k-labels-idx1-ubyte.gz", np.arange(60) % 2)
    with pytest.raises(AuditError, match="DATA_CLASS_MISMATCH"):
        load_dataset(idx)


def test_embedded_data():
    data = load_embedded()
    assert data.train is not None
    assert np.bincount(data.train.labels).tolist() == [600] * 10
    assert np.bincount(data.eval.labels).tolist() == [400] * 10
    assert data.grey
    assert load_dataset(Path("embedded")).digest == data.digest


def test_embedded_data_are_small_and_licensed():
    import audit.data

    files = list((Path(audit.data.__file__).parent / "embedded").iterdir())
    assert sum(file.stat().st_size for file in files) < 5_000_000
    text = next(f for f in files if f.name == "LICENSE-fashion-mnist").read_text(encoding="utf-8")
    assert "Copyright © 2017 Zalando SE" in text


@pytest.mark.slow
def test_embedded_data_as_a_folder(tmp_path: Path):
    write_embedded_folder(tmp_path / "demo")
    first = next((tmp_path / "demo" / "val" / "Bag").iterdir())
    first.write_bytes(first.read_bytes()[:40])  # as if killed half way
    write_embedded_folder(tmp_path / "demo")
    folder, packed = load_dataset(tmp_path / "demo"), load_embedded()
    assert sorted(folder.eval.pixel_digests) == sorted(packed.eval.pixel_digests)
    assert set(folder.classes) == {name.replace("/", " or ") for name in packed.classes}


def test_embedded_data_do_not_mix_with_other_files(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(AuditError, match="OUT_NOT_EMPTY"):
        write_embedded_folder(tmp_path)
