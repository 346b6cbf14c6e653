"""Minutes rather than seconds: the demo, an audit of real images, and the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from audit.runs.report import load_report
from tests.conftest import REAL_DATA

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def run(*words, cwd):
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_demo_ends_with_zero_and_a_report(tmp_path):
    done = run("-m", "audit", "demo", "--out", "demo", "--no-cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = load_report(tmp_path / "demo" / "report")
    code = report.document.exit_code
    assert f"the gate would have returned exit code {code}" in done.stderr
    measured = {m.name: m.value for m in report.measurements}
    assert measured["accuracy_gap.accuracy.subject"] > 0.8
    assert measured["accuracy_gap.accuracy.bagnet-9"] > 0.8


@pytest.mark.skipif(REAL_DATA is None, reason="AUDIT_DATA names no image folder")
def test_audit_of_an_image_folder(tmp_path):
    data = REAL_DATA
    words = ["--data-dir", data, "--model", "resnet10t", "--epochs", "1", "--limit", "2000"]
    trained = run(ROOT / "examples/train_subject.py", *words, "-o", "model.pt", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    changes = ["--set", "images_seen=5000", "--set", "transfer_seen=500", "--quick"]
    done = run("-m", "audit", "model.pt", "--data", data, *changes, "--out", "run",
               "--cache", "cache", cwd=tmp_path)  # fmt: skip
    assert done.returncode in (1, 3), done.stderr  # an hour's training is missing: never a pass
    assert load_report(tmp_path / "run").document.exit_code == done.returncode


def test_wheel_holds_everything_and_runs_elsewhere(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        opened.extractall(tmp_path / "site")
    data = {"data/embedded/fashion-mnist.npz", "data/embedded/LICENSE-fashion-mnist"}
    assert {f"audit/{name}" for name in data} | {"reports/templates/report.html"} <= names
    site = str(tmp_path / "site")
    code = f"import sys; sys.path.insert(0, {site!r}); import audit; print(audit.__file__)"
    assert str(tmp_path) in run("-P", "-c", code, cwd=tmp_path).stdout
