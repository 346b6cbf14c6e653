"""Jobs side by side: the same results as one by one, and a child that dies takes only its job."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audit import checks
from audit.core import workers as workers
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.core.workers import WorkerDiedError, WorkerPool, WorkerResult, worker_count
from audit.jobs.attempt import Work
from audit.jobs.execute import execute
from audit.jobs.job import longest_chains
from audit.jobs.kind import kinds_in
from audit.jobs.scheduler import JobResults, Scheduler
from audit.jobs.store import Outcome, Store
from tests.samples.audits import TINY, invoked, sets
from tests.samples.kinds import job_of, patch
from tests.samples.outcomes import Noted

SHOP = SimpleNamespace(device="cpu")
BASELINES = kinds_in(checks.kinds(), "baseline")


def messages(*works, size=2):
    pool, found = WorkerPool(size), []
    for i, work in enumerate(works):
        pool.start(str(i), work)
    while pool.children:
        found.append(pool.wait())
    return found


def test_a_child_tells_messages_in_order_and_ends_with_its_result():
    found = messages(lambda tell: [tell("a"), tell("b"), os.getpid()][-1])
    assert [said for _, said in found[:2]] == ["a", "b"]
    assert found[2][1].result != os.getpid()


def test_children_work_at_the_same_time():
    def work(_):
        began = time.monotonic()
        time.sleep(1.0)
        return began, time.monotonic()

    spans = [has_message.result for _, has_message in messages(work, work)]
    assert max(began for began, _ in spans) < min(ended for _, ended in spans)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "killed, as the system does where memory"),
        (lambda _: os.kill(os.getpid(), signal.SIGTERM), "ended by SIGTERM"),
        (lambda _: os._exit(3), "exit code 3"),
        (lambda _: 1 / 0, "ZeroDivisionError"),
        (lambda tell: tell(lambda: None), "pickle"),
        (lambda _: lambda: None, "pickle"),
    ],
)
def test_a_child_without_a_result_says_how_it_ended(work, words):
    (_, ended), *more = messages(work)
    assert isinstance(ended, WorkerResult)
    assert isinstance(ended.result, WorkerDiedError)
    assert words in str(ended.result)
    assert not more


def test_closing_ends_children_whatever_they_do():
    pool = WorkerPool(1)
    pool.start("x", lambda _: time.sleep(60))
    pid = pool.children["x"][0].pid
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_more_children_than_threads_or_than_have_room(monkeypatch):
    rooms, threads = [3 * workers.ROOM], [2]
    monkeypatch.setattr(workers, "free_memory", lambda: rooms[-1])
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    assert worker_count() == 2
    threads.append(8)
    assert worker_count(torch.device("cpu")) == 3
    rooms.append(workers.ROOM)
    assert worker_count() == 1
    assert worker_count(torch.device("cuda")) == 1
    assert messages(lambda _: worker_count())[0][1].result == 1
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert worker_count() == 1
    monkeypatch.undo()
    monkeypatch.setattr(workers, "free_memory", lambda: 0)
    assert worker_count() == 1


def system(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 99 kB\nMemAvailable:  50 kB\n"}
GROUP = "sys/fs/cgroup/"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        (MEMINFO, 50 * 1024),
        ({}, workers.ROOM),
        (MEMINFO | {GROUP + "memory.max": "max\n", GROUP + "memory.current": "9"}, 50 * 1024),
        (MEMINFO | {GROUP + "memory.max": "100", GROUP + "memory.current": "90"}, 10),
        (
            MEMINFO
            | {GROUP + "memory.max": "100", GROUP + "memory.current": "90"}
            | {GROUP + "memory.stat": "anon 60\ninactive_file 30\n"},
            40,
        ),
        (
            {GROUP + "memory/memory.limit_in_bytes": "100"}
            | {GROUP + "memory/memory.usage_in_bytes": "120"},
            0,
        ),
    ],
)
def test_free_memory_is_what_the_system_and_the_control_group_leave(files, free, tmp_path):
    assert workers.free_memory(system(tmp_path, files)) == free


def test_a_child_that_nobody_hears_goes_on():
    """Shares that find no room in the pipe are left out; messages wait."""

    def work(line):
        for _ in range(20_000):
            line.has_message = 0.0
            line.report_progress(0.5)
        return "done"

    pool = WorkerPool(1)
    pool.start("x", work)
    process = pool.children["x"][0]
    process.join(5)  # it waits with its result only
    heard = []
    while pool.children:
        heard.append(pool.wait()[1])
    assert heard[-1].result == "done"
    assert 0 < len(heard) < 20_000


def test_a_child_may_speak_while_a_thread_of_the_parent_holds_the_stream(monkeypatch):
    lock = threading.Lock()

    class CacheEntries:
        def write(self, _):
            with lock:
                return 0

        def flush(self):
            pass

    monkeypatch.setattr("sys.stderr", CacheEntries())
    with lock:
        pool = WorkerPool(1)
        pool.start("x", lambda _: print("a warning", file=sys.stderr))
        assert pool.wait()[1].result is None


def test_the_error_of_an_input_comes_back_as_it_was():
    error = messages(lambda _: AuditError("DATA_ODD", "one sentence."))[0][1].result
    assert (error.reason, str(error)) == ("DATA_ODD", "DATA_ODD: one sentence.")


def chain(kind, n, after=(), cost=1.0):
    return job_of(kind, label=f"{kind} {n}", params={"n": n}, after=after, cost=cost)


def test_the_longest_chain_begins_first():
    first = chain("choose", 1, cost=2.0)
    long, short = chain("fit", 1, (first,), 5.0), chain("fit", 2, (first,), 1.0)
    lone = chain("choose", 2, cost=6.0)
    costs = longest_chains([first, lone, long, short])
    assert [costs[job.key] for job in (first, lone, long, short)] == [7.0, 6.0, 5.0, 1.0]


@pytest.fixture
def adding(monkeypatch):
    """Every job is one more than the sum of those that it needs; it tells who did it."""

    def add(job, context, results, tick):
        tick(0.5)
        total = 1 + sum(results[needed.key].arrays["n"] for needed in job.after)
        return Outcome(Noted(number=os.getpid()), {"n": np.array(total)})

    patch(monkeypatch, **dict.fromkeys(checks.kinds(), add))


def diamond():
    facts = chain("train_facts", 0)
    chosen = [chain("choose", n, (facts,)) for n in range(3)]
    fits = [chain("fit", n, (job,)) for n, job in enumerate(chosen)]
    shown = [
        chain("null_outputs", n, (fits[n],)).model_copy(update={"label": "x"}) for n in range(3)
    ]
    return [facts, *chosen, *fits, *shown, chain("stack", 0, tuple(shown)), chain("dimension", 0)]


def work(done):
    """What every job is done with."""
    return Work(SHOP, Store(None), checks.kinds(), done.outcomes)


@pytest.mark.parametrize("stored", [False, True])
def test_side_by_side_gives_what_one_by_one_gives(adding, tmp_path, stored):
    jobs = diamond()
    alone = execute(jobs, SHOP, Store(None), Progress(quiet=True), checks.kinds())
    store = Store(tmp_path if stored else None)
    done = execute(jobs, SHOP, store, Progress(quiet=True), checks.kinds(), size=2)
    for job in jobs:
        assert done.outcomes[job.key].arrays == alone.outcomes[job.key].arrays
        in_workers = done.outcomes[job.key].values.number != os.getpid()
        assert in_workers == (job.kind in BASELINES)
        assert store.has(job.kind, job.key)
    assert done.seconds.keys() == alone.seconds.keys()


def test_a_child_that_ends_is_noticed_between_the_jobs_that_are_done_here(adding, monkeypatch):
    first = chain("choose", 0)
    jobs = [first, *(chain("dimension", n) for n in range(3)), chain("fit", 0, (first,))]
    pool = WorkerPool(2)

    def wait(*_):
        while pool.children and not pool.has_message():
            time.sleep(0.01)
        return Outcome()

    patch(monkeypatch, dimension=wait)
    progress = Progress(quiet=True)
    done, waiting = JobResults(), {job.key: job for job in jobs}
    Scheduler(waiting, work(done), progress, done, pool, BASELINES).do_all()
    begun = [line.split(" ", 1)[1] for line in progress.lines]
    assert begun[:2] == ["choose 0", "dimension 0"]
    assert begun.index("fit 0") < begun.index("dimension 2")


@pytest.mark.parametrize("why", ["killed", "can't allocate memory"])
def test_a_copy_that_lacked_memory_is_done_once_more_when_no_other_runs(why, adding, monkeypatch):
    ours, running = os.getpid(), []

    def learn(job, *_):
        if os.getpid() == ours:
            running.append(len(scheduler.running))
            return Outcome(arrays={"n": np.array(1)})
        if job.params["n"] == 0 and why == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if job.params["n"] == 0:
            raise RuntimeError(why)
        time.sleep(0.5)
        return Outcome(arrays={"n": np.array(2)})

    patch(monkeypatch, transfer=learn)
    jobs = {job.key: job for job in (chain("transfer", n, cost=3.0 - n) for n in range(3))}
    done, pool = JobResults(), WorkerPool(2)
    apart = frozenset(["transfer"])
    scheduler = Scheduler(dict(jobs), work(done), Progress(quiet=True), done, pool, apart)
    scheduler.do_all()
    assert not done.failures
    assert [int(done.outcomes[key].arrays["n"]) for key in jobs] == [1, 2, 2]
    assert running == [1]  # itself


def failed_where(monkeypatch, choose):
    """Labels that failed where `choose 1` does what is given, and those that began, in order."""
    other = Outcome(arrays={"n": np.array(0)})
    patch(monkeypatch, choose=lambda job, *_: choose() if job.params["n"] == 1 else other)
    jobs, progress = diamond(), Progress(quiet=True)
    done = execute(jobs, SHOP, Store(None), progress, checks.kinds(), size=2)
    failed = [job for job in jobs if job.key in done.failures]
    return [(job.kind, job.params["n"]) for job in failed], done.failures.get(jobs[2].key, "")


def test_a_job_whose_child_ends_takes_only_those_that_need_it(adding, monkeypatch):
    failed, why = failed_where(monkeypatch, lambda: os._exit(3))
    assert failed == [("choose", 1), ("fit", 1), ("null_outputs", 1), ("stack", 0)]
    assert "its process ended with exit code 3" in why


def test_a_job_whose_child_was_killed_is_done_once_more_here(adding, monkeypatch):
    parent = os.getpid()

    def choose():
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(arrays={"n": np.array(0)})

    assert failed_where(monkeypatch, choose) == ([], "")


def test_where_no_child_can_be_started_all_is_done_here(adding, monkeypatch):
    monkeypatch.setattr(os, "fork", lambda: (_ for _ in ()).throw(BlockingIOError("no more")))
    jobs = diamond()
    done = execute(jobs, SHOP, Store(None), Progress(quiet=True), checks.kinds(), size=2)
    assert {outcome.values.number for outcome in done.outcomes.values()} == {os.getpid()}
    assert not done.failures


def test_a_job_that_refuses_its_input_ends_all_and_leaves_no_child(adding, monkeypatch):
    def refuses(job, *_):
        if job.params["n"] == 1:
            raise AuditError("DATA_ODD", "one sentence.")
        time.sleep(60)

    patch(monkeypatch, choose=refuses)
    with pytest.raises(AuditError, match="one sentence"):
        execute(diamond(), SHOP, Store(None), Progress(quiet=True), checks.kinds(), size=2)
    assert not multiprocessing.active_children()


def test_nulls_learn_the_same_in_children_bit_for_bit(data, tmp_path, monkeypatch):
    from safetensors.numpy import load_file

    begun, start, weights = [], WorkerPool.start, []
    monkeypatch.setattr(workers, "free_memory", lambda: 9 * workers.ROOM)
    monkeypatch.setattr(WorkerPool, "start", lambda *given: begun.append(given[1]) or start(*given))
    for threads in (1, 2):
        out = tmp_path / str(threads)
        flags = ["--threads", threads, "--no-cache", "--img-size", "16", "--out", out]
        small = sets(TINY | {"images_seen": 1000})
        invoked("nulls", "fit", "--data", data, "--quick", *flags, *small)
        files = [
            file for kind in ("choose", "fit") for file in out.glob(f"entries/{kind}/*/*.safe*")
        ]
        weights.append({str(f.relative_to(out)): load_file(f) for f in files})
        assert bool(begun) == (threads == 2)
    alone, in_workers = weights
    assert len(alone) > 4
    assert alone.keys() == in_workers.keys()
    for name, arrays in alone.items():
        assert all(np.array_equal(arrays[key], in_workers[name][key]) for key in arrays)
