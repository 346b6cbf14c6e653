"""`audit inspect` says what a file is, whatever it is, and runs nothing of it."""

import argparse
import hashlib
import json
import pickle
from contextlib import nullcontext

import pytest
import timm
import torch

from audit import checks
from audit.commands.inspect import head_start
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.inputs.call import Call
from audit.inputs.load import examine_model, load
from audit.inputs.settings import Settings
from audit.model import inspection
from audit.model import sanity as counting
from audit.model.checkpoint import load_subject
from audit.model.files.content import read_content
from audit.model.inspection import Inspection, inspect_model
from audit.model.sanity import answer_to_noise
from audit.model.spec import ModelSpec
from tests.samples.checkpoints import saved
from tests.samples.hostile_checkpoints import hollow

CLASSES = ["cat", "dog", "emu"]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=3, in_chans=1).state_dict()


def checkpoint(state, **more) -> dict[str, object]:
    args = argparse.Namespace(
        model="test_resnet", mean=[0.4], std=[0.2], crop_pct=1.0, img_size=32, pretrained=False
    )
    return {"arch": "test_resnet", "state_dict": state, "args": args, "classes": CLASSES} | more


def test_a_training_checkpoint_tells_everything(state, tmp_path):
    path = saved(tmp_path / "m.pt", checkpoint(state))

    found = inspect_model(path)

    assert (found.reason, found.message) == ("", "")
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.format, found.identified) == ("timm training checkpoint", "recorded in the file")
    assert (found.architecture, found.num_classes, found.in_chans) == ("test_resnet", 3, 1)
    assert found.class_names == CLASSES
    assert found.preprocessing["mean"] == (0.4,)
    assert (found.pretrained, found.weights, found.not_finite_values) == ("no", "only", 0)
    assert found.precision == {"float32": sum(v.numel() for v in state.values() if v.dim())}
    assert "at 6 places, stem to head" in found.can[1]


def test_a_bare_state_dict_is_named_by_its_weights(state, tmp_path):
    found = inspect_model(saved(tmp_path / "m.pt", {f"module.{k}": v for k, v in state.items()}))

    assert (found.architecture, found.reason) == ("test_resnet", "")
    assert found.identified == "found by its keys and shapes"
    assert found.candidates[0]["implied"] == {"num_classes": 3, "in_chans": 1}
    assert any("--class-map" in text for text in found.cannot)


def test_both_raw_and_averaged_weights_are_said(state, tmp_path):
    path = saved(tmp_path / "m.pt", checkpoint(state, state_dict_ema=state))

    assert inspect_model(path).weights == "ema"
    assert inspect_model(path, weights="raw").weights == "raw"


def test_values_that_are_not_finite_are_counted_and_refused(state, tmp_path):
    bad = {k: v.clone() for k, v in state.items()}
    bad["fc.weight"][0, :5] = float("nan")
    bad["fc.bias"][1] = float("inf")

    found = inspect_model(saved(tmp_path / "m.pt", bad))

    assert (found.reason, found.not_finite_values) == ("MODEL_NOT_FINITE", 6)
    assert sorted(found.not_finite) == ["fc.bias", "fc.weight"]
    assert found.architecture == "test_resnet"


def test_half_precision_is_said(state, tmp_path):
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}

    assert set(inspect_model(saved(tmp_path / "m.pt", halves)).precision) == {"float16"}


