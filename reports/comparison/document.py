"""The vocabulary of a comparison: several reports beside each other, in words and numbers."""

from typing import Literal

from audit.reports.document import FrozenModel, Section


class Compared(FrozenModel):
    """One of the runs.

    Attributes:
        label: What it is called in every table and chart ("A", "1").
        title: Usually the model's name.
        facts: Label to value, the few that tell the runs apart.
    """

    label: str
    title: str
    facts: dict[str, str] = {}


class Comparison(FrozenModel):
    """What a reader sees of a comparison; every writer of this package renders it.

    Attributes:
        kind: Two runs, or the leaderboard of one data set.
        title: Heading.
        headline: One sentence: what changed, and whether it is more than noise.
        runs: In the order in which they were named, or their rank.
        sections: In reading order; their rows are the comparison's tables.
        caveats: What it does not say, one sentence each.
        command: That makes it again.
    """

    kind: Literal["two runs", "leaderboard"]
    title: str
    headline: str
    runs: tuple[Compared, ...]
    sections: tuple[Section, ...]
    caveats: tuple[str, ...] = ()
    command: str = ""
