"""Kinds of jobs: what the engine must know of one, told by whoever asks for such jobs.

The engine knows no check and no model. A kind brings the function that does its jobs, which is
imported when the first of them is done, so that naming work stays light.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from audit.core.workers import free_memory
from audit.jobs.job import Job, Plain, Tick
from audit.jobs.resume import ResumeState
from audit.jobs.store import Outcome
from audit.jobs.values import NoValues, Records

SEVERAL = 3  # retrainings for each worker; with fewer, all threads end sooner
OURS = 3 * 2**30  # bytes that the parent takes meanwhile, for probes and distances
# Bytes that a worker has to retrain a network with small input: a step of AdamW on 128 images of 32
# pixels takes 0.7 (ResNet-18) to 2.5 GiB (ViT-Ti, patches of 4), stored features at most 2 more. A
# worker that lacks memory all the same costs its job one more try, alone.
ROOM = 6 * 2**30


class Context(Protocol):
    """What the engine must know of what executors work with.

    Attributes:
        resume_state: Where the job that is being done keeps what it has done so far.
    """

    resume_state: ResumeState

    @property
    def device(self) -> object:
        """Device that networks run on."""
        ...


Executor = Callable[[Job, Any, Mapping[str, Outcome], Tick], Outcome]
Prepare = Callable[[Job, Any, Mapping[str, Outcome]], None]


@dataclass(frozen=True)
class Kind:
    """One kind of job.

    Attributes:
        name: Name that machines read ("fit"); part of every such job's key, and a folder's name
            in the store.
        version: Raised where the result changes; part of every such job's key.
        executor: Imports and returns the function that does such a job. It is called with the
            job, the context, the outcomes of earlier jobs by key, and a function that takes the
            share of the job that is done.
        worker: Where such a job is done: "main" with all threads of this process; "baseline" in a
            worker with one thread, since a second thread hardly helps a small network;
            "retraining" likewise, where there are several for every worker and room for all.
        prepare: Imports and returns the function that brings into memory what the workers of this
            process would otherwise bring there one by one; None if there is nothing.
        values: Records that the values of such a job's outcome may be: an entry of the store whose
            values fit none of them is damaged. By default there are arrays only.
    """

    name: str
    version: int
    executor: Callable[[], Executor]
    worker: Literal["main", "baseline", "retraining"] = "main"
    prepare: Callable[[], Prepare] | None = field(default=None)
    values: Records = (NoValues,)

    def job(
        self,
        label: str,
        params: Mapping[str, Plain] | None = None,
        after: Sequence[Job] = (),
        *,
        cost: float = 1.0,
        fixed: float = 0.0,
        alone: bool = False,
    ) -> Job:
        """A job of this kind; the arguments are fields of `Job`."""
        return Job(
            kind=self.name,
            version=self.version,
            label=label,
            params=dict(params or {}),
            after=tuple(after),
            cost=cost,
            fixed=fixed,
            alone=alone,
        )


Kinds = Mapping[str, Kind]


def by_name(*kinds: Kind) -> dict[str, Kind]:
    """Kinds by their names.

    Raises:
        ValueError: If two kinds have one name.
    """
    found = {kind.name: kind for kind in kinds}
    if len(found) < len(kinds):
        raise ValueError(f"names of kinds must differ: {sorted(kind.name for kind in kinds)}")
    return found


def kinds_in(kinds: Kinds, worker: str) -> frozenset[str]:
    """Names of the kinds that are done in one place; see `Kind.worker`."""
    return frozenset(name for name, kind in kinds.items() if kind.worker == worker)


def worker_kinds(jobs: Sequence[Job], kinds: Kinds, size: int) -> frozenset[str]:
    """Names of the kinds whose jobs workers do.

    Args:
        jobs: All jobs that are to be done.
        kinds: All kinds.
        size: Largest number of workers.
    """
    if size < 2:
        return frozenset()
    small, large = kinds_in(kinds, "baseline"), kinds_in(kinds, "retraining")
    retrainings = [job for job in jobs if job.kind in large]
    alone = any(job.alone for job in retrainings)
    if alone or len(retrainings) < SEVERAL * size or free_memory() < OURS + size * ROOM:
        return small
    return small | large
