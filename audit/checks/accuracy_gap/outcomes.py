"""What jobs of this check find: example images."""

from audit.reports.document import FrozenModel


class Drawn(FrozenModel):
    """Values of the job `pictures`, in the order of the pictures.

    Attributes:
        captions: Caption of each picture.
        groups: Heading of the group that each picture belongs to.
    """

    captions: tuple[str, ...]
    groups: tuple[str, ...]
