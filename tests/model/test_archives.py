"""Weights out of archives, folders and caches: the same model, and nothing in them is run."""

import json
import zipfile
from pathlib import Path

import pytest
import timm
import torch

from audit.core.errors import AuditError
from audit.model import hub
from audit.model.checkpoint import load_subject
from audit.model.spec import ModelSpec, resolve_preprocessing
from tests.samples.checkpoints import ARCH, X, logits, network, refusal, saved
from tests.samples.hostile_tools import SAMPLE_INPUTS, archive, canary, records, saved_bytes

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch.jit and torch.export


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return network()


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "m.pt2"
    torch.export.save(torch.export.export(net, (X,)), path)
    return path


@pytest.fixture
def never_loaded(monkeypatch):
    """Loading an archive the usual way would run it."""
    for module, name in ((torch.jit, "load"), (torch.export, "load"), (torch, "load")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("was run"))


@pytest.mark.parametrize("made", [torch.jit.script, lambda net: torch.jit.trace(net, X)])
def test_torchscript_gives_the_same_logits(made, net, tmp_path, never_loaded):
    torch.jit.save(made(net), tmp_path / "m.pt")

    subject = load_subject(tmp_path / "m.pt", model=ARCH, img_size=32)

    assert torch.equal(logits(subject), net(X).detach())
    assert subject.container.startswith("TorchScript archive")


def test_torchscript_buffers_that_are_made_anew_are_left_out(tmp_path):
    net = timm.create_model("swin_tiny_patch4_window7_224", img_size=32, window_size=4, depths=(1,),
                            embed_dim=24, num_heads=(2,), num_classes=3).eval()  # fmt: skip
    torch.jit.save(torch.jit.trace(net, X), tmp_path / "m.pt")
    kwargs = {"window_size": 4, "depths": (1,), "embed_dim": 24, "num_heads": (2,)}

    subject = load_subject(
        tmp_path / "m.pt", model="swin_tiny_patch4_window7_224", img_size=32, model_kwargs=kwargs
    )

    assert torch.equal(logits(subject), net(X).detach())


def test_frozen_torchscript_has_no_names(net, tmp_path):
    torch.jit.save(torch.jit.freeze(torch.jit.script(net)), tmp_path / "m.pt")

    assert refusal(tmp_path / "m.pt").reason in ("MODEL_NO_WEIGHTS", "MODEL_ARCH_MISMATCH")


def test_exported_program_gives_the_same_logits(exported, net, never_loaded):
    subject = load_subject(exported, model=ARCH, img_size=32)

    assert torch.equal(logits(subject), net(X).detach())
    assert subject.container.startswith("torch.export archive")


def test_code_in_an_exported_program_is_not_run(exported, net, tmp_path):
    parts = records(exported.read_bytes())
    (sample,) = [name for name in parts if name.endswith(SAMPLE_INPUTS)]
    parts[sample] = saved_bytes(canary(tmp_path))
    (tmp_path / "m.pt2").write_bytes(archive(parts))

    assert torch.equal(logits(load_subject(tmp_path / "m.pt2", model=ARCH)), net(X).detach())
    assert not (tmp_path / "canary").exists()


def test_exported_program_of_older_torch(net, tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt2", "w") as target:
        target.writestr("serialized_exported_program.json", "{}")
        target.writestr("serialized_state_dict.pt", saved_bytes(net.state_dict()))

    assert torch.equal(logits(load_subject(tmp_path / "m.pt2", model=ARCH)), net(X).detach())


@pytest.mark.parametrize("safe", [True, False])
def test_folder_for_the_hub(safe, tmp_path):
    net = timm.create_model(ARCH, num_classes=3, in_chans=1).eval()
    where = tmp_path / "my model"
    names = ["a", "b", "c"] if safe else {"0": "a", "2": "c", "1": "b"}
    labels = {"label_names": names}
    timm.models.save_for_hf(net, where, model_config=labels, safe_serialization=safe)

    subject = load_subject(where)

    assert torch.equal(subject.model(X[:, :1]), net(X[:, :1]))
    assert (subject.name, subject.class_names) == ("my model", ("a", "b", "c"))
    assert subject.preprocessing.mean == (0.5,)
    assert subject.file.parent == where


def test_folder_for_the_hub_keeps_arguments_and_preprocessing(tmp_path):
    kwargs = {"img_size": 32, "patch_size": 8, "depth": 1, "embed_dim": 24, "num_heads": 2}
    net = timm.create_model("vit_tiny_patch16_224", num_classes=3, **kwargs).eval()
    config = {"mean": (0.1, 0.2, 0.3), "crop_mode": "squash"}
    timm.models.save_for_hf(net, tmp_path / "m", data_config=config)

    subject = load_subject(tmp_path / "m")

    assert torch.equal(logits(subject), net(X).detach())
    assert subject.preprocessing.mean == (0.1, 0.2, 0.3)
    assert subject.preprocessing.crop_mode == "squash"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (None, "MODEL_NOT_A_FILE"),
        ("[1]", "MODEL_CONFIG"),
        ("{", "MODEL_CONFIG"),
        ("[" * 100_000, "MODEL_CONFIG"),
        (json.dumps({"x": "y" * 5_000_000}), "MODEL_CONFIG"),
        (json.dumps({"architecture": "hf-hub:evil/model"}), "MODEL_ARCH_UNKNOWN"),
        (json.dumps({"model_args": {"checkpoint_path": "/etc/passwd"}}), "MODEL_ARGS"),
    ],
)
def test_folder_whose_configuration_cannot_be_used(config, reason, net, tmp_path):
    saved(tmp_path / "pytorch_model.bin", net.state_dict())
    if config is not None:
        (tmp_path / "config.json").write_text(config)

    given = None if reason == "MODEL_ARCH_UNKNOWN" else ARCH
    assert refusal(tmp_path, model=given).reason == reason


def test_a_bare_name_is_not_fetched_but_taken_from_the_cache(net, tmp_path, monkeypatch):
    assert refusal(Path("resnet18"), model=None).reason == "MODEL_NOT_FOUND"
    kept = saved(tmp_path / "kept.bin", network().state_dict())
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: str(kept))

    subject = load_subject(Path(ARCH))

    assert (subject.name, subject.pretrained, subject.file) == (ARCH, "yes", kept)
    assert torch.equal(logits(subject), net(X).detach())


def test_the_crop_of_a_bare_name_is_timms_and_of_a_training_checkpoint_the_centre(monkeypatch):
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: "kept.bin")
    spec = ModelSpec("efficientnet_b5", {}, 1000, 3, 448)

    args = hub.locate(Path("efficientnet_b5")).args
    assert resolve_preprocessing(args, spec).crop_mode == "squash"
    assert resolve_preprocessing({"model": "efficientnet_b5"}, spec).crop_mode == "center"
    with pytest.raises(AuditError, match=r"MODEL_ARGS: .*'border'"):
        resolve_preprocessing({"crop_mode": "border"}, spec)
