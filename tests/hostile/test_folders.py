"""Every hostile or broken image folder: exit code 2, the right reason in one sentence."""

import os

import pytest
from PIL import Image

from audit.core.errors import AuditError
from audit.data import decode
from audit.data.images import decode_bytes, quiet_pillow
from audit.data.load import load_dataset
from audit.inputs.classes import output_classes
from tests.hostile.test_checkpoints import assert_refused
from tests.samples.hostile_folders import CASES
from tests.samples.images import cats_and_dogs, noise, refusal


@pytest.mark.parametrize("name", CASES)
def test_hostile_folder_is_refused(name, tmp_path, model, command, capsys):
    case = CASES[name]
    data = case.build(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()

    code = command(model, "--data", data, "--threads", 1, "-q", "--no-cache")

    assert_refused(code, capsys.readouterr().err, case.reasons)
    assert sorted(tmp_path.rglob("*")) == before


def test_more_classes_than_outputs(tmp_path, model, command, capsys):
    data = cats_and_dogs(tmp_path / "data", ("a", "b", "c", "d"))

    code = command(model, "--data", data, "--threads", 1, "-q", "--no-cache")

    assert_refused(code, capsys.readouterr().err, ("MODEL_CLASS_MISMATCH", "DATA_CLASS_MISMATCH"))


@pytest.mark.parametrize("name", ["cut short", "empty", "text", "EPS", "SVG", "pipe", "device"])
def test_unreadable_images_may_be_allowed_and_are_named(name, tmp_path):
    data = load_dataset(CASES[name].build(tmp_path), max_bad_images=1)

    assert data.unreadable == 1
    assert data.skipped[0].startswith("eval/cat/")


@pytest.mark.parametrize("name", ["13,000 x 13,000", "2 x 60,000", "comment of 20 MB"])
def test_images_that_are_too_large_are_never_allowed(name, tmp_path):
    assert refusal(CASES[name].build(tmp_path), max_bad_images=9)[0] == "DATA_IMAGE_TOO_LARGE"


def test_pipe_and_dangling_link_do_not_block(tmp_path):
    data = cats_and_dogs(tmp_path / "data")
    os.mkfifo(data / "val" / "cat" / "pipe.png")
    (data / "val" / "dog" / "gone.png").symlink_to("nowhere.png")

    message = refusal(data, max_bad_images=1)[1]

    assert "pipe.png" in message
    assert "gone.png" in message
    assert len(load_dataset(data, max_bad_images=2).eval) == 52


def test_link_inside_is_followed_and_split_given_itself_may_be_anywhere(tmp_path):
    data = cats_and_dogs(tmp_path / "data")
    (data / "val" / "cat" / "x.png").symlink_to(data / "train" / "cat" / "0.png")

    assert len(load_dataset(data).eval) == 53
    assert len(load_dataset(None, evaluation=(data / "train")).eval) == 52


def test_junk_is_skipped_and_named(tmp_path):
    data = cats_and_dogs(tmp_path / "data")
    (data / "__MACOSX").mkdir()
    (data / "val" / ".ipynb_checkpoints").mkdir()
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "notes.txt", "._0.png"):
        (data / "val" / "cat" / name).write_bytes(b"junk")

    found = load_dataset(data)

    assert len(found.skipped) == 6
    assert "eval/cat/notes.txt" in found.skipped
    assert len(found.eval) == 52


def test_a_hidden_folder_of_images_is_no_class_and_is_named(tmp_path, model, command, capsys):
    data = cats_and_dogs(tmp_path / "data", (".cat", "dog", "eel"))

    assert load_dataset(data).classes == ("dog", "eel")
    assert load_dataset(data).skipped == ("train/.cat", "eval/.cat")
    with pytest.raises(AuditError, match=r"no classes: '.cat'\)"):
        output_classes((".cat", "dog", "eel"), None, load_dataset(data))
    assert command(model, "--data", data, "--threads", 1, "-q", "--no-cache") == 2
    told = capsys.readouterr().err
    assert "MODEL_CLASS_MISMATCH" in told
    assert "but are no classes: '.cat')" in told


def test_a_hidden_folder_without_images_is_not_worth_a_word(tmp_path):
    data = cats_and_dogs(tmp_path / "data", (".git", "dog"))
    for file in (data / "train" / ".git").iterdir():
        file.write_bytes(b"x")
    (data / "val" / ".git").rename(tmp_path / "gone")

    assert "hidden" not in refusal(data)[1]


def test_content_decides_not_the_ending(tmp_path):
    data = cats_and_dogs(tmp_path / "data")
    noise(8, 8, 3).save(data / "val" / "cat" / "a.txt", "JPEG")
    noise(8, 8, 3).save(data / "val" / "cat" / "B.JPG", "WEBP")

    assert len(load_dataset(data).eval) == 54


def test_names_that_are_not_text_are_shown_and_read(tmp_path):
    data = cats_and_dogs(tmp_path / "data")
    for split in ("train", "val"):
        (data / split / "dog").rename(data / split / os.fsdecode(b"\xff\ndog"))

    found = load_dataset(data)

    assert "\\xff\ndog" in found.classes
    assert decode(found.eval, 8, 3).shape == (52, 3, 8, 8)


# Negative controls: with the protection off, the same files do harm.


def test_pillow_alone_would_open_a_postscript_file():
    from io import BytesIO

    from tests.samples.hostile_folders import EPS

    with Image.open(BytesIO(EPS)) as image:
        assert image.format == "EPS"


def test_pillow_alone_would_only_warn_of_a_bomb(tmp_path):
    from io import BytesIO

    from tests.samples.hostile_folders import declared

    raw = declared(13_000, 13_000)(b"")
    with (
        pytest.warns(Image.DecompressionBombWarning),
        Image.open(BytesIO(raw), formats=["PNG"]) as image,
    ):
        assert image.size == (13_000, 13_000)
    with quiet_pillow(), pytest.raises(Exception, match="megapixels"):
        decode_bytes(raw)
