"""All work of an audit: jobs are looked up in the store, and the rest is done."""

from collections.abc import Mapping, Sequence

from audit.core.progress import Progress
from audit.core.workers import WorkerPool
from audit.jobs.attempt import Work
from audit.jobs.job import Job
from audit.jobs.kind import Context, Kinds, worker_kinds
from audit.jobs.scheduler import JobResults, Scheduler
from audit.jobs.store import Outcome, Store


def execute(
    jobs: Sequence[Job],
    context: Context,
    store: Store,
    progress: Progress,
    kinds: Kinds,
    given: Mapping[str, Outcome] | None = None,
    size: int = 1,
) -> JobResults:
    """Look every job up in the store and do the rest, in order or side by side.

    A job that raises becomes a failure with its reason, and so do those that build on it; the
    others go on. The results do not depend on `size`, but for what the number of threads does to
    the last digits.

    Args:
        jobs: Every one behind those that it needs.
        context: What executors work with.
        store: Where outcomes are looked up and kept.
        progress: Told what happens.
        kinds: All kinds of jobs.
        given: Outcomes known beforehand by key, as from a folder of nulls.
        size: How many processes may do jobs at once, from `audit.core.workers.worker_count`.

    Raises:
        AuditError: If a job refuses its input: then nothing can be judged.
    """
    done, given = JobResults(), given or {}
    for job in jobs:
        found = given.get(job.key) or store.get(job.kind, job.key, kinds[job.kind].values)
        if found is not None:
            done.outcomes[job.key] = found
            done.reused.add(job.key)
    rest = [job for job in jobs if job.key not in done.outcomes]
    pool, in_workers = WorkerPool(size), worker_kinds(rest, kinds, size)
    progress.start(sum(job.cost for job in rest))
    try:
        waiting = {job.key: job for job in rest}
        work = Work(context, store, kinds, done.outcomes)
        Scheduler(waiting, work, progress, done, pool, in_workers).do_all()
    finally:
        pool.close()
        progress.stop()
    return done
