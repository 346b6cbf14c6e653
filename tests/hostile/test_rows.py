"""Readers that go away, files that never end, names on the terminal, the cache, and orphans."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from audit.cli import ignore_broken_pipe
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.jobs.execute import execute
from audit.jobs.store import Outcome, Store
from tests.hostile.test_checkpoints import assert_refused
from tests.samples.images import cats_and_dogs
from tests.samples.kinds import job_of, kinds_with
from tests.samples.outcomes import Noted

STORED = Path(__file__).parents[1] / "samples/report-v1"


# Reader goes away

READER = "limits: {gain: {severity: info}}"


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_goes_away_changes_no_exit_code(closed, tmp_path):
    (tmp_path / "policy.yaml").write_text(READER)
    words = [sys.executable, "-m", "audit", "judge", STORED, "--json", "--policy"]
    read, write = os.pipe()
    os.close(read)
    taken = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = [
        subprocess.run([*map(str, words), tmp_path / "policy.yaml"], check=False, **taken | other)
        for other in ({}, {closed: write})
    ]
    os.close(write)
    assert done[1].returncode == done[0].returncode == 3  # it does not say how many copies count
    assert b"Traceback" not in (done[1].stderr or b"")


def test_a_reader_of_the_progress_that_goes_away_ends_no_audit(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        monkeypatch.setattr(sys, "stderr", ignore_broken_pipe(gone))
        progress = Progress(quiet=False)
        progress.start(1.0)
        progress.say("reading")
        progress.job("training", 1.0)
    assert progress.lines[0].endswith("reading")


# Files that are no files of settings


def special(folder, kind):
    path = folder / "given.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 2**32)
    return path


LITTLE = ("import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); "
          "from audit.cli import main; main()")  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "device", "4 GB"])
@pytest.mark.parametrize("words", [
    ("m.pt", "--data", "no", "--config"), ("m.pt", "--data", "no", "--policy"), ("judge",),
])  # fmt: skip
def test_what_is_no_small_file_is_refused_and_does_not_block(words, kind, tmp_path):
    path = special(tmp_path, kind)
    run = [sys.executable, "-c", LITTLE, *words, str(path)]
    done = subprocess.run(run, check=False, capture_output=True, text=True, timeout=20)
    assert_refused(done.returncode, done.stderr, ("CONFIG_INVALID", "POLICY_INVALID", "REPORT_"))


# Names on the terminal

COMMAND = "##vso[task.complete]\u202e.png"


def test_the_name_of_a_model_cannot_act_on_a_terminal(command, tmp_path, capsys):
    (tmp_path / "\x1b[31mred\n::error::x.pt").write_bytes(b"hello")
    assert command("\x1b[31mred\n::error::x.pt", "--data", "nowhere") == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("::")]


DATA = {
    "unreadable": lambda data: (data / "val" / "cat" / COMMAND).write_bytes(b"x"),
    "link": lambda data: (data / "val" / "cat" / COMMAND).symlink_to("/etc"),
    "other class": lambda data: (data / "train" / "cat").rename(data / "train" / COMMAND),
    "empty class": lambda data: [(data / s / COMMAND).mkdir() for s in ("train", "val")],
}


@pytest.mark.parametrize("kind", DATA)
def test_no_name_of_the_data_commands_a_build_server(kind, model, command, tmp_path, capsys):
    data = cats_and_dogs(tmp_path / "data", ("cat", "dog", "eel"))
    DATA[kind](data)
    assert command(model, "--data", data, "-q", "--no-cache") == 2
    said = capsys.readouterr().err
    assert "task.complete" in said
    assert "##vso[" not in said
    assert said.strip().isprintable()


# The cache

OUTCOME = Outcome(Noted(number=1), {"x": np.arange(6.0)})


def test_a_cache_that_others_may_write_is_refused(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(AuditError, match="CACHE_UNUSABLE"):
        Store(tmp_path / "cache")


def test_a_cache_of_another_owner_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(AuditError, match=r"CACHE_UNUSABLE: .*another user"):
        Store(tmp_path)


def test_a_new_cache_is_for_its_owner_alone(tmp_path):
    store = Store(tmp_path / "cache")
    store.put("fit", "k", OUTCOME)
    for folder in (store.root, store.root / "fit"):
        assert folder.stat().st_mode & 0o777 == 0o700


def sealed(folder, name, content):
    from hashlib import sha256

    (folder / name).write_bytes(content)
    names = ("values.json", "arrays.safetensors")
    seal = {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "manifest.json").write_text(json.dumps(seal))


ENTRIES = {
    "empty": lambda f: (f / "values.json").write_bytes(b""),
    "list for a manifest": lambda f: (f / "manifest.json").write_text("[]"),
    "deep manifest": lambda f: (f / "manifest.json").write_text("[" * 100_000),
    "deep values": lambda f: sealed(f, "values.json", b"[" * 100_000),
    "values that are a list": lambda f: sealed(f, "values.json", b"[1]"),
    "arrays that are none": lambda f: sealed(f, "arrays.safetensors", b"garbage"),
    "another entry": lambda f: shutil.copytree(f.parent / "other", f, dirs_exist_ok=True),
    **{f"{n} of another": lambda f, n=n: shutil.copy(f.parent / "other" / n, f / n)
       for n in ("values.json", "arrays.safetensors", "manifest.json")},
}  # fmt: skip


@pytest.mark.parametrize("kind", ENTRIES)
def test_a_hostile_entry_is_set_aside_and_done_again(kind, tmp_path):
    store = Store(tmp_path)
    store.put("fit", "k", OUTCOME)
    store.put("fit", "other", Outcome(Noted(number=2), {"x": np.zeros(3)}))
    ENTRIES[kind](tmp_path / "fit" / "k")
    assert store.get("fit", "k", (Noted,)) is None
    store.put("fit", "k", OUTCOME)
    assert store.get("fit", "k", (Noted,)).values == Noted(number=1)


def worked(root, log, locked):
    """Eight jobs, by one of several audits."""

    def slow(*_):
        with log.open("a") as file:
            file.write("x\n")
        time.sleep(0.05)
        return OUTCOME

    store = Store(root)
    if not locked:
        store.lock = lambda *_: nullcontext()
    jobs = [job_of("fit", label=str(i), params={"i": i}) for i in range(8)]
    context, kinds = SimpleNamespace(device="cpu"), kinds_with(fit=slow)
    done = execute(jobs, context, store, Progress(quiet=True), kinds)
    assert all((o.arrays["x"] == OUTCOME.arrays["x"]).all() for o in done.outcomes.values())
    assert len(done.outcomes) == 8


@pytest.mark.parametrize("locked", [True, False])
def test_eight_audits_at_once_do_each_job_once(locked, tmp_path):
    """Without the lock they do some twice, and still nothing is torn."""
    fork = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    audits = [fork.Process(target=worked, args=(tmp_path / "c", log, locked)) for _ in range(8)]
    for audit in audits:
        audit.start()
    for audit in audits:
        audit.join(60)
    assert [audit.exitcode for audit in audits] == [0] * 8
    assert (len(log.read_text().split()) == 8) == locked
    assert not [p for p in (tmp_path / "c" / "fit").iterdir() if "-" in p.name]


# Workers

PARSER = (
    "from audit.model.files import sandbox as p; p.BOOT = p.BOOT.replace('; main()', "
    "'; import time, audit.model.files.sandbox_child as c; '"
    "'c.answer = lambda *_: time.sleep(99); main()'); "
    "child = p.Parsing(p.Path(sys.argv[1])).child; time.sleep(2)"
)
DECODER = (
    "import os; from audit.data import decoder_pool as apart; list(apart.decoded([b'x'])); "
    "(decoder,) = apart.POOL.idle; child = decoder.process; os.kill(child.pid, 19); time.sleep(0.5)"
)


@pytest.mark.parametrize("start", [PARSER, DECODER])
def test_no_child_outlives_an_audit_that_is_killed(start, tmp_path):
    """A parser that hangs, a decoder that is stopped."""
    (tmp_path / "m.pt").write_bytes(b"x")
    code = f"import sys, time; {start}; print(child.pid, flush=True); time.sleep(99)"
    audit = subprocess.Popen([sys.executable, "-c", code, tmp_path / "m.pt"], stdout=-1)
    child = Path("/proc") / audit.stdout.readline().decode().strip()
    audit.kill()
    audit.communicate()
    end = time.monotonic() + 10
    while child.exists() and time.monotonic() < end:
        time.sleep(0.1)
    left = child.exists()
    if left:
        os.kill(int(child.name), signal.SIGKILL)
    assert not left
