"""Executors by kind of job. Each is plain: a job, the context and earlier results in; data out."""

from collections.abc import Callable, Mapping

from audit.checks.accuracy_gap import pictures
from audit.checks.data import run as listing
from audit.checks.dimension import run_last_layer as dimension
from audit.checks.dimension import run_profile as id_profile
from audit.checks.preprocessing import run as preprocessing
from audit.checks.probes import run as probes
from audit.checks.transfer import run_own as transfer
from audit.checks.transfer import run_split as split_transfer
from audit.evidence import choose_recipe as choosing
from audit.evidence import fit_null as nulls
from audit.evidence import outputs
from audit.evidence.context import JobContext
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome

Executor = Callable[[Job, JobContext, Mapping[str, Outcome], Tick], Outcome]

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
