"""Do one job; say why it failed."""

from collections.abc import Mapping

from audit.baselines.train import is_memory
from audit.checks.executors import KINDS
from audit.core.errors import AuditError
from audit.core.workers import WorkerDiedError
from audit.evidence.context import JobContext
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome, Store
from audit.reports.text import visible

INPUT = (
    "DATA_",
    "MODEL_NOT_FINITE",
    "MODEL_PREPROCESSING",
    "CACHE_",
)  # reasons that leave nothing to judge

NO_MEMORY = "it needs more memory than there is"


def why(error: Exception) -> str:
    """Why a job failed, safe to show."""
    if is_memory(error):
        return NO_MEMORY
    if isinstance(error, WorkerDiedError):
        return visible(str(error), 300)
    return visible(f"{type(error).__name__}: {error}", 300)


def attempt(
    job: Job, context: JobContext, store: Store, results: Mapping[str, Outcome], tick: Tick
) -> Outcome | AuditError | str:
    """Do one job, unless another audit has done it meanwhile, and store its outcome.

    Returns:
        The outcome; or why it failed, in words; or the error, if its input is at fault.
    """
    try:
        with store.lock(job.kind, job.key):
            outcome = store.get(job.kind, job.key)
            if outcome is None:
                context.resume_state = store.resume_state(job.kind, job.key, str(context.device))
                try:
                    outcome = KINDS[job.kind](job, context, results, tick)
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
