"""The command runs from wherever it is installed, whatever packages the user's folder holds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.samples.audits import ROOT

LEFT_OUT = shutil.ignore_patterns("build", "*.egg-info", ".venv*", ".git", "__pycache__")


@pytest.fixture(scope="module", params=["wheel", "editable", "checkout"])
def installed(request, tmp_path_factory):
    """How the command is called, and what its path needs."""
    if request.param == "checkout":
        return [sys.executable, "-c", "import null_audit; null_audit.main()"], str(ROOT)
    place = tmp_path_factory.mktemp(request.param)
    source = [request.getfixturevalue("wheel")] if request.param == "wheel" else editable(place)
    python = place / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    site = next((place / "venv/lib").glob("python*/site-packages"))
    (site / "borrowed.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")  # the libraries
    words = ["install", "-q", "--no-deps", "--no-index", "--no-build-isolation", *source]
    pip = [sys.executable, "-m", "pip", "--python", python]
    subprocess.run([*pip, *words], check=True, capture_output=True)
    return [place / "venv/bin/audit"], ""


def editable(place):
    """A copy: the build leaves files beside what it installs."""
    shutil.copytree(ROOT, place / "source", ignore=LEFT_OUT, symlinks=True)
    return ["-e", place / "source"]


@pytest.fixture
def run(installed, tmp_path):
    """Runs the command in a folder whose packages bear the names of ours, and are broken."""
    command, more = installed
    for name in ("audit", "baselines", "reports"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not the tool')\n")
    path = os.pathsep.join([".", more] if more else ["."])

    def call(*words):
        return subprocess.run(
            [*command, *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_the_version_is_told(run):
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("audit, version ")


def test_a_run_that_is_missing_is_refused(run):
    done = run("judge", "nosuch")
    assert done.returncode == 2
    assert done.stderr.startswith("audit: ")
    assert "nosuch" in done.stderr
