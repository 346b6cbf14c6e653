"""Image folders: which files belong to which class, in which order, and what names them."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from audit.core.errors import AuditError
from audit.data import decode
from audit.data.class_order import timm_order
from audit.data.load import load_dataset
from tests.samples.images import cats_and_dogs, noise, refusal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cats_and_dogs(tmp_path / "data")


def test_image_folder(folder: Path):
    data = load_dataset(folder)
    assert data.classes == ("cat", "dog")
    assert data.train is not None
    assert (len(data.train), len(data.eval)) == (52, 52)
    assert [p[:3] for p in data.eval.paths] == [data.classes[y] for y in data.eval.labels]
    assert (data.grey, data.skipped, data.source) == (False, (), "image folder")


@pytest.mark.parametrize("name", ["validation", "test"])
def test_other_names_of_the_evaluation_split(folder: Path, name: str):
    (folder / "val").rename(folder / name)
    assert len(load_dataset(folder).eval) == 52


def test_data_one_folder_deeper_and_classes_with_subfolders(folder: Path):
    (folder / "val" / "cat" / "more").mkdir()
    (folder / "val" / "cat" / "0.png").rename(folder / "val" / "cat" / "more" / "0.png")
    assert load_dataset(folder.parent).digest == load_dataset(folder).digest
    assert "cat/more/0.png" in load_dataset(folder).eval.paths


def test_evaluation_images_alone(folder: Path):
    assert load_dataset(None, evaluation=folder / "val").train is None
    both = load_dataset(None, train=folder / "train", evaluation=folder / "val")
    assert both.digest == load_dataset(folder).digest


def test_labels_follow_sorted_names(folder: Path):
    for split in ("train", "val"):
        (folder / split / "dog").rename(folder / split / "Zebra")
    assert load_dataset(folder).classes == ("Zebra", "cat")
    for split in ("train", "val"):
        for name, number in (("Zebra", "10"), ("cat", "9")):
            (folder / split / name).rename(folder / split / number)
    assert load_dataset(folder).classes == ("9", "10")


def test_timm_numbers_folders_in_another_order():
    from timm.utils.misc import natural_key

    names = ("Zebra", "ant", "class10", "class9", "b2b", "B10")
    assert timm_order(names) == tuple(sorted(names, key=natural_key))
    assert timm_order(names) != tuple(sorted(names))
    assert timm_order(("1²", "10", "9")) == ("1²", "9", "10")  # no decimal digit


def test_unknown_class_in_one_split(folder: Path):
    shutil.copytree(folder / "val" / "cat", folder / "val" / "cow")
    assert refusal(folder)[0] == "DATA_CLASS_MISMATCH"


@pytest.mark.parametrize(("split", "keep"), [("val", 24), ("train", 4)])
def test_too_few_images(folder: Path, split: str, keep: int):
    for i in range(keep, 26):
        (folder / split / "cat" / f"{i}.png").unlink()
        if split == "val":
            (folder / split / "dog" / f"{i}.png").unlink()
    assert refusal(folder)[0] == "DATA_TOO_SMALL"


def test_nothing_there(folder: Path, tmp_path: Path):
    shutil.rmtree(folder / "val")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loose").mkdir()
    noise(8, 8).save(tmp_path / "loose" / "a.png")
    assert refusal(folder)[0] == "DATA_NOT_FOUND"
    assert refusal(tmp_path / "absent")[0] == "DATA_NOT_FOUND"
    assert refusal(None)[0] == "DATA_NOT_FOUND"
    assert refusal(None, evaluation=tmp_path / "empty")[0] == "DATA_NO_IMAGES"
    assert refusal(None, evaluation=tmp_path / "loose")[0] == "DATA_NO_IMAGES"


def test_split_that_is_a_link_elsewhere(folder: Path, tmp_path: Path):
    (folder / "val").rename(tmp_path / "elsewhere")
    (folder / "val").symlink_to(tmp_path / "elsewhere")
    assert refusal(folder)[0] == "DATA_LINK_OUTSIDE"
    assert len(load_dataset(None, evaluation=folder / "val").eval) == 52


def test_name_that_is_not_utf8(folder: Path):
    strange = os.fsdecode(b"\xff.png")
    (folder / "val" / "cat" / "0.png").rename(folder / "val" / "cat" / strange)
    data = load_dataset(folder)
    assert "cat/\\xff.png" in data.eval.paths
    assert decode(data.eval, 8, 3).shape == (52, 3, 8, 8)


def test_digest_ignores_place_names_and_order(folder: Path, tmp_path: Path):
    before = load_dataset(folder)
    pixels = decode(before.eval, 8, 3)
    for i in range(26):  # the files' names in reverse, somewhere else
        (folder / "val" / "cat" / f"{i}.png").rename(folder / "val" / "cat" / f"z{99 - i}.png")
    after = load_dataset(folder.rename(tmp_path / "moved"))
    assert after.digest == before.digest
    assert (decode(after.eval, 8, 3) == pixels).all()


@pytest.mark.parametrize("change", ["pixel", "label", "class"])
def test_digest_sees_content(folder: Path, change: str):
    before = load_dataset(folder).digest
    first = folder / "val" / "cat" / "0.png"
    if change == "pixel":
        image = Image.open(first)
        image.putpixel((3, 3), (1, 2, 3))
        image.save(first)
    elif change == "label":
        first.rename(folder / "val" / "dog" / "new.png")
    else:
        for split in ("train", "val"):
            (folder / split / "dog").rename(folder / split / "hog")
    assert load_dataset(folder).digest != before


def test_file_that_changes_after_loading(folder: Path):
    data = load_dataset(folder)
    noise(8, 8, 3).save(folder / "val" / "cat" / "0.png")
    with pytest.raises(AuditError, match="DATA_CHANGED"):
        decode(data.eval, 8, 3)
