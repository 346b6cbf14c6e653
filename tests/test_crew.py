"""Jobs side by side: the same results as one by one, and a child that dies takes only its job."""

import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TINY, invoked, sets

from audit import crew as crews
from audit.crew import Crew, Ended, LostError, crew_size
from audit.jobs import KINDS, execute
from audit.progress import Progress
from audit.record import AuditError
from audit.store import Outcome, Store
from audit.work import Job, longest_chains

SHOP = SimpleNamespace(device="cpu")


def messages(*works, size=2):
    crew, found = Crew(size), []
    for i, work in enumerate(works):
        crew.start(str(i), work)
    while crew.children:
        found.append(crew.wait())
    return found


def test_a_child_tells_messages_in_order_and_ends_with_its_result():
    found = messages(lambda tell: [tell("a"), tell("b"), os.getpid()][-1])
    assert [said for _, said in found[:2]] == ["a", "b"]
    assert found[2][1].result != os.getpid()


def test_children_work_at_the_same_time():
    began = time.monotonic()
    messages(lambda _: time.sleep(0.5), lambda _: time.sleep(0.5))
    assert time.monotonic() - began < 0.9


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
    assert isinstance(ended, Ended)
    assert isinstance(ended.result, LostError)
    assert words in str(ended.result)
    assert not more


def test_closing_ends_children_whatever_they_do():
    crew = Crew(1)
    crew.start("x", lambda _: time.sleep(60))
    pid = crew.children["x"][0].pid
    crew.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_more_children_than_threads_or_than_have_room(monkeypatch):
    rooms, threads = [3 * crews.ROOM], [2]
    monkeypatch.setattr(crews, "free_memory", lambda: rooms[-1])
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    assert crew_size() == 2
    threads.append(8)
    assert crew_size(torch.device("cpu")) == 3
    assert crew_size(torch.device("cuda")) == 1
    assert messages(lambda _: crew_size())[0][1].result == 1
    rooms.append(0)
    assert crew_size() == 1


def test_the_error_of_an_input_comes_back_as_it_was():
    error = messages(lambda _: AuditError("DATA_ODD", "one sentence."))[0][1].result
    assert (error.reason, str(error)) == ("DATA_ODD", "DATA_ODD: one sentence.")


def chain(kind, n, after=(), cost=1.0):
    return Job(kind=kind, label=f"{kind} {n}", params={"n": n}, after=after, cost=cost)


def test_the_longest_chain_begins_first():
    first = chain("choose", 1, cost=2.0)
    long, short = chain("fit", 1, (first,), 5.0), chain("fit", 2, (first,), 1.0)
    lone = chain("choose", 2, cost=6.0)
    costs = longest_chains([first, lone, long, short])
    assert [costs[job.key] for job in (first, lone, long, short)] == [7.0, 6.0, 5.0, 1.0]


@pytest.fixture
def adding(monkeypatch):
    """Every job is one more than the sum of those that it needs; it tells who did it."""

    def add(job, shop, results, tick):
        tick(0.5)
        total = 1 + sum(results[needed.key].arrays["n"] for needed in job.after)
        return Outcome({"pid": os.getpid()}, {"n": np.array(total)})

    for kind in KINDS:
        monkeypatch.setitem(KINDS, kind, add)


def diamond():
    facts = chain("train_facts", 0)
    chosen = [chain("choose", n, (facts,)) for n in range(3)]
    fits = [chain("fit", n, (job,)) for n, job in enumerate(chosen)]
    return [facts, *chosen, *fits, chain("stack", 0, tuple(fits)), chain("dimension", 0)]


@pytest.mark.parametrize("stored", [False, True])
def test_side_by_side_gives_what_one_by_one_gives(adding, tmp_path, stored):
    jobs = diamond()
    alone = execute(jobs, SHOP, Store(None), Progress(quiet=True))
    store = Store(tmp_path if stored else None)
    done = execute(jobs, SHOP, store, Progress(quiet=True), size=2)
    for job in jobs:
        assert done.outcomes[job.key].arrays == alone.outcomes[job.key].arrays
        aside = done.outcomes[job.key].values["pid"] != os.getpid()
        assert aside == (job.kind in ("choose", "fit"))
        assert store.has(job.kind, job.key)
    assert done.seconds.keys() == alone.seconds.keys()


def test_a_child_that_ends_is_noticed_between_the_jobs_that_are_done_here(adding, monkeypatch):
    monkeypatch.setitem(KINDS, "dimension", lambda *_: time.sleep(0.3) or Outcome({}))
    first = chain("choose", 0)
    here = [chain("dimension", n) for n in range(4)]
    progress = Progress(quiet=True)
    execute([first, *here, chain("fit", 0, (first,))], SHOP, Store(None), progress, size=2)
    begun = [line.split(" ", 1)[1] for line in progress.lines]
    assert begun[0] == "choose 0"
    assert begun.index("fit 0") < begun.index("dimension 3")


def test_a_job_whose_child_is_killed_takes_only_those_that_need_it(adding, monkeypatch):
    def killed(job, *_):
        if job.params["n"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome({}, {"n": np.array(0)})

    monkeypatch.setitem(KINDS, "choose", killed)
    jobs = diamond()
    done = execute(jobs, SHOP, Store(None), Progress(quiet=True), size=2)
    failed = [job.label for job in jobs if job.key in done.failures]
    assert failed == ["choose 1", "fit 1", "stack 0"]
    assert "its process was killed" in done.failures[jobs[2].key]


def test_a_job_that_refuses_its_input_ends_all_and_leaves_no_child(adding, monkeypatch):
    def refuses(job, *_):
        if job.params["n"] == 1:
            raise AuditError("DATA_ODD", "one sentence.")
        time.sleep(60)

    monkeypatch.setitem(KINDS, "choose", refuses)
    began = time.monotonic()
    with pytest.raises(AuditError, match="one sentence"):
        execute(diamond(), SHOP, Store(None), Progress(quiet=True), size=2)
    assert time.monotonic() - began < 30


def test_nulls_learn_the_same_in_children_bit_for_bit(data, tmp_path):
    from safetensors.numpy import load_file

    weights = []
    for threads in (1, 2):
        out = tmp_path / str(threads)
        flags = ["--threads", threads, "--no-cache", "--img-size", "16", "--out", out]
        small = sets(TINY | {"images_seen": 1000})
        invoked("nulls", "fit", "--data", data, "--quick", *flags, *small)
        files = [
            file for kind in ("choose", "fit") for file in out.glob(f"entries/{kind}/*/*.safe*")
        ]
        weights.append({str(f.relative_to(out)): load_file(f) for f in files})
    alone, aside = weights
    assert len(alone) > 4
    assert alone.keys() == aside.keys()
    for name, arrays in alone.items():
        assert all(np.array_equal(arrays[key], aside[name][key]) for key in arrays)
