"""Faults while an audit runs: files that change, weights that burst, memory, disks and decoders."""

import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from audit import checks
from audit.baselines.train import Diverged, Recipe, predict, train
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.data import decoder_pool as apart
from audit.inputs.call import Call
from audit.inputs.model import file_digest, require_unchanged
from audit.inputs.settings import Settings
from audit.jobs.execute import execute
from audit.jobs.store import Store
from audit.pipeline import facts
from audit.pipeline.run_folder import write_run
from audit.pipeline.session import audit_one, open_session
from audit.runs.report import load_report
from tests.baselines.test_train import images, network
from tests.data.test_decoder_pool import PLAIN, SMALL, boot, packed  # noqa: F401 - a fixture
from tests.reports.test_text import files_at_most
from tests.samples.images import noise
from tests.samples.kinds import job_of, patch

# Input changes during the run


def test_a_model_file_that_changes_is_noticed(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"before")
    subject = SimpleNamespace(file=path, file_digest=file_digest(path), name="m")
    require_unchanged(subject)
    path.write_bytes(b"behind")
    with pytest.raises(AuditError, match="MODEL_CHANGED"):
        require_unchanged(subject)
    path.unlink()
    with pytest.raises(AuditError, match="MODEL_CHANGED"):
        require_unchanged(subject)


@pytest.mark.parametrize("what", ["MODEL", "DATA"])
def test_what_is_overwritten_while_measured_is_no_verdict(what, model, data, tmp_path, monkeypatch):
    path, folder = tmp_path / "m.pt", tmp_path / "data"
    shutil.copy(model, path)
    shutil.copytree(data, folder)

    def measuring(*_, **__):
        if what == "MODEL":
            path.write_bytes(b"other")
        else:
            noise(16, 16).save(next((folder / "val").rglob("*.png")))

    monkeypatch.setattr("audit.pipeline.audit.audit", measuring)
    monkeypatch.setattr(
        "audit.pipeline.assemble.assemble", lambda *_, **__: pytest.fail("a verdict")
    )
    call = Call(no_cache=True)
    session = open_session(Settings(data=folder, profile="quick"), call, Progress(True))
    with pytest.raises(AuditError, match=f"{what}_CHANGED"):
        audit_one(session, path, out=lambda _: tmp_path / "run")


# NaN loss


def test_weights_that_burst_at_the_last_step_are_no_network():
    """One step, so that no later loss shows it."""
    with pytest.raises(Diverged):
        train(network(), images(), Recipe(images_seen=64, batch=64, rate=1e9), seed=0)


# Memory


def test_what_does_not_fit_is_tried_once_with_a_smaller_batch():
    sizes = []

    def net(x):
        sizes.append(len(x))
        if len(x) > 32:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return torch.zeros(len(x), 2)

    net.eval, net.parameters = lambda: net, lambda: iter(())
    assert predict(net, images(), batch=64).shape == (64, 2)
    assert sizes == [64, 32, 32]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "it needs more memory than there is"),
        (RuntimeError("see \x1b[31m"), "RuntimeError"),
    ],
)
def test_what_fails_is_not_measured_in_words_that_are_safe(error, words, monkeypatch, capsys):
    def full(*_):
        raise error

    patch(monkeypatch, fit=full)
    job = job_of("fit", label="training x")
    done = execute(
        [job], SimpleNamespace(device="cpu"), Store(None), Progress(quiet=False), checks.kinds()
    )
    said = done.failures[job.key] + capsys.readouterr().err.replace("\n", "")
    assert job.key not in done.outcomes
    assert said.isprintable()
    assert words in said


# Disk full


@pytest.mark.parametrize("size", [0, 40, 1_000, 10_000])
def test_a_report_that_may_not_grow_is_none_at_all(size, finished_report, tmp_path):
    given = {"predictions_csv": b"x" * 20_000, "pictures": {}, "config": {}, "log": ["x"]}
    with files_at_most(size), pytest.raises(AuditError, match=r"OUT_UNUSABLE: .*[\d,]+ bytes"):
        write_run(tmp_path / "run", finished_report, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def finished_report():
    report = load_report(Path(__file__).parents[1] / "samples/report-v1")
    document = report.document.model_copy(update={"sections": ()})
    return report.model_copy(update={"document": document})


# Clock jump


def test_a_clock_that_is_set_back_gives_no_negative_time(monkeypatch):
    monkeypatch.setattr(time, "time", iter([1e9, 1e9 - 3600]).__next__)
    for name in ("stage_seconds", "null_facts"):
        monkeypatch.setattr(facts, name, lambda _: {})
    setup = SimpleNamespace(seed=0, profile=SimpleNamespace(model_dump=dict), n_train=9,
                            input=SimpleNamespace(side=32))  # fmt: skip
    found = SimpleNamespace(setup=setup, fitted=None, seconds=1.0, jobs=[], device="cpu", size=1,
                            done=SimpleNamespace(reused=[]), reference=None)  # fmt: skip
    assert facts.audit_facts(found, "", time.time()).seconds == 0


# Decoders


def test_a_decoder_that_never_ends_is_ended_by_its_limit(boot):  # noqa: F811
    fatal = packed(side=5)
    act = f"any(iter(int, 1)) if len(raw) == {len(fatal)} else decode(raw)"
    boot(f"child.SECONDS = 0.3\n{PLAIN}child.decode_bytes = lambda raw, large=True: {act}")
    first, bad, last = apart.decoded([SMALL, fatal, SMALL])
    assert str(bad) == "takes too much time or memory to decode, or ends its decoder"
    assert first.size == last.size == (8, 4)
    assert apart.WAIT > 300  # longer than a test may take: it was the child's limit that ended it


@pytest.mark.parametrize("number", [9, 19])
def test_a_decoder_that_is_killed_or_stopped_is_replaced(number, boot, monkeypatch):  # noqa: F811
    monkeypatch.setattr(apart, "WAIT", 2.0)
    boot("child.SECONDS = 5.0\n")
    (before,) = apart.decoded([SMALL])
    os.kill(apart.POOL.idle[0].process.pid, number)
    (after,) = apart.decoded([SMALL])
    assert before.tobytes() == after.tobytes()
