"""Looking after the cache: it lists, verifies and removes what is its own, nothing else."""

import json

import numpy as np
import torch

from audit.jobs.store import Outcome, Store
from audit.jobs.values import Failed
from tests.samples.outcomes import Noted

KEY = "0123456789" * 4


def filled(root):
    store = Store(root)
    store.put("fit", KEY, Outcome(Noted(number=1), {"x": np.zeros(1000)}))
    with store.lock("fit", KEY):
        store.resume_state("choose", KEY).save("part", {"x": torch.zeros(100)})
    return root


def test_list(tmp_path, command, capsys):
    assert command("cache", "ls", "--cache", filled(tmp_path / "c"), "--json") == 0
    kinds = json.loads(capsys.readouterr().out)
    assert [(kind["kind"], kind["entries"]) for kind in kinds] == [("fit", 1), ("unfinished", 1)]
    assert kinds[0]["bytes"] > 8000
    assert command("cache", "ls", "--cache", tmp_path / "none") == 0
    assert "none does not exist" in capsys.readouterr().err


def test_verify_finds_damage(tmp_path, command, capsys):
    root = filled(tmp_path / "c")
    assert command("cache", "verify", "--cache", root) == 0
    file = root / "fit" / KEY / "arrays.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert command("cache", "verify", "--cache", root) == 2
    assert f"such as fit/{KEY}" in capsys.readouterr().err


def test_entries_of_older_versions_are_no_damage(tmp_path, command):
    """Their values may have other names; no audit reads them."""
    root = filled(tmp_path / "c")
    assert Store(root).get("fit", KEY, (Failed,)) is None  # set aside
    assert command("cache", "verify", "--cache", filled(root)) == 0


def test_clear_removes_entries_and_leaves_the_rest(tmp_path, command):
    root = filled(tmp_path / "c")
    (root / "letter.txt").write_text("mine")
    (root / "fit" / "notes").mkdir()
    (root / "unfinished" / "notes").mkdir()
    assert command("cache", "clear", "--cache", root, "--yes") == 0
    left = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert left == {"fit", "fit/notes", "letter.txt", "locks", "unfinished", "unfinished/notes"}


def test_clear_asks(tmp_path, command, monkeypatch):
    root = filled(tmp_path / "c")
    monkeypatch.setattr("click.confirm", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert command("cache", "clear", "--cache", root) == 130
    assert Store(root).has("fit", KEY)
