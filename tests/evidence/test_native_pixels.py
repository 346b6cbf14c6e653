"""Nulls see the model's own pixels: at every size up to 512, in memory or from a file."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from audit.baselines.images import Images
from audit.baselines.patch_net import PatchNet
from audit.baselines.train import Recipe, train
from audit.core.errors import AuditError
from audit.data.load import load_dataset
from audit.evidence import context as contexts
from audit.evidence.context import JobContext
from audit.evidence.decide import seen_size, set_up_nulls, training
from audit.evidence.ladder import closed_places, gating_qs, ladder, learned_places
from audit.evidence.profile import PROFILES
from audit.evidence.ridge_plan import plan_of
from audit.evidence.setup import NullInput
from audit.evidence.shared_jobs import budget


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    for split, n in (("train", 25), ("val", 25)):
        for label in "ab":
            place = root / split / label
            place.mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 256, (150, 170, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return root


def context_of(folder, profile="quick", **given):
    dataset = load_dataset(folder)
    known = training(dataset, NullInput(**given))
    return JobContext(dataset, None, set_up_nulls(known, PROFILES[profile], 0, dataset))


def test_nulls_see_what_timm_gives_the_model(folder):
    from timm.data import create_transform

    given = {"size": 128, "crop_pct": 0.875, "interpolation": "bilinear"}
    context = context_of(folder, **given)
    transform = create_transform(128, crop_pct=0.875, interpolation="bilinear", normalize=False)
    for i, path in enumerate(context.dataset.eval.paths):
        with Image.open(
            folder / "val" / path if not (folder / path).exists() else folder / path
        ) as image:
            assert np.array_equal(context.pixels("eval")[i], np.asarray(transform(image)))


def test_a_pixel_of_a_reduced_image_is_the_mean_of_those_it_stands_for(folder):
    context = context_of(folder, size=(70, 66))
    whole, half = (torch.from_numpy(context.pixels("eval", s)).float() for s in (1, 4))
    assert half.shape[2:] == (18, 17)
    torch.testing.assert_close(
        half[..., :17, :16], F.avg_pool2d(whole, 4)[..., :17, :16], atol=0.51, rtol=0
    )
    torch.testing.assert_close(
        half[..., 17, 0], whole[..., 68:, :4].mean((2, 3)), atol=0.51, rtol=0
    )


def test_many_pixels_are_mapped_from_a_file_and_are_the_same(folder, monkeypatch):
    plain = context_of(folder, size=96).pixels("train")
    monkeypatch.setattr(contexts, "MAPPED", 1000)
    mapped = context_of(folder, size=96).pixels("train")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(plain, mapped)


def test_a_disk_without_room_is_said(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(contexts, "MAPPED", 0)
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(AuditError, match=r"DISK_FULL.*TMPDIR"):
        contexts.space(10, 3, (8, 8))


@pytest.mark.parametrize(("size", "seen"), [(512, 512), (1024, 512), ((300, 600), (256, 512))])
def test_only_what_is_above_512_pixels_is_reduced(size, seen):
    assert seen_size(size) == seen


def names(side, profile="default"):
    return [n.name for n in ladder(side, PROFILES[profile])]


def test_up_to_96_pixels_the_largest_gating_q_are_trained_on_whole_images():
    assert {"bagnet-9", "bagnet-17", "coordconv-17", "patches-9-half"} <= set(names(96))
    assert not any(n.startswith("bagnet") and n.endswith("half") for n in names(96))


def test_above_96_pixels_every_scale_has_a_trained_pair():
    found = names(224)
    assert {f"{kind}-17{scale}" for kind in ("bagnet", "coordconv")
            for scale in ("", "-half", "-quarter")} <= set(found)  # fmt: skip
    assert {"patches-33", "cells-33", "patches-17-quarter", "statistics"} <= set(found)
    assert learned_places(224, PROFILES["quick"]) == ((1, 17), (4, 17))


@pytest.mark.parametrize("side", [15, 28, 64, 65, 97, 144, 224, 512])
@pytest.mark.parametrize("profile", PROFILES)
def test_no_null_that_counts_sees_more_than_a_third_of_the_side(side, profile):
    found = [n for n in ladder(side, PROFILES[profile]) if n.claim and n.q]
    assert found
    assert all(3 * n.extent <= side and n.q <= 33 for n in found)
    assert {"bagnet", "coordconv"} <= {n.kind for n in found if n.scale == 1}


def test_reduced_scales_repeat_no_patch_that_a_larger_scale_has():
    places = closed_places(224, PROFILES["default"])
    extents = [scale * q for scale, q in places]
    assert places == ((1, 9), (1, 17), (1, 33), (2, 17), (2, 33), (4, 17))
    assert extents == sorted(extents)
    assert gating_qs(224, 4) == (9, 17)


def test_a_budget_counts_pixels_beyond_64_a_side():
    def seen(size):
        known = training_like(size)
        return {n.name: budget(known, n) for n in known.nulls if n.trained}

    assert seen(32)["bagnet-9"] == seen(64)["bagnet-17"] == 40_000
    assert seen(96)["bagnet-17"] == round(40_000 * 64**2 / 96**2)
    assert seen(224)["bagnet-17"] == round(40_000 * 64**2 / 65**2)


def training_like(size, profile="quick"):
    from audit.evidence.decide import Training

    known = Training(classes=("a", "b"), train_digest="t", n_train=9, channels=3,
                     input=NullInput(size=size))  # fmt: skip
    return set_up_nulls(known, PROFILES[profile], 0, None)


@pytest.mark.parametrize("size", [32, 144, (128, 224), 512])
def test_closed_forms_look_at_about_as_many_patches_whatever_the_size(size):
    setup = training_like(size)
    for null in (n for n in setup.nulls if n.kind == "patches" and n.scale == 1):
        plan = plan_of(setup, null)
        assert plan.patches < 12_000
        assert plan.stride < null.q  # neighbours overlap


class Recorded(Images):
    """Images that note the windows which were asked for."""

    def batch(self, index, augment, generator, window=None):
        self.__dict__.setdefault("windows", []).append(window)
        return super().batch(index, augment, generator, window)


@pytest.mark.parametrize(("kind", "wraps"), [("bagnet", False), ("coordconv", True)])
def test_a_network_learns_from_windows_and_is_asked_about_whole_images(kind, wraps):
    pixels = torch.randint(0, 256, (40, 1, 40, 48), dtype=torch.uint8)
    data = Recorded(pixels, torch.arange(40) % 2, torch.tensor([0.5]), torch.tensor([0.3]))
    net = PatchNet(kind, q=5, num_classes=2, in_chans=1, width=16, blocks=1)
    recipe = Recipe(images_seen=400, rate=0.01, batch=20, window=21, wraps=wraps)
    train(net, data, recipe, seed=0)
    seen = data.__dict__["windows"]
    assert len(seen) == 20
    assert {w.size for w in seen} == {21}
    assert any(not w.inside for w in seen) == wraps
    assert net(data.normalised(torch.arange(3))).shape == (3, 2)


def test_a_window_over_the_border_goes_on_at_the_other_side():
    from audit.baselines.coordinates import Window

    image = torch.arange(12).view(3, 4)
    assert Window(2, 3, 2, 3, 4).cut(image).tolist() == [[11, 8], [3, 0]]


def test_the_sighted_twin_of_large_images_is_found_by_its_name():
    from audit.checks.accuracy_gap.report import name_in
    from audit.record import Measurement

    (twin,) = [n for n in ladder(224, PROFILES["quick"]) if n.kind == "sighted"]
    about = {"check": "accuracy_gap", "quantity": "twin_minus_null", "value": 0.1, "unit": "points"}
    detail = {"q": float(twin.q), "scale": float(twin.scale)}
    assert name_in(Measurement(**about, detail=detail)) == twin.name == "sighted-17-quarter"
    assert name_in(Measurement(**about, detail={"q": 9.0})) == "sighted-9"  # of earlier reports


def test_of_a_strip_no_window_is_cut():
    setup = training_like((32, 512))
    trained = [n for n in setup.nulls if n.trained]
    assert trained
    assert not any(setup.learns_from_windows(n) for n in trained)
    assert budget(setup, trained[0]) == 40_000 * 64**2 // (32 * 512)


def test_images_that_nulls_have_decoded_are_not_decoded_for_the_model_again(folder, monkeypatch):
    from types import SimpleNamespace

    seen = {"crop_pct": 1.0, "interpolation": "bicubic", "crop_mode": "center"}
    context = context_of(folder, size=64)
    view = SimpleNamespace(img_size=64, in_chans=3, mean=(0.5,) * 3, std=(0.2,) * 3, **seen)
    context.model = SimpleNamespace(preprocessing=view)
    before = context.subject_images("eval").pixels
    context.pixels("eval")
    monkeypatch.setattr(contexts, "decode", None)
    assert torch.equal(context.subject_images("eval").pixels, before)
    assert torch.equal(context.subject_images("eval", np.array([3])).pixels, before[3:4])
    view.crop_pct = 0.9
    with pytest.raises(TypeError):  # other pixels: they would have to be decoded
        context.subject_images("eval")


def test_a_plan_says_how_much_temporary_disk_is_taken():
    known = training_like(224).model_copy(update={"n_train": 50_000})
    whole, half, quarter = (50_000 * 3 * side**2 for side in (224, 112, 56))
    assert known.disk == whole + half
    assert quarter < 2**30
