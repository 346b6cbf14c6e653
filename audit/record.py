"""What an audit writes down. Imports nothing of this project except the report's words."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from audit import baselines
from audit.reports.document import Document, FrozenModel, Role, Severity, Verdict


def title_of(name: str) -> str:
    """What a model is called in a report: "bagnet-9" -> "BagNet-9", "subject" -> "this model"."""
    if name == "subject":
        return "this model"
    null, q = baselines.read_name(name)
    return name if null is None else null.title.format(q=q)


def role_of(name: str) -> Role:
    """Colour and kind of a model in every chart."""
    if name == "subject":
        return "subject"
    null, _ = baselines.read_name(name)
    return "null" if null is None else null.role


SCHEMA_VERSION = 1

Unit = Literal["fraction", "gain", "points", "dimensions", "ratio", "nats", "count", "images"]


@dataclass(frozen=True)
class About:
    """What a check says of one of its measurements.

    Attributes:
        about: What it is, in words.
        of_class: Whether its names end in a class, so that a limit may ask for one class.
        single: Whether there is one value under each name, and another run on the same images has
            it, too, so that a limit may be relative to a reference run.
    """

    about: str
    of_class: bool = False
    single: bool = True


class Measurement(FrozenModel):
    """One number, with what a sceptical reader needs to doubt it.

    Attributes:
        name: Stable dotted name, "<check>.<quantity>.<model>"; policy files refer to it.
        value: The estimate, in `unit`. NaN means "not measurable", and `note` then says why.
        unit: "points" are percentage points / 100 (a difference of fractions).
        low: Lower end of the 95 % interval, in `unit`; NaN if there is none.
        high: Upper end.
        n: Number of images (or groups of near duplicates) that the value rests on.
        note: One sentence; empty when there is nothing to add.
        at: Coordinate of a point of a curve (relative depth, share of the budget), else None.
        detail: Sufficient statistics that the judge needs beside the interval, by name.
    """

    name: str
    value: float
    unit: Unit
    low: float = float("nan")
    high: float = float("nan")
    n: int = 0
    note: str = ""
    at: float | None = None
    detail: dict[str, float] = {}


class Finding(FrozenModel):
    """What became of one limit of the policy.

    Attributes:
        limit: The policy's key for the limit ("gain").
        statement: The limit in words.
        measurements: Names of the measurements that were judged.
        verdict: Pass, fail or inconclusive; never pass where something was not measured.
        severity: "gate", "warn" or "info".
        reason: Stable code ("NO_HEADROOM", "NOT_MEASURED"), or empty.
        explanation: One sentence for the reader: why, and what to do.
        value: Of the measurement that decided it, NaN where there is none.
        low: Lower end of its 95 % interval.
        high: Upper end.
        n: Number of images that it rests on.
        unit: Unit of value, low and high.
        waiver: Until when and why it is excused, in words; empty if it is not.
        file: The user's file that sets the limit; empty for a default one.
        line: Of that file; 0 if it is not known.
    """

    limit: str
    statement: str
    measurements: tuple[str, ...]
    verdict: Verdict
    severity: Severity
    reason: str = ""
    explanation: str = ""
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    n: int = 0
    unit: str = ""
    waiver: str = ""
    file: str = ""
    line: int = 0


class Report(FrozenModel):
    """The content of `report.yaml`.

    Attributes:
        schema_version: Of this record, not of the package.
        document: What readers see, in words.
        measurements: Every number, for `judge` and `compare`.
        findings: Every limit's verdict.
        policy: The policy that judged, as resolved.
    """

    schema_version: int = Field(default=SCHEMA_VERSION)
    document: Document
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    policy: dict[str, object]
