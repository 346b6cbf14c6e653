"""What jobs of this check find: named files."""

from audit.reports.document import FrozenModel

Extent = tuple[float, float, float]  # smallest, median and largest, in pixels


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
