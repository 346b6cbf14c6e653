"""Which job is done next, and by whom."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.core.workers import WorkerChannel, WorkerDiedError, WorkerPool, WorkerResult
from audit.jobs.attempt import ONCE_MORE, Work, attempt, why
from audit.jobs.job import Job, longest_chains
from audit.jobs.store import Outcome


@dataclass
class JobResults:
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

    def joined(self, later: "JobResults", jobs: Sequence[Job]) -> "JobResults":
        """What became of `jobs`, some of which were done before; notes what `later` adds here.

        A job that was done before counts as done now, not as found.
        """
        self.outcomes |= later.outcomes
        self.failures |= later.failures
        self.seconds |= later.seconds
        keys = {job.key for job in jobs}
        return JobResults(
            outcomes={key: value for key, value in self.outcomes.items() if key in keys},
            failures={key: value for key, value in self.failures.items() if key in keys},
            seconds={key: value for key, value in self.seconds.items() if key in keys},
            reused=later.reused - self.seconds.keys(),
        )


@dataclass
class Scheduler:
    """Decides which job is done next, and where: by this process, or by a child.

    Jobs of some kinds are done by children. All others take all threads of this process: those at
    once that jobs for children wait for, the rest when there is no job for another child.

    Attributes:
        waiting: Jobs that have not begun, by key, every one behind those that it needs.
        work: What every job is done with.
        progress: Told what happens.
        done: Filled with what becomes of the jobs.
        pool: The workers.
        in_workers: Kinds of jobs that they do.
    """

    waiting: dict[str, Job]
    work: Work
    progress: Progress
    done: JobResults
    pool: WorkerPool
    in_workers: frozenset[str] = frozenset()
    running: dict[str, Job] = field(default_factory=dict)
    here: set[str] = field(default_factory=set)  # keys of jobs that no child can do

    def do_all(self) -> None:
        """Until nothing waits or runs."""
        costs = longest_chains(list(self.waiting.values()))
        while self.waiting or self.running:
            while self.pool.has_message():
                self.receive()
            ready = [job for job in self.waiting.values() if self.is_ready(job) and self.fits(job)]
            apart = [job for job in ready if self.runs_in_worker(job)]
            here = [job for job in ready if not self.runs_in_worker(job)]
            if needed := [job for job in here if self.is_awaited(job)]:
                self.do(needed[0])
            elif apart and self.pool.has_capacity:
                self.submit(max(apart, key=lambda job: costs[job.key]))
            elif here and self.pool.has_capacity:
                self.do(here[0])
            elif self.running:
                self.receive()
            else:
                assert not self.waiting, "a job needs one that is not among them"

    def is_ready(self, job: Job) -> bool:
        """Whether all that a job needs is over."""
        over = self.done.outcomes.keys() | self.done.failures.keys()
        return all(needed.key in over for needed in job.after)

    def runs_in_worker(self, job: Job) -> bool:
        """Whether a job is done by a child."""
        return self.pool.size > 1 and job.kind in self.in_workers and job.key not in self.here

    def fits(self, job: Job) -> bool:
        """Whether a job may begin beside others: not where one lacked memory for it before."""
        return not (job.key in self.here and self.is_large(job) and self.running)

    def is_large(self, job: Job) -> bool:
        """Whether a job retrains a network, which takes much memory."""
        return self.work.kinds[job.kind].worker == "retraining"

    def is_awaited(self, job: Job) -> bool:
        """Whether a job for a child waits for this one."""
        others = (other for other in self.waiting.values() if self.runs_in_worker(other))
        return any(needed.key == job.key for other in others for needed in other.after)

    def begin(self, job: Job) -> str:
        """A job waits no longer; returns why it cannot be done, in words."""
        del self.waiting[job.key]
        for needed in job.after:
            if needed.key in self.done.failures:
                return f"{job.label} needs what failed: {self.done.failures[needed.key]}"
        self.progress.job(job.label, job.cost, job.key)
        self.running[job.key] = job
        return ""

    def do(self, job: Job) -> None:
        """Do one job here."""
        if lacking := self.begin(job):
            self.done.failures[job.key] = lacking
            return
        tick = partial(self.progress.tick, name=job.key)
        began = time.monotonic()
        found = attempt(job, self.work, tick)
        self.end(job, found, time.monotonic() - began)

    def submit(self, job: Job) -> None:
        """Let a child do one job."""
        if lacking := self.begin(job):
            self.done.failures[job.key] = lacking
            return
        with contextlib.suppress(Exception):  # then the child meets it, and says so
            self.work.prepare(job)

        def begun(channel: WorkerChannel) -> Outcome | AuditError | str:
            return attempt(job, self.work, channel.report_progress)

        try:
            self.pool.start(job.key, begun)
        except OSError:  # the system does not allow another process
            self.requeue(job)

    def requeue(self, job: Job) -> None:
        """Let a job wait until it can be done here."""
        self.here.add(job.key)
        self.waiting[job.key] = self.running.pop(job.key)
        self.progress.finish_job(job.key, counts=False)

    def receive(self) -> None:
        """Take the next that a child tells; what lacked memory is done once more, here."""
        key, message = self.pool.wait()
        job = self.running[key]
        if not isinstance(message, WorkerResult):
            self.progress.tick(message, name=key)
            return
        result = message.result
        killed = isinstance(result, WorkerDiedError) and result.killed
        if killed or (isinstance(result, str) and result in ONCE_MORE):
            self.requeue(job)
            return
        if isinstance(result, Outcome) and not self.work.store.has(job.kind, key):
            self.work.store.put(job.kind, key, result)  # the child has no part in our memory
        self.end(
            job, why(result) if isinstance(result, WorkerDiedError) else result, message.seconds
        )

    def end(self, job: Job, found: Outcome | AuditError | str, seconds: float) -> None:
        """Note what became of a job.

        Raises:
            AuditError: If its input is at fault: nothing can be judged.
        """
        del self.running[job.key]
        if isinstance(found, AuditError):
            raise found
        if isinstance(found, str):
            self.done.failures[job.key] = f"{job.label} failed: {found}"
            self.progress.say(self.done.failures[job.key])
        else:
            self.done.outcomes[job.key] = found
            self.done.seconds[job.key] = seconds
        self.progress.finish_job(job.key)
