"""What jobs of this check find: tried preprocessing."""

from audit.reports.document import FrozenModel


class Tried(FrozenModel):
    """Values of the job `preprocessing`: the alternatives that were tried, in order.

    Attributes:
        names: Stable identifier of each.
        words: Name of each in the report.
    """

    names: tuple[str, ...]
    words: tuple[str, ...]
