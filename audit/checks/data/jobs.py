"""The job of the check `data` that names files."""

from audit.evidence.setup import Setup
from audit.evidence.shared_jobs import facts
from audit.jobs.job import Job
from audit.jobs.kind import Executor, Kind
from audit.reports.document import FrozenModel

Extent = tuple[float, float, float]  # smallest, median and largest, in pixels


def _executor() -> Executor:
    from audit.checks.data.run import listing

    return listing


class Listed(FrozenModel):
    """Values of the job `listing`.

    Attributes:
        files: At most 20 lines by kind of file ("leak"), a line for each file or pair of files.
        sizes: Width and height of the images by split; a split of unknown sizes is absent.
        skipped: Number of files that are not images and were left out.
    """

    files: dict[str, tuple[str, ...]]
    sizes: dict[str, tuple[Extent, Extent]]
    skipped: int


LISTING = Kind("listing", 1, _executor, values=(Listed,))


def listing(setup: Setup) -> Job:
    """Names of files that leak, repeat, contradict or were left out, and the images' sizes."""
    return LISTING.job(
        label="naming files",
        params={"files": setup.files_digest},
        after=(facts(setup),),
        cost=0.01 * (setup.n_eval + setup.n_train),
    )
