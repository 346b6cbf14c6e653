"""Networks of the transfer curves that workers train are those that this process trains."""

import numpy as np
import torch

from audit import checks
from audit.checks.transfer import jobs as transfer_jobs
from audit.checks.transfer import split as split_transfer
from audit.core.progress import Progress
from audit.core.workers import WorkerPool
from audit.jobs import kind as engine
from audit.jobs.execute import execute
from audit.jobs.job import merged
from audit.jobs.kind import kinds_in
from audit.jobs.store import Store
from tests.checks.test_split_transfer import drawn, opened

LARGE = kinds_in(checks.kinds(), "retraining")


def test_copies_learn_in_workers_what_they_learn_here(monkeypatch):
    monkeypatch.setattr(engine, "SEVERAL", 1)
    monkeypatch.setattr(engine, "free_memory", lambda: 2**40)
    begun, start = [], WorkerPool.start
    monkeypatch.setattr(WorkerPool, "start", lambda *a: begun.append(a[1]) or start(*a))
    setup, context = opened(drawn(), transfer_classes=("upper", "bright"))
    cut = setup.cuts[0]
    base = next(job for job in merged(split_transfer.needs(setup)) if job.kind in LARGE)
    own = [transfer_jobs.own_network(setup, cut, mode) for mode in ("tuned", "frozen")]
    jobs = merged((base, transfer_jobs.network(setup, cut, "anb"), *own))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone, done = (
            execute(jobs, context, Store(None), Progress(quiet=True), checks.kinds(), size=size)
            for size in (1, 2)
        )
    finally:
        torch.set_num_threads(threads)
    assert not done.failures
    assert set(begun) == {job.key for job in jobs if job.kind in LARGE}
    for job in jobs:
        found, expected = done.outcomes[job.key].arrays, alone.outcomes[job.key].arrays
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in found)
