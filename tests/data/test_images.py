"""One image file: by which rules it becomes grey or RGB."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.data.images import decode_bytes


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
