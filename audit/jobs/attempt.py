"""Do one job; say why it failed."""

from dataclasses import dataclass

from audit.baselines.train import is_memory
from audit.core.errors import AuditError
from audit.core.workers import WorkerDiedError
from audit.jobs.job import Job, Tick
from audit.jobs.kind import Context, Kinds
from audit.jobs.store import Outcome, Store
from audit.reports.text import visible

INPUT = (
    "DATA_",
    "MODEL_NOT_FINITE",
    "MODEL_PREPROCESSING",
    "CACHE_",
)  # reasons that leave nothing to judge

NO_MEMORY = "it needs more memory than there is"

# A process in which torch has threads for autograd, as after learning on an accelerator or a
# simulated one, cannot have children that learn. Torch tells by this message alone.
NO_LEARNING = "its process was forked where torch cannot learn any more"
FORKED = "in combination with fork-based multiprocessing"
ONCE_MORE = (NO_MEMORY, NO_LEARNING)  # what this process may do although a worker could not


def why(error: Exception) -> str:
    """Why a job failed, safe to show."""
    if is_memory(error):
        return NO_MEMORY
    if FORKED in str(error):
        return NO_LEARNING
    if isinstance(error, WorkerDiedError):
        return visible(str(error), 300)
    return visible(f"{type(error).__name__}: {error}", 300)


@dataclass(frozen=True)
class Work:
    """What every job is done with.

    Attributes:
        context: What executors work with.
        store: Where outcomes are kept.
        kinds: All kinds of jobs.
        outcomes: Outcomes of earlier jobs by key; more are added as jobs end.
    """

    context: Context
    store: Store
    kinds: Kinds
    outcomes: dict[str, Outcome]

    def prepare(self, job: Job) -> None:
        """Bring into memory what workers would otherwise bring there one by one."""
        prepare = self.kinds[job.kind].prepare
        if prepare is not None:
            prepare()(job, self.context, self.outcomes)


def attempt(job: Job, work: Work, tick: Tick) -> Outcome | AuditError | str:
    """Do one job, unless another audit has done it meanwhile, and store its outcome.

    Returns:
        The outcome; or why it failed, in words; or the error, if its input is at fault.
    """
    context, store, kind = work.context, work.store, work.kinds[job.kind]
    try:
        with store.lock(job.kind, job.key):
            outcome = store.get(job.kind, job.key, kind.values)
            if outcome is None:
                context.resume_state = store.resume_state(job.kind, job.key, str(context.device))
                try:
                    outcome = kind.executor()(job, context, work.outcomes, tick)
                    if not isinstance(outcome.values, kind.values):
                        given = type(outcome.values).__name__
                        raise TypeError(f"{given} are not the values of a job '{kind.name}'")
                except Exception as error:  # one job must not take the others with it
                    context.resume_state.discard()  # whatever it holds may be at fault
                    if isinstance(error, AuditError) and error.reason.startswith(INPUT):
                        raise
                    return why(error)
                store.put(job.kind, job.key, outcome)
                context.resume_state.discard()
            return outcome
    except AuditError as error:
        return error
