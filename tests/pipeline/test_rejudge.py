"""A finished run judged again and rendered again, without torch."""

import json
import subprocess
import sys

import pytest

from audit.api import load_policy
from audit.core.errors import AuditError
from audit.jobs.folders import dumped, new_folder
from audit.pipeline.rejudge import judged_again
from audit.runs.report import load_report
from tests.samples.measurements import as_version_1
from tests.samples.runs import report, wrong


def test_judged_by_the_same_policy_nothing_changes(finished):
    report = load_report(finished[0])
    again = judged_again(report, load_policy())
    assert again.model_dump_json() == report.model_dump_json()


@pytest.mark.parametrize(
    ("q_subject", "words", "reason"),
    [
        (9.0, "32 x 32 pixels", ""),
        (20.25, "64 x 64 pixels (the model sees 144)", "NULLS_REDUCED"),
        (9.0, "64 x 64 pixels (the model sees 128x64)", "NULLS_REDUCED"),
    ],
)
def test_a_report_of_before_shows_what_the_nulls_saw(tmp_path, q_subject, words, reason):
    """Its sides follow from q, and of rectangles from what it says."""
    made = report(wrong(20), wrong(120))
    old = {"q": 9.0, "q_subject": q_subject, "q_share": 9 / (32 if "32" in words else 64)}
    gains = [m.model_copy(update={"detail": m.detail | old}) if ".gain." in m.name else m
             for m in made.measurements]  # fmt: skip
    document = made.document.model_copy(update={"data": {"nulls see": words}})
    stored = made.model_copy(update={"measurements": tuple(gains), "document": document})
    (tmp_path / "report.yaml").write_bytes(dumped(as_version_1(stored)))
    again = judged_again(load_report(tmp_path), load_policy())
    gain = next(f for f in again.findings if f.limit == "gain")
    assert (gain.verdict == "pass", gain.reason) == (not reason, reason)


def test_another_policy_another_verdict(finished, command, tmp_path, capsys):
    limits = "gain: {severity: info}\n  near_leaks: {severity: info}"
    (tmp_path / "policy.yaml").write_text(f"version: 1\nlimits:\n  {limits}\n")
    words = ["--policy", tmp_path / "policy.yaml", "--out", tmp_path / "again", "--json"]
    code = command("judge", finished[0], *words)
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == code == load_report(tmp_path / "again").document.exit_code
    assert {"prior_gap", "exact_leaks"} <= set(found["gates"])
    assert not {"gain", "near_leaks"} & set(found["gates"])
    assert (tmp_path / "again" / "predictions.csv.gz").is_file()


def test_judge_and_render_need_no_torch(finished, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['timm'] = None; "
        "from audit.cli import main; main()"
    )
    for words in (["judge", finished[0]], ["render", finished[0]]):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], capture_output=True, check=False
        )
        assert done.returncode in (0, 1, 3), done.stderr
        assert b"INTERNAL" not in done.stderr


def test_render_gives_the_same_bytes(finished, command):
    before = (finished[0] / "report.html").read_bytes()
    (finished[0] / "report.html").unlink()
    assert command("render", finished[0]) == 0
    assert (finished[0] / "report.html").read_bytes() == before


@pytest.mark.parametrize(("text", "reason"), [
    (None, "REPORT_NOT_FOUND"), ("a: [", "REPORT_INVALID"), ("a: 1", "REPORT_SCHEMA"),
    ("schema_version: 3", "REPORT_SCHEMA"), ("schema_version: 1\ndocument: {}", "REPORT_INVALID"),
])  # fmt: skip
def test_what_is_no_report_is_refused(tmp_path, command, capsys, text, reason):
    if text is not None:
        (tmp_path / "report.yaml").write_text(text)
    assert command("judge", tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"audit: {reason}: ")


def fill_and_break(out):
    with new_folder(out) as folder:
        (folder / "half").write_text("written")
        raise OSError(28, "disk full")


def test_a_folder_that_cannot_be_filled_leaves_nothing(tmp_path):
    with pytest.raises(AuditError, match="OUT_UNUSABLE"):
        fill_and_break(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_policy_named_by_a_variable_is_not_forgotten(finished, command, monkeypatch, capsys):
    monkeypatch.setenv("AUDIT_POLICY", "/nowhere/policy.yaml")
    assert command("judge", finished[0]) == 2
    assert "POLICY_INVALID" in capsys.readouterr().err
