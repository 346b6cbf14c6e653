"""Faults while an audit runs: no half report, no half entry, one sentence, and it can go on."""

import errno
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from audit.core.errors import AuditError
from audit.inputs.data import load_data, load_others, load_training_data
from audit.inputs.settings import Settings
from audit.jobs.folders import claim_folder
from audit.jobs.store import Outcome, Store
from audit.model.checkpoint import load_subject
from audit.model.files.digest import require_digest
from audit.pipeline import run_folder as folder
from audit.pipeline.run_folder import write_run
from audit.runs.report import load_report
from tests.hostile.test_checkpoints import assert_refused
from tests.samples.audits import tiny_flags
from tests.samples.outcomes import Noted

STEPS = ("fsync", "replace", "rename")  # of `os`, behind which every file and folder appears
OUTCOME = Outcome(Noted(number=1), {"x": np.arange(6.0)})


def killed_at(step, work):
    """Whether `work`, in a process of its own, was killed when it came to its n-th step."""

    def run():
        left = count(step, -1)
        for name in STEPS:
            real = getattr(os, name)

            def at(*words, real=real, **more):
                if not next(left):
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*words, **more)

            setattr(os, name, at)
        work()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_a_kill_at_any_step_leaves_a_whole_report_or_none(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "dumped", lambda _: b"x: 1")  # what takes long: the same each time
    report = load_report(finished[0])
    report = report.model_copy(update={"document": report.document.model_copy(
        update={"sections": ()})})  # fmt: skip
    given = {"predictions_csv": b"x", "pictures": {}, "config": {}, "log": ["x"]}
    names = {p.name for p in finished[0].iterdir()}
    for step in count():
        out = tmp_path / f"{step}" / "run"
        killed = killed_at(step, lambda out=out: write_run(out, report, **given))
        assert not out.exists() or {p.name for p in out.iterdir()} == names
        if not killed:
            break
    assert out.exists()
    assert step > 2 * len(names) - 2  # each file is flushed and renamed


def test_a_kill_at_any_step_leaves_a_whole_entry_of_the_cache_or_none(tmp_path):
    for step in count():
        store = Store(tmp_path / f"{step}")
        killed = killed_at(step, lambda store=store: store.put("fit", "k", OUTCOME))
        found = store.get("fit", "k", (Noted,))
        assert found is None or found.values == OUTCOME.values
        store.put("fit", "k", OUTCOME)  # the next audit is not in the way of what was left
        assert store.get("fit", "k", (Noted,)) is not None
        if not killed:
            break
    assert step >= 5  # three files, their folder and the one around it


def test_without_a_temporary_name_a_kill_leaves_half_a_report(tmp_path):
    """Negative control."""

    def careless():
        (tmp_path / "run").mkdir()
        for name in ("a", "b"):
            (tmp_path / "run" / name).write_text("x")
            (tmp_path / "run" / name).replace(tmp_path / "run" / name)

    assert killed_at(1, careless)
    assert (tmp_path / "run").exists()


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "place", ["audit.reports.files.os.fsync", "audit.jobs.folders.tempfile.mkdtemp"]
)
def test_a_full_disk_leaves_no_report_and_says_so(
    place, data, model, cache, finished, command, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(place, full)
    code = command(model, *tiny_flags(data, cache, tmp_path / "run"), "-q")
    assert_refused(code, told := capsys.readouterr().err, ("OUT_UNUSABLE",))
    assert "No space left on device" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("--out", "run")])
@pytest.mark.parametrize("models", [1, 2])
def test_a_place_that_takes_no_report_is_said_before_any_work(
    words, models, model, command, capsys, monkeypatch
):
    monkeypatch.setattr("audit.jobs.folders.tempfile.mkdtemp", full)
    monkeypatch.setattr("audit.commands.run.open_session", lambda *_, **__: pytest.fail("work"))
    code = command(*[model] * models, "--data", "nowhere", *words)
    assert_refused(code, capsys.readouterr().err, ("OUT_UNUSABLE",))


