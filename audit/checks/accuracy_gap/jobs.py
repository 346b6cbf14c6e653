"""The job of the check `accuracy_gap` that draws example images."""

from audit.checks.accuracy_gap.outcomes import Drawn
from audit.evidence.setup import Null, Setup
from audit.evidence.shared_jobs import fit, null_outputs, subject_outputs
from audit.jobs.job import Job
from audit.jobs.kind import Executor, Kind


def _executor() -> Executor:
    from audit.checks.accuracy_gap.pictures import pictures

    return pictures


PICTURES = Kind("pictures", 3, _executor, values=(Drawn,))


def pictures(setup: Setup, null: Null) -> Job:
    """Example images with the null's evidence, and with what the subject's answer rests on."""
    after = (subject_outputs(setup), fit(setup, null), null_outputs(setup, null))
    return PICTURES.job(
        label="drawing example images",
        params={
            "data": setup.eval_digest,
            "subject": setup.subject_digest,
            "null": null.name,
            "classes": list(setup.classes),
            "paths": setup.paths_digest,
        },
        after=after,
        cost=5000,  # 24 images, each with 64 hidden patches
        fixed=2000,
    )
