"""Honest files load as the same model; files that mislead are refused in one sentence."""

import argparse
import zipfile
from pathlib import PosixPath

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sample_checkpoints import ARCH, network, refusal, saved, training_args

from audit.model.checkpoint import Subject, load_subject
from audit.model.inert import plain
from audit.model.weights import weights_digest

X = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return network()


@pytest.fixture(scope="module")
def args() -> argparse.Namespace:
    return training_args()


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return network().state_dict()


def logits(subject: Subject) -> torch.Tensor:
    with torch.no_grad():
        return subject.model(X)


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


def test_what_the_training_script_recorded_is_honoured(state, args, tmp_path):
    content = {"arch": ARCH, "state_dict": state, "args": args, "class_names": list("abcde")}

    subject = load_subject(saved(tmp_path / "run 1.pt", content))

    p = subject.preprocessing
    assert (p.img_size, p.in_chans, p.interpolation, p.crop_pct) == (32, 3, "bilinear", 1.0)
    assert (p.mean, p.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    assert (subject.name, subject.container) == ("run 1", "timm training checkpoint")
    assert (subject.pretrained, subject.class_names) == ("no", ("a", "b", "c", "d", "e"))
    assert subject.training_args["lr"] == 0.1


def test_numpy_scalars_and_paths_become_plain_values(state, args, tmp_path):
    path = saved(tmp_path / "m.pt", containers(state, args)["extras"])

    assert load_subject(path).training_args == {"model": ARCH, "lr": 0.5, "where": "/a/b"}


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


def test_building_is_seeded_and_leaves_the_random_state_alone(state, tmp_path):
    spec = load_subject(saved(tmp_path / "m.pt", state), model=ARCH).spec
    before = torch.get_rng_state()

    a, b, c = (weights_digest(spec.build(seed).state_dict()) for seed in (1, 1, 2))

    assert a == b != c
    assert torch.equal(torch.get_rng_state(), before)


def without(state, key):
    return {k: v for k, v in state.items() if k != key}


MISLEADING = {
    "nan": ("MODEL_NOT_FINITE", lambda s: s | {"fc.bias": s["fc.bias"] * float("nan")}),
    "infinite": ("MODEL_NOT_FINITE", lambda s: s | {"fc.bias": s["fc.bias"] / 0}),
    "overflow": (
        "MODEL_NOT_FINITE",
        lambda s: s | {"fc.bias": torch.full([5], 1e300, dtype=torch.float64)},
    ),
    "variance": ("MODEL_NOT_FINITE", lambda s: s | {"bn1.running_var": -s["bn1.running_var"]}),
    "missing": ("MODEL_ARCH_MISMATCH", lambda s: without(s, "bn1.weight")),
    "extra": ("MODEL_ARCH_MISMATCH", lambda s: s | {"extra.weight": torch.ones(1)}),
    "shape": ("MODEL_ARCH_MISMATCH", lambda s: s | {"bn1.weight": torch.ones(3)}),
    "int8": ("MODEL_DTYPE", lambda s: s | {"fc.weight": s["fc.weight"].to(torch.int8)}),
    "complex": ("MODEL_DTYPE", lambda s: s | {"fc.weight": s["fc.weight"] + 0j}),
    "float8": ("MODEL_DTYPE", lambda s: s | {"fc.weight": s["fc.weight"].to(torch.float8_e5m2)}),
    "meta": ("MODEL_DTYPE", lambda s: s | {"fc.weight": s["fc.weight"].to("meta")}),
    "sparse": ("MODEL_DTYPE", lambda s: s | {"fc.weight": s["fc.weight"].to_sparse()}),
    "string": ("MODEL_NO_WEIGHTS", lambda s: s | {"fc.weight": "hello"}),
    "strings": ("MODEL_NO_WEIGHTS", lambda s: dict.fromkeys(s, "hello")),
    "none": ("MODEL_NO_WEIGHTS", lambda _: None),
    "list": ("MODEL_NO_WEIGHTS", lambda s: list(s.values())),
    "tensor": ("MODEL_NO_WEIGHTS", lambda s: s["fc.weight"]),
    "empty": ("MODEL_NO_WEIGHTS", lambda _: {}),
    "optimizer": ("MODEL_NO_WEIGHTS", lambda s: {"optimizer": {"state": {0: s["fc.bias"]}}}),
    "nested empty": ("MODEL_NO_WEIGHTS", lambda _: {"state_dict": {}}),
}


@pytest.mark.parametrize("kind", MISLEADING)
def test_misleading_weights_are_refused(kind, state, tmp_path):
    reason, change = MISLEADING[kind]

    assert refusal(saved(tmp_path / "m.pt", change(state))).reason == reason


def test_a_few_bytes_that_claim_to_be_huge_are_refused(state, tmp_path):
    giant = torch.zeros(1).as_strided(state["fc.weight"].shape, (0, 0))

    error = refusal(saved(tmp_path / "m.pt", state | {"fc.weight": giant}))

    assert error.reason == "MODEL_DTYPE"


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
def test_unknown_architecture_in_a_file_is_refused(arch, word, state, tmp_path):
    path = saved(tmp_path / "m.pt", {"arch": arch, "state_dict": state})

    error = refusal(path, model=None)

    assert error.reason == "MODEL_ARCH_UNKNOWN"
    assert word in str(error)


@pytest.mark.parametrize(
    "recorded",
    [
        {"model_kwargs": {"pretrained_cfg": "x"}},
        {"model_kwargs": {"checkpoint_path": "/etc/passwd"}},
        {"std": [0.0, 1.0, 1.0]},
        {"mean": [0.5, 0.5]},
        {"mean": "abc"},
        {"img_size": -1},
        {"img_size": [32, 64]},
        {"interpolation": "magic"},
    ],
)
def test_recorded_arguments_that_cannot_be_used_are_refused(recorded, state, tmp_path):
    args = argparse.Namespace(**recorded)
    path = saved(tmp_path / "m.pt", {"arch": ARCH, "state_dict": state, "args": args})

    assert refusal(path, img_size=None).reason == "MODEL_ARGS"


def test_only_plain_values_survive():
    loop: dict = {"a": 1}
    loop["self"] = loop
    odd = {"t": torch.ones(1), "f": float("nan"), 3: "key", "s": {1}, "l": [1, torch, "x"]}

    assert plain(odd) == {"l": [1, "x"]}
    assert plain(loop)["a"] == 1
    assert plain(argparse.Namespace(a=(1, None))) == {"a": (1, None)}


def test_deeply_nested_pickle_is_refused_in_a_sentence(tmp_path):
    nested = b"]" * 50_000 + b"a" * 49_999
    (tmp_path / "m.pt").write_bytes(b"\x80\x02" + nested + b".")

    assert refusal(tmp_path / "m.pt").reason in ("MODEL_UNREADABLE", "MODEL_NO_WEIGHTS")