def test_what_is_known_of_a_refused_file_is_kept(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"hello")

    found = inspect_model(path)

    assert found.reason == "MODEL_UNREADABLE"
    assert (found.bytes, found.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    assert inspect_model(tmp_path / "absent.pt") == Inspection(
        "absent.pt", reason="MODEL_NOT_FOUND", message=inspect_model(tmp_path / "absent.pt").message
    )


class Canary:
    def __reduce__(self):
        return (pytest.fail, ("code from the file ran",))


def test_nothing_in_the_file_is_run(state, tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(pickle.dumps({"state_dict": {}, "x": Canary()}))

    assert inspect_model(path).reason in ("MODEL_UNSAFE", "MODEL_UNREADABLE")
    assert inspect_model(saved(tmp_path / "n.pt", checkpoint(state, x=Canary()))).reason == (
        "MODEL_UNSAFE"
    )


def test_the_command_prints_lines_or_json(command, state, tmp_path, capsys):
    path = saved(tmp_path / "m.pt", checkpoint(state))

    assert command("inspect", path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert command("inspect", path, "--json") == 0
    content = json.loads(capsys.readouterr().out)

    assert "architecture    test_resnet, recorded in the file" in lines
    assert content["class_names"] == CLASSES
    assert content["sha256"] in "\n".join(lines)


def test_the_command_ends_with_2_and_the_reason(command, tmp_path, capsys):
    (tmp_path / "m.pt").write_bytes(b"")

    assert command("inspect", tmp_path / "m.pt") == 2
    captured = capsys.readouterr()

    assert captured.err.startswith("audit: MODEL_UNREADABLE: ")
    assert hashlib.sha256(b"").hexdigest() in captured.out


@pytest.mark.parametrize("name", ["inspect", "run"])
def test_a_pinned_model_must_have_that_digest(name, command, state, tmp_path, capsys):
    path = saved(tmp_path / "m.pt", checkpoint(state))

    assert command(name, path, "--model-sha256", "0" * 64) == 2
    assert "MODEL_DIGEST" in capsys.readouterr().err
    assert command(name, path, "--model-sha256", "beef") == 2
    assert "64 hexadecimal digits" in capsys.readouterr().err


def test_a_pin_is_compared_before_anything_is_parsed(command, state, tmp_path, capsys):
    path = saved(tmp_path / "m.pt", checkpoint(state, x=Canary()))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    assert command("inspect", path, "--model-sha256", "0" * 64) == 2
    assert "MODEL_DIGEST" in capsys.readouterr().err
    assert command("inspect", path, "--model-sha256", f"sha256:{digest.upper()}") == 2
    assert "MODEL_UNSAFE" in capsys.readouterr().err


def test_a_file_that_was_never_written_is_not_digested_for_its_pin(command, tmp_path, capsys):
    assert command("inspect", hollow(tmp_path), "--model-sha256", "0" * 64) == 2
    assert "MODEL_CORRUPT" in capsys.readouterr().err


def test_a_head_start_changes_nothing_that_is_found(state, tmp_path):
    path = saved(tmp_path / "m.pt", checkpoint(state))

    with head_start(path) as begun:
        found = inspect_model(path, begun)

    assert found == inspect_model(path)
    with head_start(path) as unfinished:
        child = unfinished.child
    assert child.poll() is not None
    assert unfinished.file.closed
    with head_start(tmp_path) as begun:
        assert begun is None


def test_a_pin_is_compared_with_what_was_loaded(state, tmp_path):
    path = saved(tmp_path / "m.pt", checkpoint(state))
    inputs = load(
        Settings(), Call(model_sha256=("sha256:" + "0" * 64,)), Progress(True), checks.vocabulary()
    )

    with pytest.raises(AuditError, match=r"MODEL_DIGEST: .*'m' has the SHA-256"):
        examine_model(inputs, path, Progress(True))


def test_recorded_words_cannot_command_a_terminal(command, state, tmp_path, capsys):
    args = argparse.Namespace(model="test_resnet", note="\x1b[2J\n::error::now", img_size=32)
    path = saved(tmp_path / "m.pt", checkpoint(state, args=args))

    command("inspect", path)
    command("inspect", path, "--json")

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not any(line.lstrip().startswith("::error::") for line in out.splitlines())


def test_of_several_architectures_that_fit_the_first_is_described(tmp_path):
    path = saved(tmp_path / "m.pt", timm.create_model("resnet18", num_classes=3).state_dict())

    found = inspect_model(path)

    assert [c["architecture"] for c in found.candidates] == ["resnet18", "resnetblur18"]
    assert (found.reason, found.num_classes) == ("", 3)
    assert found.identified == "the first of 2 that fit alike"
    assert "--model" in found.cannot[0]
    assert inspect_model(path, model="resnetblur18").architecture == "resnetblur18"


def test_a_head_of_zeros_and_constant_logits_are_said(command, state, tmp_path, capsys):
    blind = state | {"fc.weight": torch.zeros_like(state["fc.weight"])}

    found = inspect_model(saved(tmp_path / "m.pt", checkpoint(blind)))

    assert (found.reason, found.zero, found.constant_logits) == ("", ["fc.weight"], True)
    assert any("tell images apart" in text for text in found.cannot)
    assert command("inspect", tmp_path / "m.pt") == 0
    assert "all zero        1 layers: fc.weight" in capsys.readouterr().out
    assert inspect_model(saved(tmp_path / "n.pt", checkpoint(state))).constant_logits is False


def test_the_digest_of_the_weights_is_that_of_the_audit(state, tmp_path):
    path = saved(tmp_path / "m.pt", checkpoint(state))

    assert inspect_model(path).weights_sha256 == load_subject(path).weights_digest


def test_what_an_audit_refuses_an_inspection_refuses(state, tmp_path):
    key = next(key for key in state if key.endswith("running_var"))
    bad = state | {key: state[key] - 5}

    found = inspect_model(saved(tmp_path / "m.pt", checkpoint(bad)))

    assert found.reason == "MODEL_NOT_FINITE"
    assert "negative variances" in found.message


def test_a_network_that_is_too_large_is_not_run():
    spec = ModelSpec("test_resnet", {}, 3, 1, 4096)

    assert answer_to_noise(timm.create_model("test_resnet", num_classes=3), spec) is None


def test_what_is_too_slow_to_run_is_described_alike_without_values(state, tmp_path, monkeypatch):
    path = saved(tmp_path / "m.pt", checkpoint(state))
    quick = inspect_model(path)

    monkeypatch.setattr(inspection, "QUICK", -1.0)
    assert inspect_model(path) == quick
    monkeypatch.setattr(inspection, "answer_to_noise", lambda *_: None)
    assert inspect_model(path).can == quick.can


def test_values_of_an_unknown_file_are_only_read_up_to_a_bound(tmp_path, monkeypatch):
    path = saved(tmp_path / "m.pt", {"w": torch.full((4, 4), torch.inf)})

    assert inspect_model(path).not_finite_values == 16
    monkeypatch.setattr(inspection, "MOST_BYTES", 63)
    found = inspect_model(path)
    assert (found.reason, found.not_finite_values) == ("MODEL_ARCH_UNKNOWN", None)


def test_counting_goes_part_by_part(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "CHUNK", 5)
    weights = {"a": torch.zeros(3, 4).t(), "b": torch.ones(12), "c": torch.ones(8)[::2]}
    weights["b"][[0, 7, 11]] = torch.nan

    with read_content(saved(tmp_path / "m.pt", weights)) as content:
        assert counting.counted(content, content.value) == ({"b": 3}, ["a"])


@pytest.mark.parametrize(
    ("kwargs", "reason"), [({"in_chans": 4}, "MODEL_CHANNELS"), ({"num_classes": 1}, "MODEL_CLASS")]
)
def test_what_no_image_folder_fits_cannot_be_audited(kwargs, reason, tmp_path):
    net = timm.create_model("test_resnet", **{"num_classes": 3} | kwargs)
    path = saved(tmp_path / "m.pt", net.state_dict())

    found = inspect_model(path)

    assert found.reason.startswith(reason)
    assert [text[:11] for text in found.cannot] == ["be audited:"]
    with pytest.raises(AuditError, match=reason):
        load_subject(path)


def test_the_run_on_noise_has_a_limit_of_its_own(monkeypatch):
    given = []
    monkeypatch.setattr(counting, "limited", lambda *words: given.append(words) or nullcontext())

    answer = answer_to_noise(
        timm.create_model("test_resnet", num_classes=3).eval(),
        ModelSpec("test_resnet", {}, 3, 3, 32),
    )

    assert (given[0][0], answer.classes) == (10.0, 3)
