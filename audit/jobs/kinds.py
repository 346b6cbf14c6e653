"""Executors by kind of job. Each is plain: a job, the workshop and earlier results in; data out."""

from collections.abc import Callable, Mapping

from audit.crew import LostError
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

NO_MEMORY = "it needs more memory than there is"


def why(error: Exception) -> str:
    """Why a job failed, safe to show."""
    if is_memory(error):
        return NO_MEMORY
    if isinstance(error, LostError):
        return visible(str(error), 300)
    return visible(f"{type(error).__name__}: {error}", 300)


def attempt(
    job: Job, shop: Workshop, store: Store, results: Mapping[str, Outcome], tick: Tick
) -> Outcome | AuditError | str:
    """Do one job, unless another audit has done it meanwhile, and store its outcome.

    Returns:
        The outcome; or why it failed, in words; or the error, if its input is at fault.
    """
    try:
        with store.lock(job.kind, job.key):
            outcome = store.get(job.kind, job.key)
            if outcome is None:
                shop.drawer = store.drawer(job.kind, job.key, str(shop.device))
                try:
                    outcome = KINDS[job.kind](job, shop, results, tick)
                except Exception as error:  # one job must not take the others with it
                    shop.drawer.empty()  # whatever it holds may be at fault
                    if isinstance(error, AuditError) and error.reason.startswith(INPUT):
                        raise
                    return why(error)
                store.put(job.kind, job.key, outcome)
                shop.drawer.empty()
            return outcome
    except AuditError as error:
        return error
