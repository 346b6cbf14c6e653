"""Data in: what is read, how it is turned into pixels, and what is refused with which reason."""

import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.data import Dataset, decode, load_dataset, resize, timm_class_order
from audit.data.images import decode_bytes
from audit.record import AuditError

RNG = np.random.default_rng(0)


def noise(*shape: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of 26 colour PNGs of 8 x 8 pixels in train/ and in val/."""
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for i in range(26):
                noise(8, 8, 3).save(tmp_path / "data" / split / name / f"{i}.png")
    return tmp_path / "data"


def refusal(data: Path | None, **settings: object) -> tuple[str, str]:
    with pytest.raises(AuditError) as caught:
        load_dataset(data, **settings)
    return caught.value.reason, str(caught.value)


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


def test_labels_follow_sorted_or_given_names(folder: Path):
    for split in ("train", "val"):
        (folder / split / "dog").rename(folder / split / "Zebra")
    assert load_dataset(folder).classes == ("Zebra", "cat")
    assert load_dataset(folder, classes=("cat", "Zebra")).classes == ("cat", "Zebra")


def test_timm_numbers_folders_in_another_order():
    from timm.utils.misc import natural_key

    names = ("Zebra", "ant", "class10", "class9", "b2b", "B10")
    assert timm_class_order(names) == tuple(sorted(names, key=natural_key))
    assert timm_class_order(names) != tuple(sorted(names))


def test_missing_class_is_refused_not_renumbered(folder: Path):
    shutil.rmtree(folder / "val" / "cat")
    reason, message = refusal(folder)
    assert reason == "DATA_CLASS_MISMATCH"
    assert "'cat'" in message


def test_unknown_class_in_one_split(folder: Path):
    shutil.copytree(folder / "val" / "cat", folder / "val" / "cow")
    assert refusal(folder)[0] == "DATA_CLASS_MISMATCH"
    assert refusal(folder, classes=("cat", "dog", "cow"))[0] == "DATA_CLASS_MISMATCH"


@pytest.mark.parametrize("twin", ["CAT", "ｃat"])
def test_names_that_look_alike(folder: Path, twin: str):
    for split in ("train", "val"):
        shutil.copytree(folder / split / "cat", folder / split / twin)
    assert refusal(folder)[0] == "DATA_CLASS_MISMATCH"


def test_empty_class(folder: Path):
    for split in ("train", "val"):
        (folder / split / "eel").mkdir()
    assert refusal(folder)[0] == "DATA_EMPTY_CLASS"


def test_one_class(folder: Path):
    for split in ("train", "val"):
        shutil.rmtree(folder / split / "dog")
    assert refusal(folder)[0] == "DATA_ONE_CLASS"


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


def test_link_that_leaves(folder: Path, tmp_path: Path):
    noise(8, 8, 3).save(tmp_path / "secret.png")
    (folder / "val" / "cat" / "x.png").symlink_to(tmp_path / "secret.png")
    assert refusal(folder)[0] == "DATA_LINK_OUTSIDE"


def test_split_that_is_a_link_elsewhere(folder: Path, tmp_path: Path):
    (folder / "val").rename(tmp_path / "elsewhere")
    (folder / "val").symlink_to(tmp_path / "elsewhere")
    assert refusal(folder)[0] == "DATA_LINK_OUTSIDE"
    assert len(load_dataset(None, evaluation=folder / "val").eval) == 52


@pytest.mark.parametrize("target", ["..", "loop"])
def test_link_that_loops(folder: Path, target: str):
    (folder / "val" / "cat" / "loop").symlink_to(target)
    assert refusal(folder)[0] == "DATA_LINK_OUTSIDE"


def test_link_inside_is_followed(folder: Path):
    (folder / "val" / "cat" / "x.png").symlink_to(folder / "train" / "cat" / "0.png")
    assert len(load_dataset(folder).eval) == 53


def damage(raw: bytes) -> dict[str, bytes]:
    flipped = raw[:60] + bytes([raw[60] ^ 1]) + raw[61:]
    pointer = b"version https://git-lfs.github.com/spec/v1\n"
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"
    return {"cut": raw[:-30], "bit": flipped, "lfs": pointer, "eps": postscript, "empty": b""}


@pytest.mark.parametrize("kind", ["cut", "bit", "lfs", "eps", "empty"])
def test_unreadable_image(folder: Path, kind: str):
    bad = folder / "val" / "cat" / "0.png"
    bad.write_bytes(damage(bad.read_bytes())[kind])
    reason, message = refusal(folder)
    assert reason == "DATA_UNREADABLE"
    assert "cat/0.png" in message
    assert load_dataset(folder, max_bad_images=1).skipped == ("eval/cat/0.png",)


def test_pipe_and_dangling_link_do_not_block(folder: Path):
    os.mkfifo(folder / "val" / "cat" / "pipe.png")
    (folder / "val" / "dog" / "gone.png").symlink_to("nowhere.png")
    reason, message = refusal(folder, max_bad_images=1)
    assert reason == "DATA_UNREADABLE"
    assert "pipe.png" in message
    assert "gone.png" in message
    assert len(load_dataset(folder, max_bad_images=2).eval) == 52


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = png_chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + data + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(50_000, 50_000), (9_500, 9_500), (8_001, 8_001), (2, 60_000)])
def test_too_large_is_refused_before_decoding(folder: Path, size: tuple[int, int]):
    (folder / "val" / "cat" / "big.png").write_bytes(png_header(*size))
    assert refusal(folder, max_bad_images=9)[0] == "DATA_IMAGE_TOO_LARGE"


def test_comment_that_unpacks_to_megabytes(folder: Path):
    path = folder / "val" / "cat" / "0.png"
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000)))
    path.write_bytes(path.read_bytes()[:33] + bomb + path.read_bytes()[33:])
    assert refusal(folder)[0] == "DATA_IMAGE_TOO_LARGE"


def test_extremely_long_image(folder: Path):
    noise(1, 300, 3).save(folder / "val" / "cat" / "long.png")
    assert refusal(folder)[0] == "DATA_IMAGE_TOO_LARGE"


def test_junk_is_skipped_and_named(folder: Path):
    (folder / "__MACOSX").mkdir()
    (folder / "val" / ".ipynb_checkpoints").mkdir()
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "notes.txt", "._0.png"):
        (folder / "val" / "cat" / name).write_bytes(b"junk")
    data = load_dataset(folder)
    assert len(data.skipped) == 6
    assert "eval/cat/notes.txt" in data.skipped
    assert len(data.eval) == 52


def test_content_decides_not_the_ending(folder: Path):
    noise(8, 8, 3).save(folder / "val" / "cat" / "a.txt", "JPEG")
    noise(8, 8, 3).save(folder / "val" / "cat" / "B.JPG", "WEBP")
    assert len(load_dataset(folder).eval) == 54


def test_name_that_is_not_utf8(folder: Path):
    strange = os.fsdecode(b"\xff.png")
    (folder / "val" / "cat" / "0.png").rename(folder / "val" / "cat" / strange)
    data = load_dataset(folder)
    assert "cat/\\xff.png" in data.eval.paths
    assert decode(data.eval, 8, 3).shape == (52, 3, 8, 8)


def saved(image: Image.Image, tmp_path: Path, ending: str, **options: object) -> np.ndarray:
    image.save(tmp_path / f"a.{ending}", **options)
    return np.asarray(decode_bytes((tmp_path / f"a.{ending}").read_bytes()))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path):
    deep = Image.fromarray(np.array([[0, 128, 257, 25_700, 65_535]], dtype=np.uint16))
    assert saved(deep, tmp_path, "png").tolist() == [[0, 0, 1, 100, 255]]
    assert saved(deep, tmp_path, "tif").tolist() == [[0, 0, 1, 100, 255]]


def test_transparent_parts_are_white(tmp_path: Path):
    clear = Image.fromarray(np.array([[[255, 0, 0, 255], [255, 0, 0, 0]]], dtype=np.uint8))
    grey = Image.fromarray(np.array([[[9, 255], [9, 0]]], dtype=np.uint8))
    assert saved(clear, tmp_path, "png").tolist() == [[[255, 0, 0], [255, 255, 255]]]
    assert saved(grey, tmp_path, "png").tolist() == [[9, 255]]


def test_palette_with_a_transparent_entry(tmp_path: Path):
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "L").convert("P")
    image.putpalette([0, 0, 255, 0, 255, 0])
    assert saved(image, tmp_path, "png").tolist() == [[[0, 0, 255], [0, 255, 0]]]
    assert saved(image, tmp_path, "png", transparency=1).tolist() == [[[0, 0, 255], [255] * 3]]


def test_cmyk_and_one_bit(tmp_path: Path):
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(saved(red, tmp_path, "jpg").astype(int) - [255, 0, 0]).max() < 5
    assert saved(Image.new("1", (2, 1), 1), tmp_path, "png").tolist() == [[255, 255]]


def test_exif_rotation_is_applied(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    image = Image.fromarray(np.array([[10, 20, 30]], dtype=np.uint8))
    assert saved(image, tmp_path, "png", exif=exif).tolist() == [[10], [20], [30]]
    assert saved(image, tmp_path, "png").tolist() == [[10, 20, 30]]


def test_first_frame_of_a_gif(tmp_path: Path):
    frames = [Image.new("L", (4, 4), v) for v in (50, 200)]
    pixels = saved(frames[0], tmp_path, "gif", save_all=True, append_images=frames[1:])
    assert pixels.shape[:2] == (4, 4)
    assert (pixels == 50).all()


def test_float_pixels_without_a_range(tmp_path: Path):
    with pytest.raises(Exception, match="no stated range"):
        saved(Image.new("F", (4, 4), 0.5), tmp_path, "tif")


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


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos", "nearest"])
@pytest.mark.parametrize(("side", "crop_pct"), [(32, 1.0), (32, 0.875), (33, 0.9), (61, 0.95)])
def test_geometry_is_timms(shapes: Dataset, side: int, crop_pct: float, interpolation: str):
    from timm.data import create_transform

    theirs = create_transform(
        side, crop_pct=crop_pct, interpolation=interpolation, is_training=False, normalize=False
    )
    ours = decode(shapes.eval, side, 3, crop_pct=crop_pct, interpolation=interpolation)
    for i in range(len(shapes.eval)):
        image = shapes.eval.open_image(i).convert("RGB")
        assert (ours[i] == np.asarray(theirs(image))).all()


def test_grey_and_colour(shapes: Dataset):
    grey, colour = decode(shapes.eval, 16, 1), decode(shapes.eval, 16, 3)
    assert grey.shape == (52, 1, 16, 16)
    assert colour.shape == (52, 3, 16, 16)
    done: list[int] = []
    decode(shapes.eval, 16, 1, progress=done.append)
    assert sum(done) == 52


@pytest.mark.parametrize("bad", [{"crop_pct": 1.5}, {"interpolation": "random"}])
def test_preprocessing_that_is_not_supported(shapes: Dataset, bad: dict[str, object]):
    with pytest.raises(AuditError, match="MODEL_PREPROCESSING"):
        decode(shapes.eval, 16, 3, **bad)


def test_resize_is_pillows():
    images = RNG.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    bigger = resize(images, 33)
    one = Image.fromarray(images[4].transpose(1, 2, 0)).resize((33, 33), Image.Resampling.BICUBIC)
    assert (bigger[4].transpose(1, 2, 0) == np.asarray(one)).all()
    assert resize(images, 32) is images
