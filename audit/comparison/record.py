"""What a comparison writes down: the content of `compare.yaml`."""

from audit.comparison.change import Change
from audit.record import Measurement
from audit.reports.comparison.document import Comparison
from audit.reports.document import FrozenModel, Role, Verdict
from audit.stats.rank_correlation import Correlation

SCHEMA_VERSION = 2


class Point(FrozenModel):
    """One model in the scatter of last-layer dimension against accuracy.

    Attributes:
        model: Name for people.
        name: Of the model in its run ("subject", "bagnet-9").
        family: Models with the same are of one kind ("resnet", "nulls and controls").
        role: Decides the colour.
        dimension: Of the last layer.
        accuracy: On the same images.
    """

    model: str
    name: str
    family: str
    role: Role
    dimension: Measurement
    accuracy: Measurement


class Entry(FrozenModel):
    """One model of a leaderboard.

    Attributes:
        rank: From 1, by the gain over the strongest claim rung.
        run: Where it was read.
        title: The model.
        verdict: Of its own audit.
        accuracy: Of the model.
        strongest: The claim rung with the fewest errors in its run; empty if there is none.
        gain: Over it.
        dimension: Of the last layer, if it was measured.
        behind: The accuracy of this model less that of the entry above; None for the first.
    """

    rank: int
    run: str
    title: str
    verdict: Verdict
    accuracy: Measurement
    strongest: str
    gain: Measurement
    dimension: Measurement | None
    behind: Change | None


class Result(FrozenModel):
    """A comparison of two runs or of many.

    Attributes:
        schema_version: Of this record.
        document: What readers see.
        facts: What the two runs say differently of themselves, a row a fact.
        changes: Of every quantity that both runs hold as one number.
        holm: Adjusted p-values of the changes in accuracy, by name.
        entries: Of a leaderboard, best first.
        points: Of its scatter.
        correlations: Of last-layer dimension with accuracy.
    """

    schema_version: int = SCHEMA_VERSION
    document: Comparison
    facts: tuple[dict[str, str], ...] = ()
    changes: tuple[Change, ...] = ()
    holm: dict[str, float] = {}
    entries: tuple[Entry, ...] = ()
    points: tuple[Point, ...] = ()
    correlations: tuple[Correlation, ...] = ()
