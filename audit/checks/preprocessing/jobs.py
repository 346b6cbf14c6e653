"""The job of the check `preprocessing`."""

from audit.checks.preprocessing.outcomes import Tried
from audit.evidence.setup import Setup
from audit.evidence.shared_jobs import train_facts
from audit.jobs.job import Job, Plain
from audit.jobs.kind import Executor, Kind


def _executor() -> Executor:
    from audit.checks.preprocessing.run import preprocessing

    return preprocessing


PREPROCESSING = Kind("preprocessing", 1, _executor, values=(Tried,))


def preprocessing(setup: Setup) -> Job:
    """The subject on training images under other preprocessing."""
    n = min(1000, setup.n_train)
    params: dict[str, Plain] = {
        "data": setup.train_digest,
        "subject": setup.subject_digest,
        "view": setup.view,
        "order": [float(i) for i in setup.order],
        "images": n,
        "seed": setup.seed,
    }
    return PREPROCESSING.job(
        label="trying other preprocessing on training images",
        params=params,
        after=(train_facts(setup),),
        cost=18.0 * n,
    )
