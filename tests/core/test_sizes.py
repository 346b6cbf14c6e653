"""Squares and rectangles: how a size is given, what a model and its nulls then see."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from audit import checks
from audit.core.errors import AuditError
from audit.core.sizes import WHOLE, flag, frame_of, parsed, shown
from audit.data.load import load_dataset
from audit.evidence.context import JobContext
from audit.evidence.decide import set_up_nulls, training
from audit.evidence.setup import NullInput
from audit.inputs.settings import Settings, load_settings
from audit.model.checkpoint import load_subject
from tests.samples.audits import KWARGS, refused, sets, tiny_flags


@pytest.mark.parametrize("given", ["256x128", [256, 128], (256, 128)])
def test_a_rectangle_is_height_by_width_however_it_is_given(given):
    size = parsed(given)
    assert (size, flag(size), shown(size)) == ((256, 128), "256x128", "256 x 128")


@pytest.mark.parametrize("given", ["32", 32, "32x32", [32], [32, 32]])
def test_a_square_has_one_spelling(given):
    assert (parsed(given), flag(parsed(given))) == (32, "32")


def test_nulls_see_the_part_that_the_model_sees():
    assert frame_of(224, "center") == "1:1"
    assert frame_of((256, 128), "center") == "2:1"
    assert frame_of((256, 128), "squash") == frame_of(224, "squash") == WHOLE


def test_a_strip_is_no_input(tmp_path):
    with pytest.raises(AuditError, match=r"MODEL_ARGS.*16 times"):
        load_subject(rectangular(tmp_path / "m.pt", (4096, 32)))


def test_timm_takes_the_recorded_input_before_the_side_of_a_square(tmp_path):
    path = rectangular(tmp_path / "m.pt", img_size=24)
    assert load_subject(path).spec.img_size == (24, 16)


def test_patches_seen_are_told_along_the_shorter_side():
    from audit.checks.accuracy_gap.check import view
    from audit.evidence.ladder import make_null

    setup = SimpleNamespace(subject_sides=(512, 1024), input=NullInput(size=(256, 512)))
    found = view(setup, make_null("bagnet", 17, 2, claim=True))
    assert (found["q_subject"], found["q_share"]) == (68, 34 / 256)
    assert (found["side"], found["subject_side"]) == (256, 1024)


@pytest.mark.parametrize("size", [(64, 4), (4, 64)])
def test_a_side_below_every_receptive_field_is_refused(tall, size):
    with pytest.raises(AuditError, match="DATA_IMAGES_TOO_SMALL"):
        training(load_dataset(tall), NullInput(size=size))


def test_the_side_of_an_input_that_only_patches_tell_is_said_to_be_a_guess(tmp_path):
    import timm

    from audit.model.inspection import inspect_model

    for size, guessed in (((64, 16), True), ((224, 224), False)):
        net = timm.create_model("vit_tiny_patch16_224", img_size=size, num_classes=3)
        torch.save(net.state_dict(), tmp_path / "vit.pt")
        found = inspect_model(tmp_path / "vit.pt", model="vit_tiny_patch16_224")
        assert any("--img-size HEIGHTxWIDTH" in said for said in found.cannot) == guessed
        assert not found.reason


def test_settings_take_sizes(tmp_path, data, model, command, capsys):
    (tmp_path / "audit.yaml").write_text("img_size: [24, 16]\n")
    assert load_settings(tmp_path / "audit.yaml", {}, checks.vocabulary()).img_size == (24, 16)
    assert load_settings(None, {"img_size": "24x16"}).img_size == (24, 16)
    for wrong in ("-3", "[1, 2, 3]", "wide", "0", "32x5000", "400x20"):
        (tmp_path / "wrong.yaml").write_text(f"img_size: {wrong}\n")
        words = [model, "--data", data, "--config", tmp_path / "wrong.yaml"]
        assert "such as 224 or 256x128" in refused(command, capsys, "CONFIG_INVALID", *words)
    for wrong in ("axb", "32x900000"):
        assert command(model, "--data", data, "--img-size", wrong) == 2
        assert "no size such as 224 or 256x128" in capsys.readouterr().err


def test_variables_and_the_command_that_repeats_an_audit(monkeypatch, tall, tmp_path, command):
    from audit.inputs.call import Call
    from audit.inputs.repeat import repeat_words

    settings = Settings(img_size=(256, 128), crop_mode="squash")
    words = " ".join(repeat_words(settings, Call()))
    assert words == "--img-size 256x128 --crop-mode squash"
    monkeypatch.setenv("AUDIT_IMG_SIZE", "24x16")
    monkeypatch.setenv("AUDIT_CROP_MODE", "squash")
    assert command("plan", "--data", tall, "--cache", tmp_path / "c", "--quick") == 0
    monkeypatch.setenv("AUDIT_CROP_MODE", "border")
    assert command("plan", "--data", tall) == 2


@pytest.fixture
def tall(tmp_path):
    """An image folder of 24 x 16 pixels (height first) whose lower half tells the class."""
    rng = np.random.default_rng(0)
    for split, label in [(s, k) for s in ("train", "val") for k in (0, 1)]:
        folder = tmp_path / "tall" / split / "ab"[label]
        folder.mkdir(parents=True)
        for i in range(60):
            image = rng.normal(90, 30, (24, 16))
            image[20:] += 80 * label  # outside the central square
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "tall"


def seen_by_nulls(data, size, crop_mode="center"):
    from audit.evidence.profile import profile

    dataset = load_dataset(data)
    given = NullInput(size=size, crop_mode=crop_mode)
    setup = set_up_nulls(training(dataset, given), profile("quick"), 0, dataset)
    return JobContext(dataset, None, setup).pixels("eval")


def test_nulls_see_what_lies_outside_the_central_square_where_the_model_does(tall):
    assert seen_by_nulls(tall, (24, 16)).shape == (120, 1, 24, 16)
    for pixels in (seen_by_nulls(tall, (24, 16)), seen_by_nulls(tall, 16, "squash")):
        low = pixels[:, 0, -2:].mean((1, 2))
        assert low[60:].mean() - low[:60].mean() > 60
    square = seen_by_nulls(tall, 16)[:, 0, -2:].mean((1, 2))
    assert abs(square[60:].mean() - square[:60].mean()) < 20


def rectangular(path, size=(24, 16), **more):
    import timm

    torch.manual_seed(0)
    net = timm.create_model("resnet10t", in_chans=1, num_classes=2, **KWARGS)
    args = argparse.Namespace(model="resnet10t", model_kwargs=KWARGS, num_classes=2, in_chans=1,
                              input_size=[1, *size], mean=[0.4], std=[0.2], crop_pct=1.0,
                              pretrained=False, **more)  # fmt: skip
    torch.save({"arch": "resnet10t", "state_dict": net.state_dict(), "args": args}, path)
    return path


def test_a_checkpoint_of_rectangles_is_audited(tall, tmp_path, cache, command, capsys):
    from audit.runs.report import load_report

    path = rectangular(tmp_path / "m.pt")
    assert load_subject(path).spec.input_shape == (1, 24, 16)
    assert command("inspect", path) == 0
    assert "24 x 16 pixels, 1 channels" in capsys.readouterr().out
    assert command(path, *tiny_flags(tall, cache, tmp_path / "out"), "--threads", "1") in (1, 3)
    document = load_report(tmp_path / "out").document
    assert "3 high to 2 wide" in document.data["nulls see"]
    assert document.subject["input"].startswith("1 x 24 x 16")
    with Image.open(next((tmp_path / "out" / "evidence").iterdir())) as picture:
        assert picture.size in {(2 * 85 + 4, 128), (3 * 85 + 8, 128)}  # 24 to 16, as 128 to 85


def test_nulls_are_fitted_for_rectangles(tall, tmp_path, cache, command, capsys):
    words = ["--data", tall, "--cache", cache, "--quick", "-q", "--threads", "1"]
    words += sets({"images_seen": 1000, "gating": 1})
    out = tmp_path / "nulls"
    assert command("nulls", "fit", *words, "--img-size", "24x16", "-o", out) == 0
    path = rectangular(tmp_path / "m.pt")
    flags = ["--eval-data", tall / "val", "--nulls", out, "--cache", cache, "-q", "--threads", "1"]
    assert command(path, *flags, "--out", tmp_path / "run") in (1, 3)
    square = [*flags, "--img-size", "24", "--out", tmp_path / "no"]
    said = refused(command, capsys, "NULLS_OTHER_FRAME", path, *square)
    assert "--img-size 24" in said
