"""Every hostile or broken checkpoint: exit code 2, the right reason, nothing run or left."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from audit.model.files.content import read_content
from tests.samples.hostile_checkpoints import CASES
from tests.samples.hostile_tools import canary, flipped, local_name_changed, script_with_code


def assert_refused(code, text, reasons):
    """One line that says why, without a word of a library or a character that does something."""
    assert code == 2, text
    (line,) = text.strip().split("\n")
    assert line.removeprefix("audit: ").startswith(reasons), line
    assert line.isprintable()
    assert len(line) < 700
    assert not any(word in line for word in ("Traceback", "weights_only", "torch.load"))


HEAVY = ("deflate bomb", "300,000 keys", "millions of opcodes", "endless depth", "memo bomb")
NAMES = [pytest.param(n, marks=pytest.mark.slow) if n in HEAVY else n for n in CASES]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_checkpoint_is_refused(name, tmp_path, command, capsys):
    case = CASES[name]
    (tmp_path / "in").mkdir()
    path = case.build(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()

    code = command(path, "--data", "nowhere", "--threads", 1, "-q")

    assert_refused(code, capsys.readouterr().err, case.reasons)
    assert sorted(tmp_path.rglob("*")) == before  # no canary, nothing half written


@pytest.mark.slow
def test_every_input_is_refused_within_two_gigabytes_and_thirty_seconds():
    root = Path(__file__).parents[2]
    words = [sys.executable, str(root / "benchmarks" / "hostile.py")]

    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=root)

    assert done.returncode == 0, done.stdout


# Negative controls: with the protection off, the same files do harm.


def test_an_unsafe_reader_would_run_the_call(tmp_path):
    path = tmp_path / "m.pt"
    torch.save(canary(tmp_path), path)

    torch.load(path, weights_only=False).close()

    assert (tmp_path / "canary").exists()


@pytest.mark.filterwarnings("ignore")
def test_loading_torchscript_would_run_its_code(tmp_path):
    torch.jit.load(script_with_code(tmp_path))

    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("build", [flipped, local_name_changed])
def test_torch_alone_would_not_see_it(build, tmp_path):
    (tmp_path / "m.pt").write_bytes(build(tmp_path))

    assert "fc.bias" in torch.load(tmp_path / "m.pt", weights_only=True)


def test_without_its_checks_the_zip_would_be_read(tmp_path, monkeypatch):
    (tmp_path / "m.pt").write_bytes(flipped(tmp_path))
    off = (
        "from audit.model.files.zip_archive import Archive; "
        "Archive._check_values = lambda _: None; "
    )
    monkeypatch.setattr("audit.model.files.sandbox.BOOT", _with(off))

    with read_content(tmp_path / "m.pt") as content:
        assert "fc.bias" in content.value


def _with(words):
    from audit.model.files.sandbox import BOOT

    setup, begin = BOOT.split("from audit.model.files.sandbox_child", 1)
    return f"{setup}{words}from audit.model.files.sandbox_child{begin}"
