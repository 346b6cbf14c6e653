"""Names of work: what a job is, and the jobs that checks ask for.

A job is plain data, named by the digest of all that determines its result: its parameters (which
hold digests of the data and, where it matters, of the model), the version of the code that does
it, and the jobs that it builds on. Paths, times and the package's version are no part of it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property

from pydantic import Field

from audit.reports.document import FrozenModel

Tick = Callable[[float], None]  # called with the share of the job that is done


def counter(total: float, tick: Tick) -> Callable[[float], None]:
    """Adds up numbers of images and tells the share of `total`."""
    done = 0.0

    def count(n: float) -> None:
        nonlocal done
        done += n
        tick(min(1.0, done / total))

    return count


Plain = str | int | float | bool | None | list[float] | list[str]


class Job(FrozenModel):
    """One unit of expensive work.

    Attributes:
        kind: Name of its kind (`audit.jobs.kind`).
        version: Version of the kind: raised where its result changes, so that older entries of
            the store are not used.
        label: For people, in progress bars and messages; no part of the key.
        params: Everything that determines the result, beside `after`.
        after: Jobs whose results it needs.
        cost: Expected work in units of one forward and backward pass of one image through a small
            null; only for the estimate of the remaining time, no part of the key.
        fixed: The part of it that does not depend on the model's size, where the rest does.
        alone: Whether it may need the memory of the whole machine, so that no worker does it.
    """

    kind: str
    version: int
    label: str
    params: dict[str, Plain] = Field(default_factory=dict)
    after: tuple["Job", ...] = ()
    cost: float = 1.0
    fixed: float = 0.0
    alone: bool = False

    @cached_property
    def key(self) -> str:
        """Digest of all that determines the result, 40 hex digits."""
        content = [self.kind, self.version, self.params, [job.key for job in self.after]]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    def whole(self, name: str) -> int:
        """A parameter that is a whole number."""
        return int(self.params[name])  # type: ignore[arg-type]


def merged(jobs: tuple[Job, ...]) -> list[Job]:
    """All jobs and those they need, each once, every job behind the ones that it needs."""
    ordered: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if job.key not in ordered:
            for needed in job.after:
                visit(needed)
            ordered[job.key] = job

    for job in jobs:
        visit(job)
    return list(ordered.values())


def longest_chains(
    jobs: Sequence[Job], cost: Callable[[Job], float] = lambda job: job.cost
) -> dict[str, float]:
    """By key, the cost of a job and of the longest chain of those that wait for it."""
    costs: dict[str, float] = {}
    for job in reversed(jobs):
        costs[job.key] = cost(job) + costs.get(job.key, 0.0)
        for needed in job.after:
            costs[needed.key] = max(costs.get(needed.key, 0.0), costs[job.key])
    return costs
