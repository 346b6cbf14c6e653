"""Honest files load as the same model, whatever holds the weights."""

import argparse
import zipfile
from pathlib import PosixPath

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from audit.model.checkpoint import load_subject
from audit.model.files.content import read_content
from audit.model.weights import converted, weights_digest
from tests.samples.checkpoints import ARCH, X, logits, network, refusal, saved, training_args


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return network()


@pytest.fixture(scope="module")
def args() -> argparse.Namespace:
    return training_args()


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return network().state_dict()


def containers(state, args) -> dict[str, object]:
    ema = {k: torch.zeros_like(v) for k, v in state.items()}
    return {
        "plain": state,
        "timm": {"epoch": 3, "arch": ARCH, "state_dict": state, "args": args, "version": 2},
        "no ema": {"arch": ARCH, "state_dict": state, "state_dict_ema": None, "args": args},
        "model": {"model": state, "optimizer": {"state": {}}},
        "model_state_dict": {"model_state_dict": state, "epoch": 1},
        "net": {"net": state, "acc": 93.1},
        "module.": {"module." + k: v for k, v in state.items()},
        "_orig_mod.module.": {"_orig_mod.module." + k: v for k, v in state.items()},
        "lightning": {
            "state_dict": {"model." + k: v for k, v in state.items()},
            "pytorch-lightning_version": "2.4.0",
        },
        "extras": {
            "state_dict": state,
            "metric": np.float64(0.93),
            "path": PosixPath("/data/run"),
            "args": argparse.Namespace(model=ARCH, lr=np.float32(0.5), where=PosixPath("/a/b")),
        },
        "ema only": {"arch": ARCH, "state_dict_ema": state, "raw": ema["fc.bias"]},
        "parameters": {k: torch.nn.Parameter(v, v.is_floating_point()) for k, v in state.items()},
    }


@pytest.mark.parametrize("kind", list(containers({"fc.bias": torch.zeros(1)}, None)))
def test_every_honest_container_gives_the_same_logits(kind, net, state, args, tmp_path):
    path = saved(tmp_path / "m.pt", containers(state, args)[kind])

    subject = load_subject(path, model=ARCH, img_size=32)

    assert torch.equal(logits(subject), net(X).detach())
    assert subject.weights == "only"
    assert subject.spec.num_classes == 5


def test_legacy_format_and_compressed_zip_load(net, state, tmp_path):
    legacy = saved(tmp_path / "l.pth", state, _use_new_zipfile_serialization=False)
    stored = zipfile.ZipFile(saved(tmp_path / "z.pt", state))
    with zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as deflated:
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))

    for path in (legacy, tmp_path / "c.pt"):
        assert torch.equal(logits(load_subject(path, model=ARCH)), net(X).detach())


@pytest.mark.parametrize("name", ["m.safetensors", "m.pt"])
def test_safetensors_load_whatever_their_name(name, net, state, tmp_path):
    save_file(state, tmp_path / name)

    subject = load_subject(tmp_path / name, model=ARCH, img_size=32)

    assert torch.equal(logits(subject), net(X).detach())
    assert subject.container == "safetensors"


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float16, 1e-2), (torch.bfloat16, 1e-1), (torch.float64, 0.0)]
)
def test_other_floats_become_float32(dtype, error, net, state, tmp_path):
    content = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}

    subject = load_subject(saved(tmp_path / "m.pt", content), model=ARCH, img_size=32)

    assert {p.dtype for p in subject.model.parameters()} == {torch.float32}
    assert (logits(subject) - net(X)).abs().max() <= error


def test_weights_with_gaps_between_their_values_take_no_more_memory(net, state, tmp_path):
    wide = {k: torch.stack([v] * 9, -1)[..., 0] if v.dim() else v for k, v in state.items()}
    path = saved(tmp_path / "m.pt", wide)

    with read_content(path) as content:
        found = converted(content, content.value, state)

    assert all(v.untyped_storage().nbytes() == v.nbytes for v in found.values())
    assert torch.equal(logits(load_subject(path, model=ARCH)), net(X).detach())


def test_raw_and_averaged_weights_can_be_told_apart(net, state, tmp_path):
    ema = {k: v * 1.5 if v.is_floating_point() else v for k, v in state.items()}
    path = saved(tmp_path / "m.pt", {"arch": ARCH, "state_dict": state, "state_dict_ema": ema})

    default, raw = load_subject(path), load_subject(path, weights="raw")

    assert (default.weights, raw.weights) == ("ema", "raw")
    assert torch.equal(logits(raw), net(X).detach())
    assert not torch.equal(logits(default), logits(raw))
    assert default.weights_digest != raw.weights_digest


def test_averaged_weights_that_are_not_there_are_refused(state, tmp_path):
    for content in (state, {"state_dict": state}):
        path = saved(tmp_path / "m.pt", content)
        assert refusal(path, weights="ema").reason == "MODEL_NO_WEIGHTS"


def test_digest_is_of_the_weights_not_of_the_container(net, state, tmp_path):
    a = load_subject(saved(tmp_path / "a.pt", state), model=ARCH)
    b = load_subject(saved(tmp_path / "b.pt", {"model": state}), model=ARCH)
    state = state | {"fc.bias": state["fc.bias"] + 1e-6}
    c = load_subject(saved(tmp_path / "c.pt", state), model=ARCH)

    assert a.weights_digest == b.weights_digest == weights_digest(net.state_dict())
    assert a.file_digest != b.file_digest
    assert c.weights_digest != a.weights_digest