def test_a_full_disk_of_the_cache_is_no_verdict(
    data, model, command, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr("audit.jobs.store.write_entry", full)
    code = command(model, *tiny_flags(data, tmp_path / "cache", tmp_path / "run"), "-q")
    assert_refused(code, told := capsys.readouterr().err, ("CACHE_UNUSABLE",))
    assert re.search(r"of about [\d,]+ bytes, but \S+cache gave 'No space left", told)
    assert not (tmp_path / "run").exists()
    assert not list((tmp_path / "cache").rglob("*.json"))


@pytest.mark.parametrize(
    ("write", "words"),
    [("tempfile.NamedTemporaryFile", "could not be written"), ("sys.stderr.write", "")],
)
def test_a_fault_that_cannot_be_written_down_is_no_verdict(
    write, words, command, capsys, monkeypatch
):
    monkeypatch.setattr("audit.cli.audit", lambda **_: 1 / 0)
    monkeypatch.setattr(write, full)
    assert command("demo") == 2
    said = capsys.readouterr().err
    assert words in said
    assert bool(said) == bool(words)


def test_a_full_place_for_temporary_files_is_not_the_models_fault(model, monkeypatch):
    monkeypatch.setattr("audit.model.files.sandbox.tempfile.TemporaryFile", full)
    with pytest.raises(AuditError, match=r"a temporary file gave 'No space left on.*TMPDIR"):
        load_subject(model)


def closed(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied", "somewhere")


@pytest.mark.parametrize(("refused", "method", "use"), [
    ("MODEL_UNREADABLE", "open", lambda data, model: require_digest(model, ["0" * 64])),
    ("MODEL_UNREADABLE", "is_file", lambda data, model: require_digest(model, ["0" * 64])),
    ("MODEL_NOT_A_FILE", "is_file", lambda data, model: load_subject(model.parent)),
    ("DATA_UNREADABLE", "is_dir", lambda data, model: load_data(Settings(data=data))),
    ("DATA_UNREADABLE", "is_dir", lambda data, model: load_training_data(
        Settings(train_data=data / "train"))),
    ("DATA_UNREADABLE: --probe-data", "is_dir", lambda data, model: load_others(
        Settings(probe_data=data))),
    ("OUT_UNUSABLE", "exists", lambda data, model: claim_folder(data / "run")),
])  # fmt: skip
def test_what_may_not_be_read_is_said(refused, method, use, data, model, monkeypatch):
    monkeypatch.setattr(Path, method, closed)
    with pytest.raises(AuditError) as told:
        use(data, model)
    monkeypatch.undo()
    assert str(told.value).startswith(refused)
    assert refused == "MODEL_NOT_A_FILE" or "'Permission denied'" in str(told.value)


def no_network(*_, **__):
    raise AssertionError("something was to be sent")


def test_no_network_is_asked_for(data, model, cache, finished, command, tmp_path, monkeypatch):
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, no_network)
    with pytest.raises(AssertionError, match="to be sent"):
        socket.create_connection(("localhost", 1))
    assert command("inspect", model) == 0
    code = command(model, *tiny_flags(data, cache, tmp_path / "run"), "-q")
    assert code == finished[1].return_value


def started(model, data, cache, out, *before):
    words = [*before, sys.executable, "-m", "audit", model, *tiny_flags(data, cache, out), "-q"]
    return subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True, cwd=cache)


def entries(cache):
    """Whole entries of a cache, and when each was written."""
    return {p: p.stat().st_mtime_ns for p in cache.glob("*/*/manifest.json")
            if "-" not in p.parent.name}  # fmt: skip


def stopped(number, model, data, cache, out):
    """An audit that gets a signal once it has kept a few results; what it says, and how it ends."""
    run = started(model, data, cache, out)
    while run.poll() is None and len(entries(cache)) < 3:
        time.sleep(0.05)
    begin = time.monotonic()
    run.send_signal(number)
    said = run.communicate(timeout=60)[1]
    return run.returncode, said, time.monotonic() - begin


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_audit_that_is_ended_goes_on_from_its_cache(
    number, code, data, model, command, tmp_path
):
    cache, out = tmp_path / "cache", tmp_path / "run"
    cache.mkdir()
    ended, said, seconds = stopped(number, model, data, cache, out)
    kept = entries(cache)

    assert (ended, seconds < 5) == (code, True)
    assert ("the same command continues" in said) == (number == signal.SIGTERM)
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
    assert command(model, *tiny_flags(data, cache, out), "-q") in (0, 1, 3)
    assert kept.items() <= entries(cache).items()  # none of it was done again
    assert len(entries(cache)) > len(kept) >= 3
    assert (out / "report.html").exists()


@pytest.mark.slow
def test_a_whole_audit_without_any_network(data, model, tmp_path):
    alone = ("unshare", "--map-root-user", "--net")
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody take the network away")
    (tmp_path / "cache").mkdir()
    run = started(model, data, tmp_path / "cache", tmp_path / "run", *alone)
    said = run.communicate(timeout=240)[1]
    assert run.returncode in (0, 1, 3), said
    assert (tmp_path / "run" / "report.html").exists()
