"""What the commands refuse and say, before and beside any measuring."""

import shutil

import pytest

from audit import cli

PREPARED = {"--mean": "0.5", "--std": "0.5", "--crop-pct": "1", "--interpolation": "box"}


@pytest.mark.parametrize(
    ("word", "near"), [("inspct", "inspect"), ("self-test", "selftest"), ("inspe\x1bt", "inspect")]
)
def test_a_misspelt_command_is_no_model(word, near, command, capsys):
    assert command(word, "model.pt") == 2
    (said,) = capsys.readouterr().err.splitlines()
    shown = word.replace("\x1b", r"\x1b")
    assert f"'{shown}' is neither; the nearest command is '{near}'" in said


def test_options_may_stand_before_the_model(command, capsys):
    assert command("--profile", "quick", "none.pt") == 2
    assert "MODEL_NOT_FOUND" in capsys.readouterr().err
    assert command("--version") == 0


def test_a_configuration_that_is_not_there(command, tmp_path, capsys):
    assert command("none.pt", "--config", tmp_path / "no.yaml") == 2
    assert "no.yaml does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["inspct.pt", "./inspct", "resnet18"])
def test_what_looks_like_a_model_is_taken_for_one(word, command, capsys):
    assert command(word) == 2
    assert "MODEL_NOT_FOUND" in capsys.readouterr().err


def test_a_file_named_much_like_a_command_is_a_model(command, tmp_path, capsys):
    (tmp_path / "inspct").write_bytes(b"hello")
    assert command("inspct") == 2
    assert "neither" not in capsys.readouterr().err


@pytest.mark.parametrize("flag", PREPARED)
def test_an_inspection_takes_no_option_that_it_would_ignore(flag, command, model, capsys):
    assert command("inspect", model, flag, PREPARED[flag]) == 2
    said = capsys.readouterr().err
    assert "No such option" in said
    assert flag in said


@pytest.mark.parametrize("flag", ["--num-classes", "--img-size", "--in-chans"])
@pytest.mark.parametrize("name", ["inspect", "run", "plan"])
def test_a_count_is_one_or_more(name, flag, command, model, capsys):
    assert command(name, model, flag, "-1") == 2
    assert f"Invalid value for '{flag}'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["render"], ["judge", "--out", "new"]])
def test_the_name_of_a_run_cannot_act_on_a_terminal(words, finished, command, tmp_path, capsys):
    shutil.copy(finished[0] / "report.yaml", tmp_path / "\x1b[31mred")
    assert command(words[0], tmp_path / "\x1b[31mred", *words[1:]) == 2
    assert "\x1b" not in (said := capsys.readouterr().err)
    assert r"\x1b[31mred" in said


def test_a_run_under_other_limits_than_its_own_is_told_so(finished, command, tmp_path, capsys):
    command("judge", finished[0])
    assert "default limits" not in capsys.readouterr().err
    policy = tmp_path / "policy.yaml"
    policy.write_text("limits: {gain: {severity: info}}")
    command("judge", finished[0], "--policy", policy, "--out", tmp_path / "other")
    assert "default limits" not in capsys.readouterr().err
    command("judge", tmp_path / "other", "--json")
    told = "judged by the default limits, not by those of the run: name these with --policy"
    assert told in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(("words", "kept"), [
    ("model.pt --data x", True), ("run model.pt", True), ("nulls fit --data x", True),
    ("model.pt --no-cache", False), ("selftest", False), ("cache clear", False),
])  # fmt: skip
def test_a_stop_says_whether_anything_is_kept(words, kept, monkeypatch):
    monkeypatch.setattr("sys.argv", ["audit", *words.split()])
    monkeypatch.delenv("AUDIT_NO_CACHE", raising=False)
    assert ("the same command continues" in cli.stopped()) == kept
    monkeypatch.setenv("AUDIT_NO_CACHE", "1")
    assert "nothing was kept" in cli.stopped()
