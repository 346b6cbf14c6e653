"""The job of the check `data` that names files."""

from audit.checks.data.outcomes import Listed
from audit.evidence.setup import Setup
from audit.evidence.shared_jobs import facts
from audit.jobs.job import Job
from audit.jobs.kind import Executor, Kind


def _executor() -> Executor:
    from audit.checks.data.run import listing

    return listing


LISTING = Kind("listing", 1, _executor, values=(Listed,))


def listing(setup: Setup) -> Job:
    """Names of files that leak, repeat, contradict or were left out, and the images' sizes."""
    return LISTING.job(
        label="naming files",
        params={"files": setup.files_digest},
        after=(facts(setup),),
        cost=0.01 * (setup.n_eval + setup.n_train),
    )
