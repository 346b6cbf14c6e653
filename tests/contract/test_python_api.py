"""The Python interface: the page about it runs, and it refuses what the command refuses."""

import doctest
import shutil
import subprocess
import sys

import pytest
import torch

import audit
from audit.model.in_memory import require_same, write_module
from audit.runs.finished import load_run
from tests.samples.audits import KWARGS, ROOT

timm = pytest.importorskip("timm")
STORED = ROOT / "tests/samples/report-v1"


def network(**more):
    given = {"in_chans": 1, "num_classes": 3, **KWARGS}
    return timm.create_model("resnet10t", **given | more)


def test_the_page_runs(data, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(model, "model.pt")
    (tmp_path / "data").symlink_to(data)
    page = str(ROOT / "docs/python.md")
    found = doctest.testfile(page, module_relative=False, encoding="utf-8")
    assert found.attempted > 10
    assert found.failed == 0


def test_importing_it_takes_no_torch():
    code = "import audit, sys; audit.load_policy(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


@pytest.mark.parametrize(("given", "reason"), [
    ({"profil": "quick"}, "CONFIG_INVALID"), ({"as_json": True}, "CONFIG_INVALID"),
    ({"seed": "x"}, "CONFIG_INVALID"), ({"data": 3}, "CONFIG_INVALID"),
])  # fmt: skip
def test_what_no_setting_is_called_is_refused(given, reason):
    with pytest.raises(audit.AuditError) as caught:
        audit.run("m.pt", **given)
    assert caught.value.reason == reason


def test_a_file_that_is_not_there_is_refused_and_nothing_is_left(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    with pytest.raises(audit.AuditError, match="MODEL_NOT_FOUND"):
        audit.run("nosuch.pt", data, no_cache=True, threads=threads + 1)
    assert torch.get_num_threads() == threads
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_ones_own_is_refused(data):
    with pytest.raises(audit.AuditError, match=r"MODEL_ARCH_UNKNOWN.*Linear"):
        audit.run(torch.nn.Linear(2, 2), data)


def test_a_network_that_was_changed_after_timm_built_it_is_refused(tmp_path, monkeypatch):
    from audit.model.checkpoint import load_subject

    net = network().train()
    frozen = next(part for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d))
    frozen.eval()
    subject = load_subject(write_module(net, tmp_path), img_size=16)
    require_same(net, subject)
    assert net.training
    assert not frozen.training
    monkeypatch.setattr(net, "forward", lambda x: torch.zeros(len(x), 3))
    with pytest.raises(audit.AuditError, match=r"MODEL_ARCH_MISMATCH.*answers otherwise"):
        require_same(net, subject)


def test_weights_in_memory_are_never_pickled(tmp_path):
    folder = write_module(network(), tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_run_shows_itself_in_a_notebook():
    shown = load_run(STORED)._repr_html_()
    assert shown.startswith("<div>")
    assert shown.count("<tr>") == 3
    assert "whole report" not in shown  # there is none beside the stored sample


def test_names_of_others_do_nothing_in_a_notebook(tmp_path):
    run = load_run(STORED)
    document = run.report.document.model_copy(update={"title": "<script>x</script>\x1b"})
    (tmp_path / "report.html").write_text("")
    changed = type(run)(run.report.model_copy(update={"document": document}), tmp_path, run.read)
    shown = changed._repr_html_()
    assert "<script>" not in shown
    assert "\x1b" not in shown
    assert (tmp_path / "report.html").as_uri() in shown
