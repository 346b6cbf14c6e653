"""The reader that runs nothing finds what torch's own restricted reader finds."""

import subprocess
import sys
from collections import Counter, OrderedDict

import pytest
import torch

from audit.model.files import sandbox as parsing
from audit.model.files.content import read_content
from audit.model.files.descriptions import OpaqueValue, TensorEntry, decoded, encoded
from audit.model.files.sandbox_child import seconds_for
from tests.samples.checkpoints import refusal, saved
from tests.samples.hostile_tools import network

BASE = torch.arange(24.0)
TENSORS = {
    "plain": BASE.clone(),
    "view": BASE[3:7],
    "steps": BASE[::5],
    "transposed": BASE.view(4, 6).T,
    "channels last": BASE.view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "repeated": BASE[:1].expand(7),
    "number": torch.tensor(3.5),
    "empty": torch.empty(0, 3),
    "parameter": torch.nn.Parameter(BASE[:4].clone()),
    "bool": BASE > 3,
    "int": BASE.long(),
    **{str(d): BASE.to(d) for d in (torch.float16, torch.bfloat16, torch.float64, torch.uint16)},
}


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_are_those_of_torch(legacy, tmp_path):
    known = {k: v for k, v in TENSORS.items() if not legacy or "uint16" not in k}
    path = saved(tmp_path / "m.pt", known, _use_new_zipfile_serialization=not legacy)
    theirs = torch.load(path, weights_only=True)

    with read_content(path) as content:
        for name, stored in content.value.items():
            ours = content.tensor(stored)
            assert (ours.dtype, ours.stride()) == (theirs[name].dtype, theirs[name].stride())
            assert torch.equal(ours, theirs[name]), name


def test_values_beside_the_tensors_are_those_of_torch(tmp_path):
    network_ = network()
    optimizer = torch.optim.AdamW(network_.parameters())
    network_(torch.zeros(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    content = {
        "optimizer": optimizer.state_dict(),
        "steps": Counter({3: 2}),
        "nested": OrderedDict(a=[1, (2.5, None)], b={"c": {1, 2}}, d=float("inf")),
        "size": torch.Size([2, 3]),
        "dtype": torch.float32,
    }
    theirs = torch.load(saved(tmp_path / "m.pt", content), weights_only=True)

    with read_content(tmp_path / "m.pt") as found:
        ours = found.value
        moment = ours["optimizer"]["state"][0]["exp_avg"]
        assert torch.equal(found.tensor(moment), theirs["optimizer"]["state"][0]["exp_avg"])
    assert ours["optimizer"]["param_groups"] == [
        {k: list(v) if k == "params" else v for k, v in group.items()}
        | {"betas": tuple(group["betas"])}
        for group in theirs["optimizer"]["param_groups"]
    ]
    assert ours["steps"] == {3: 2}
    assert ours["nested"] == {
        "a": [1, (2.5, None)],
        "b": {"c": OpaqueValue("set")},
        "d": float("inf"),
    }
    assert (ours["size"], ours["dtype"]) == ((2, 3), OpaqueValue("torch.float32"))


def test_what_a_child_says_survives_the_way_back():
    value = {"a": [1, (2, None)], 3: True, "t": TensorEntry("float32", (2, 3), (3, 1), 4)}

    assert decoded(encoded(value, [100])) == value
    with pytest.raises(OverflowError):
        encoded(value, [5])


LIMITED = """
import mmap
import sys
sys.path.append({root!r})
from audit.model.files import sandbox_child as child
child.SECONDS = 1
try:
    {control}child.limit(0)
    {action}
except (OSError, MemoryError) as error:
    sys.exit(3)
"""
ACTIONS = {
    "open('/etc/hostname')": 3,
    "import socket; socket.socket()": 3,
    "import os; os.pipe()": 3,
    "mmap.mmap(-1, 2**31)": 3,
    "[None for _ in iter(int, 1)]": -9,
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("control", ["", "None and "])
def test_the_child_can_open_nothing_and_has_little_of_everything(action, control):
    """With "None and" the limits are off: the same action then succeeds."""
    if control and ACTIONS[action] < 0:
        return  # it would run for ever
    root = str(parsing.Path(parsing.__file__).parents[3])
    code = LIMITED.format(root=root, control=control, action=action)
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)

    assert done.returncode in ((0,) if control else (ACTIONS[action], -24))


@pytest.mark.parametrize(
    "boot", ["import os; os._exit(1)", "import os; os.abort()", "print('{')", "while True: pass"]
)
def test_whatever_happens_to_the_child_is_one_sentence(boot, tmp_path, monkeypatch):
    monkeypatch.setattr(parsing, "BOOT", boot)
    monkeypatch.setattr(parsing, "SLOW", 2 / seconds_for(0))

    error = refusal(saved(tmp_path / "m.pt", {}))

    assert error.reason == "MODEL_UNREADABLE"
    assert "stopped" in str(error)


def test_the_child_needs_neither_torch_nor_any_package():
    code = (
        "import sys, audit.model.files.sandbox_child; "
        "sys.exit(not {'torch', 'numpy'}.isdisjoint(sys.modules))"
    )
    words = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append('.'); {code}"]

    assert (
        subprocess.run(words, cwd=parsing.Path(parsing.__file__).parents[3], check=False).returncode
        == 0
    )
