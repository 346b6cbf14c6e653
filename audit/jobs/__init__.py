"""Executors by kind of job. Each is plain: a job, the workshop and earlier results in; data out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from audit.jobs import (
    choosing,
    dimension,
    id_profile,
    listing,
    nulls,
    outputs,
    pictures,
    preprocessing,
    probes,
    split_transfer,
    transfer,
)
from audit.jobs.workshop import Tick, Workshop
from audit.progress import Progress
from audit.record import AuditError
from audit.store import Outcome, Store
from audit.work import Job
from baselines.train import is_memory
from reports.text import visible

Executor = Callable[[Job, Workshop, Mapping[str, Outcome], Tick], Outcome]

INPUT = (
    "DATA_",
    "MODEL_NOT_FINITE",
    "MODEL_PREPROCESSING",
    "CACHE_",
)  # reasons that leave nothing to judge

KINDS: dict[str, Executor] = {
    "train_facts": outputs.train_facts,
    "facts": outputs.facts,
    "listing": listing.listing,
    "preprocessing": preprocessing.preprocessing,
    "probes": probes.probes,
    "statistics": outputs.statistics,
    "choose": choosing.choose,
    "fit": nulls.fit,
    "stack": outputs.stack,
    "null_outputs": outputs.null_outputs,
    "subject_outputs": outputs.subject_outputs,
    "dimension": dimension.dimension,
    "id_profile": id_profile.id_profile,
    "transfer": transfer.transfer,
    "split_base": split_transfer.split_base,
    "split_network": split_transfer.split_network,
    "pictures": pictures.pictures,
}


@dataclass
class Done:
    """What became of a list of jobs.

    Attributes:
        outcomes: By key.
        failures: One sentence by key, for jobs that raised or lack what they build on.
        seconds: By key, of the jobs that were done now.
        reused: Keys of those found in the store.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    reused: set[str] = field(default_factory=set)


def execute(
    jobs: Sequence[Job],
    shop: Workshop,
    store: Store,
    progress: Progress,
    given: Mapping[str, Outcome] | None = None,
) -> Done:
    """Look every job up in the store and do the rest, in order.

    A job that raises becomes a failure with its reason, and so do those that build on it; the
    others go on.

    Args:
        jobs: Every one behind those that it needs.
        shop: What executors work with.
        store: Where outcomes are looked up and kept.
        progress: Told what happens.
        given: Outcomes known beforehand by key, as from a folder of nulls.

    Raises:
        AuditError: If a job refuses its input: then nothing can be judged.
    """
    done, given = Done(), given or {}
    for job in jobs:
        found = given.get(job.key) or store.get(job.kind, job.key)
        if found is not None:
            done.outcomes[job.key] = found
            done.reused.add(job.key)
    rest = [job for job in jobs if job.key not in done.outcomes]
    progress.start(sum(job.cost for job in rest))
    try:
        for job in rest:
            do(job, shop, store, progress, done)
    finally:
        progress.stop()
    return done


def why(error: Exception) -> str:
    """Why a job failed, safe to show."""
    if is_memory(error):
        return "it needs more memory than there is"
    return visible(f"{type(error).__name__}: {error}", 300)


def do(job: Job, shop: Workshop, store: Store, progress: Progress, done: Done) -> None:
    """Do one job and store its outcome."""
    lacking = [needed for needed in job.after if needed.key in done.failures]
    if lacking:
        done.failures[job.key] = f"{job.label} needs what failed: {done.failures[lacking[0].key]}"
        return
    progress.job(job.label, job.cost)
    started = time.monotonic()
    with store.lock(job.kind, job.key):
        outcome = store.get(job.kind, job.key)  # another audit may have done it meanwhile
        if outcome is None:
            shop.drawer = store.drawer(job.kind, job.key, str(shop.device))
            try:
                outcome = KINDS[job.kind](job, shop, done.outcomes, progress.tick)
            except Exception as error:  # one job must not take the others with it
                shop.drawer.empty()  # whatever it holds may be at fault
                if isinstance(error, AuditError) and error.reason.startswith(INPUT):
                    raise  # the input is at fault: nothing can be judged
                done.failures[job.key] = f"{job.label} failed: {why(error)}"
                progress.say(done.failures[job.key])
                return
            store.put(job.kind, job.key, outcome)
            shop.drawer.empty()
    done.outcomes[job.key] = outcome
    done.seconds[job.key] = time.monotonic() - started
    progress.finish_job()
