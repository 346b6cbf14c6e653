"""What an audit writes down. Imports nothing of this project except the report's words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, computed_field, model_validator

from audit import baselines
from audit.record.facts import Facts
from audit.reports.document import Document, FrozenModel, Role, Series, Severity, Verdict


def title_of(name: str) -> str:
    """What a model is called in a report: "bagnet-9" -> "BagNet-9", "subject" -> "this model"."""
    if name == "subject":
        return "this model"
    null, q, scale = baselines.read_name(name)
    return name if null is None else null.titled(q, scale)


def role_of(name: str) -> Role:
    """Colour and kind of a model in every chart."""
    if name == "subject":
        return "subject"
    null, _, _ = baselines.read_name(name)
    return "null" if null is None else null.role


SCHEMA_VERSION = 2
REFERENCE = "reference"  # first word of the name of a measurement minus that of a reference run
CRASHED = "crashed"  # quantity of a measurement that only says that its check did not finish
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


class Quantity(FrozenModel):
    """What a number is about, as fields: nobody takes its name apart.

    Attributes:
        check: The check that measures it ("accuracy_gap").
        quantity: What is measured ("gain").
        of: The model, class, cut, view or kind of file that it is measured of; empty if none.
        layer: The layer of the network in `of`, for a quantity of a network by depth; else empty.
        minus_reference: Whether it is a measurement minus that of the reference run.
    """

    check: str
    quantity: str
    of: str = ""
    layer: str = ""
    minus_reference: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str:
        """Stable dotted name, made of the other fields; policy files refer to it."""
        first = (REFERENCE,) if self.minus_reference else ()
        parts = (*first, self.check, self.quantity, self.of, self.layer)
        return ".".join(part for part in parts if part)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that make the name, for a measurement of the same."""
        return {field: getattr(self, field) for field in Quantity.model_fields}

    @property
    def crashed(self) -> bool:
        """Whether it only says that its check did not finish."""
        return self.quantity == CRASHED and not self.minus_reference

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, given: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Read fields that were stored with their name, which must be the one that they make."""
        if not isinstance(given, Mapping) or "name" not in given:
            return handler(given)
        made = handler({key: value for key, value in given.items() if key != "name"})
        if made.name != given["name"]:
            raise ValueError("the name is not the one that its fields make")
        return made


class Measurement(Quantity):
    """One number, with what a sceptical reader needs to doubt it.

    Attributes:
        value: The estimate, in `unit`. NaN means "not measurable", and `note` then says why.
        unit: "points" are percentage points / 100 (a difference of fractions).
        low: Lower end of the 95 % interval, in `unit`; NaN if there is none.
        high: Upper end.
        n: Number of images (or groups of near duplicates) that the value rests on.
        note: One sentence; empty when there is nothing to add.
        at: Coordinate of a point of a curve (relative depth, share of the budget), else None.
        category: Class of a result that is a word ("hunchback"), else empty.
        clause: Part of a sentence that the check's summary uses: why a curve has no shape, or what
            the two tasks of a transfer are; else empty.
        detail: Sufficient statistics that the judge needs beside the interval, by name.
    """

    value: float
    unit: Unit
    low: float = float("nan")
    high: float = float("nan")
    n: int = 0
    note: str = ""
    at: float | None = None
    category: str = ""
    clause: str = ""
    detail: dict[str, float] = {}


def exactly(
    what: Quantity, value: float, n: int, note: str, at: float | None = None
) -> Measurement:
    """A count of all there is, or a yes (1) or no (0): its interval is the number itself.

    Args:
        what: What is counted; its fields are those of the measurement.
        value: The count; NaN where it could not be made.
        n: Number of images that it rests on.
        note: One sentence; says why where the value is NaN.
        at: Coordinate, for a point of a curve.
    """
    return Measurement(
        **what.fields, value=value, unit="count", low=value, high=value, n=n, note=note, at=at
    )


def curve(name: str, role: Role, points: Sequence[Measurement]) -> Series:
    """A line of a chart through measurements, by their coordinate, with their intervals."""
    known = [m for m in points if m.at is not None]
    return Series(
        name=name,
        role=role,
        x=tuple(m.at for m in known if m.at is not None),
        y=tuple(m.value for m in known),
        low=tuple(m.low for m in known),
        high=tuple(m.high for m in known),
    )


GAP, GAIN, BALANCED = "accuracy_gap", "gain", "balanced_gain"


def is_gap(m: Quantity, quantity: str) -> bool:
    """Whether it is a quantity of this audit's accuracy gap ("gap", "gain", "twin_gain")."""
    return m.check == GAP and m.quantity == quantity and not m.minus_reference


def is_gain(m: Quantity) -> bool:
    """Whether it is a share of a null's errors, of all images or of classes weighed equally."""
    return is_gap(m, GAIN) or is_gap(m, BALANCED)


ByQuantity = Mapping[tuple[str, str], Measurement]


def by_quantity(measurements: Iterable[Measurement], check: str) -> ByQuantity:
    """A check's measurements by quantity and what they are of; without the points of curves."""
    own = (m for m in measurements if m.check == check and not m.minus_reference)
    return {(m.quantity, m.of): m for m in own if m.at is None}


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
        facts: What the audit knows of itself; programs read it instead of the words.
        document: What readers see, in words.
        measurements: Every number, for `judge` and `compare`.
        findings: Every limit's verdict.
        policy: The policy that judged, as resolved.
    """

    schema_version: int = Field(default=SCHEMA_VERSION)
    facts: Facts
    document: Document
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    policy: dict[str, object]
