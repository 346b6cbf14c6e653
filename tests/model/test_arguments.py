"""What a checkpoint says of its network beside the weights: used, checked, or refused."""

import argparse
from pathlib import Path, PosixPath

import numpy as np
import pytest
import timm
import torch

from audit.model import recorded, signatures
from audit.model.checkpoint import load_subject
from audit.model.files.descriptions import OpaqueValue, TensorEntry, plain
from audit.model.guard import limited
from audit.model.inspection import inspect_model
from audit.model.signatures import Candidate
from audit.model.spec import ModelSpec
from audit.model.weights import weights_digest
from tests.samples.checkpoints import ARCH, network, refusal, saved, training_args


@pytest.fixture(scope="module")
def args() -> argparse.Namespace:
    return training_args()


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return network().state_dict()


def test_what_the_training_script_recorded_is_honoured(state, args, tmp_path):
    content = {"arch": ARCH, "state_dict": state, "args": args, "class_names": list("abcde")}

    subject = load_subject(saved(tmp_path / "run 1.pt", content))

    p = subject.preprocessing
    assert (p.img_size, p.in_chans, p.interpolation, p.crop_pct) == (32, 3, "bilinear", 1.0)
    assert (p.mean, p.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    assert (subject.name, subject.container) == ("run 1", "timm training checkpoint")
    assert (subject.pretrained, subject.class_names) == ("no", ("a", "b", "c", "d", "e"))
    assert subject.training_args["lr"] == 0.1


def test_numpy_scalars_and_paths_become_plain_values(state, tmp_path):
    args = argparse.Namespace(model=ARCH, lr=np.float32(0.5), where=PosixPath("/a/b"))
    content = {"state_dict": state, "metric": np.float64(0.93), "args": args}
    path = saved(tmp_path / "m.pt", content)

    assert load_subject(path).training_args == {"model": ARCH, "lr": 0.5, "where": "/a/b"}


def test_size_classes_and_channels_are_read_off_the_weights(tmp_path):
    kwargs = {"patch_size": 4, "depth": 2, "embed_dim": 24, "num_heads": 2}
    vit = timm.create_model(
        "vit_tiny_patch16_224", img_size=16, num_classes=4, in_chans=1, **kwargs
    )
    args = argparse.Namespace(model_kwargs=kwargs, img_size=16)
    content = {"arch": "vit_tiny_patch16_224", "state_dict": vit.state_dict(), "args": args}

    subject = load_subject(saved(tmp_path / "m.pt", content))

    assert (subject.spec.num_classes, subject.spec.in_chans, subject.spec.img_size) == (4, 1, 16)
    assert len(subject.preprocessing.mean) == 1
    assert subject.model(torch.zeros(1, 1, 16, 16)).shape == (1, 4)


def test_classes_and_channels_are_read_without_building_anything(state, monkeypatch):
    monkeypatch.setattr(recorded, "outlined", lambda _: pytest.fail("a network was built"))
    weights = {key: TensorEntry("float32", tuple(value.shape)) for key, value in state.items()}

    spec = recorded.fitted(ModelSpec(ARCH, {}, 1000, 3, 32), weights, {}, None, None)

    assert (spec.num_classes, spec.in_chans) == (5, 3)


def test_building_is_seeded_and_leaves_the_random_state_alone(state, tmp_path):
    spec = load_subject(saved(tmp_path / "m.pt", state), model=ARCH).spec
    before = torch.get_rng_state()

    a, b, c = (weights_digest(spec.build(seed).state_dict()) for seed in (1, 1, 2))

    assert a == b != c
    assert torch.equal(torch.get_rng_state(), before)


def candidates(monkeypatch, *found):
    monkeypatch.setattr(signatures, "find", lambda _: found)
    monkeypatch.setattr(signatures, "unusable", lambda: "")


def test_an_architecture_that_nobody_names_is_found_by_its_weights(state, tmp_path, monkeypatch):
    candidates(monkeypatch, Candidate(ARCH, {"num_classes": 5}, True, "f", "why"))

    subject = load_subject(saved(tmp_path / "m.pt", state))

    assert subject.spec.architecture == ARCH
    assert subject.identified == "found by its keys and shapes"


def test_the_size_that_the_shapes_imply_is_used(tmp_path, monkeypatch):
    vit = timm.create_model("test_vit", img_size=48, num_classes=5)
    candidates(monkeypatch, Candidate("test_vit", {"img_size": 48}, True, "f", "why"))

    for flags in ({}, {"model": "test_vit"}):
        path = saved(tmp_path / "m.pt", vit.state_dict())
        assert load_subject(path, **flags).spec.img_size == 48


def test_several_architectures_are_listed_not_chosen(state, tmp_path, monkeypatch):
    path = saved(tmp_path / "m.pt", state)
    pair = [Candidate(n, {}, True, n, "why") for n in ("test_resnet", "resnet18")]
    cases = {
        ("fit 2 alike", "test_resnet, resnet18"): pair,
        ("other shapes", "--model-kwargs"): [Candidate("resnet18", {}, False, "f", "why")],
        ("fit none", "--model NAME"): [],
    }
    for words, found in cases.items():
        candidates(monkeypatch, *found)
        error = refusal(path, model=None)
        assert error.reason == "MODEL_ARCH_UNKNOWN"
        assert all(word in str(error) for word in words)


def test_twins_that_differ_in_nothing_are_one(state, tmp_path, monkeypatch):
    pair = [Candidate(n, {}, True, "same", "why") for n in ("resnet10t", "resnet10t.c3_in1k")]
    candidates(monkeypatch, *(c for c in pair))
    net = timm.create_model("resnet10t", num_classes=3)

    subject = load_subject(saved(tmp_path / "m.pt", net.state_dict()))

    assert subject.spec.architecture == "resnet10t"


def test_at_most_three_names_are_listed(state, tmp_path):
    path = saved(tmp_path / "m.pt", {k: v for k, v in state.items() if "layer" not in k})

    text = str(refusal(path))

    assert text.count("layer1.") == 3
    assert "more" in text


def test_another_class_count_or_architecture_is_refused(state, tmp_path):
    path = saved(tmp_path / "m.pt", state)

    assert refusal(path, num_classes=6).reason == "MODEL_CLASS_MISMATCH"
    assert refusal(path, model="test_vit", img_size=None).reason == "MODEL_ARCH_MISMATCH"
    assert refusal(path, in_chans=1).reason == "MODEL_ARCH_MISMATCH"
    assert refusal(path, model_kwargs={"no_such": 1}).reason == "MODEL_ARCH_MISMATCH"


@pytest.mark.parametrize(
    ("arch", "word"),
    [
        (None, "--model NAME"),
        ("resnet81", "resnet"),
        ("hf-hub:timm/resnet18", "never followed"),
        ("local-dir:/tmp", "never followed"),
        ("resnet18.no_such_tag", "variant"),
        (["resnet18"], "--model NAME"),
    ],
)
def test_unknown_architecture_in_a_file_is_refused(arch, word, state, tmp_path, monkeypatch):
    candidates(monkeypatch)
    path = saved(tmp_path / "m.pt", {"arch": arch, "state_dict": state})

    error = refusal(path, model=None)

    assert error.reason == "MODEL_ARCH_UNKNOWN"
    assert word in str(error)


@pytest.mark.parametrize(
    "recorded",
    [
        {"model_kwargs": {"pretrained_cfg": "x"}},
        {"model_kwargs": {"checkpoint_path": "/etc/passwd"}},
        {"model_kwargs": {"device": "meta"}},
        {"std": [0.0, 1.0, 1.0]},
        {"mean": [0.5, 0.5]},
        {"mean": "abc"},
        {"img_size": -1},
        {"img_size": [32, 0]},
        {"img_size": [32, "a"]},
        {"input_size": ()},
        {"input_size": [3, 32, "64"]},
        {"interpolation": "magic"},
    ],
)
def test_recorded_arguments_that_cannot_be_used_are_refused(recorded, state, tmp_path):
    args = argparse.Namespace(**recorded)
    path = saved(tmp_path / "m.pt", {"arch": ARCH, "state_dict": state, "args": args})

    assert refusal(path, img_size=None).reason == "MODEL_ARGS"


@pytest.mark.parametrize("name", ["absent.pt", "resnet18", "resnet18.pt", "a\0b", "x" * 5000])
def test_missing_file_is_said_to_be_missing(name):
    error = refusal(Path(name))

    assert error.reason == "MODEL_NOT_FOUND"
    assert ("name of timm" in str(error)) == (name == "resnet18")


def test_only_plain_values_survive():
    odd = {
        "f": float("nan"),
        3: "key",
        "o": OpaqueValue("set"),
        "l": [1, OpaqueValue("x"), "x"],
        "n": None,
    }

    assert plain(odd) == {"l": [1, "x"], "n": None}
    assert plain({"a": (1, {"b": 2})}) == {"a": (1, {"b": 2})}
    assert plain(OpaqueValue("module")) == OpaqueValue("module")


def test_arguments_that_would_take_for_ever_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "limited", lambda: limited(seconds=0.5))
    kwargs = {"model_kwargs": {"depth": 10**7}}
    content = {"arch": "vit_tiny_patch16_224", "args": argparse.Namespace(**kwargs)}
    path = saved(tmp_path / "m.pt", content | {"state_dict": {"w": torch.ones(1)}})

    assert refusal(path, model=None).reason == "MODEL_ARCH_MISMATCH"


@pytest.mark.parametrize(
    ("arch", "recorded", "word"),
    [
        ("test_resnet", {"drop": 5.0}, "drop_rate"),
        ("test_efficientnet", {"drop": 5.0}, "drop_rate"),
        ("test_efficientnet", {"model_kwargs": {"global_pool": ""}}, "global_pool=''"),
        ("test_vit", {"model_kwargs": {"img_size": 33}}, "33 x 33 pixels"),
        ("test_convnext", {"img_size": 20}, "20 x 20 pixels"),
    ],
)
def test_what_only_fails_when_run_is_refused_before(arch, recorded, word, tmp_path):
    kwargs = recorded.get("model_kwargs", {})
    net = timm.create_model(arch, num_classes=5, **kwargs)
    args = argparse.Namespace(model=arch, **recorded)
    path = saved(tmp_path / "m.pt", {"state_dict": net.state_dict(), "args": args})

    error = refusal(path, model=None, img_size=None)

    assert (error.reason, word in str(error)) == ("MODEL_ARGS", True)
    assert inspect_model(path).reason == "MODEL_ARGS"
