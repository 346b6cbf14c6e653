"""The job of the check `accuracy_gap` that draws example images."""

from audit.evidence.setup import Null, Setup
from audit.evidence.shared_jobs import fit, null_outputs, subject_outputs
from audit.jobs.job import Job
from audit.jobs.kind import Executor, Kind
from audit.reports.document import FrozenModel


def _executor() -> Executor:
    from audit.checks.accuracy_gap.pictures import pictures

    return pictures


class Drawn(FrozenModel):
    """Values of the job `pictures`, in the order of the pictures.

    Attributes:
        captions: Caption of each picture.
        groups: Heading of the group that each picture belongs to.
    """

    captions: tuple[str, ...]
    groups: tuple[str, ...]


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
