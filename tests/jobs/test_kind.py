"""Which jobs workers do, and what a kind of job says of itself."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from audit import checks
from audit.core.progress import Progress
from audit.jobs import kind as engine
from audit.jobs.attempt import FORKED
from audit.jobs.execute import execute
from audit.jobs.kind import by_name, kinds_in, worker_kinds
from audit.jobs.store import Outcome, Store
from tests.samples.kinds import job_of, patch
from tests.samples.outcomes import Noted

KINDS = checks.kinds()
SMALL, LARGE = kinds_in(KINDS, "baseline"), kinds_in(KINDS, "retraining")
PLENTY = 2**40


def retrainings(count, **more):
    return [job_of("transfer", str(n), {"n": n}, **more) for n in range(count)]


@pytest.mark.parametrize(("size", "free", "jobs", "expected"), [
    (1, PLENTY, retrainings(6), frozenset()), (2, PLENTY, retrainings(6), SMALL | LARGE),
    (2, PLENTY, retrainings(5), SMALL), (2, 2**30, retrainings(6), SMALL),
    (2, PLENTY, [], SMALL), (2, PLENTY, retrainings(6, alone=True), SMALL),
])  # fmt: skip
def test_networks_are_retrained_in_workers_where_there_are_several_and_room(
    size, free, jobs, expected, monkeypatch
):
    monkeypatch.setattr(engine, "free_memory", lambda: free)
    assert worker_kinds(jobs, KINDS, size) == expected


def test_two_kinds_of_one_name_are_a_mistake():
    with pytest.raises(ValueError, match="must differ"):
        by_name(KINDS["fit"], KINDS["fit"])


def test_a_version_names_other_results():
    now = KINDS["fit"]
    later = replace(now, version=now.version + 1)
    assert now.job("training x").key != later.job("training x").key


def test_a_worker_that_cannot_learn_leaves_its_job_to_this_process(monkeypatch):
    ours = os.getpid()

    def fit(*_):
        if os.getpid() != ours:
            raise RuntimeError(f"Unable to handle autograd's threading {FORKED}. See a page")
        return Outcome(Noted(number=ours))

    patch(monkeypatch, fit=fit)
    jobs = [job_of("fit", str(n), {"n": n}) for n in range(2)]
    context = SimpleNamespace(device="cpu")
    done = execute(jobs, context, Store(None), Progress(quiet=True), checks.kinds(), size=2)
    assert [done.outcomes[job.key].values.number for job in jobs] == [ours, ours]
