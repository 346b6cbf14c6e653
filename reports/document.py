"""The vocabulary of a report: plain data, no torch, no knowledge of any check.

A `Document` holds everything that a writer (HTML, Markdown, JUnit) needs, already in words and
numbers. It is stored whole in `report.yaml`, so that every format can be made again from there.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["pass", "fail", "inconclusive"]
Severity = Literal["gate", "warn", "info"]
Role = Literal["subject", "null", "control", "untrained"]
Cell = str | int | float | None


class FrozenModel(BaseModel):
    """Base of all records here: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Series(FrozenModel):
    """One line or one row of points of a chart.

    Attributes:
        name: Direct label, the model's name ("BagNet-9").
        role: Decides the colour, the same in every chart.
        x: Coordinates. Strings are categories, in display order.
        y: Values, in the chart's unit; NaN where not measured.
        low: Lower ends of the 95 % intervals, as long as `y`, or empty.
        high: Upper ends, likewise.
    """

    name: str
    role: Role
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def dot(name: str, role: Role, value: float, low: float, high: float) -> Series:
    """One row of an "interval" chart: a value with its 95 % interval, labelled `name`."""
    return Series(name=name, role=role, x=(name,), y=(value,), low=(low,), high=(high,))


class Chart(FrozenModel):
    """A picture of numbers that stand in the report as measurements.

    Attributes:
        title: What is shown, in the reader's words.
        description: One or two sentences for a reader who cannot see it.
        kind: "interval" draws one horizontal row a category (a dot and its interval),
            "line" draws curves over a numeric axis;
            "grid" draws a table of shares, a row a series and a column a coordinate,
            "scatter" one dot a point over two numeric axes.
        x_label: Axis label with the unit. For "interval" the value axis.
        y_label: Axis label with the unit. For "interval" the category axis.
        series: In display order.
        limits: Values at which a thin reference line is drawn on the value axis, with its label.
        percent: Whether values are fractions to be shown in percent.
        points: Whether values are differences of fractions, to be shown in percentage points.
    """

    title: str
    description: str
    kind: Literal["interval", "line", "grid", "scatter"]
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    limits: tuple[tuple[float, str], ...] = ()
    percent: bool = False
    points: bool = False


class Picture(FrozenModel):
    """An image of the evidence.

    Attributes:
        file: Path relative to the run folder ("evidence/subject-only-03.png").
        caption: What it shows; file names and class names come from input and are untrusted.
        group: Heading under which equal groups are shown together.
    """

    file: str
    caption: str
    group: str = ""


class Section(FrozenModel):
    """One check's part of the report.

    Attributes:
        name: Stable identifier ("accuracy_gap").
        title: Heading, in the reader's words.
        verdict: The worst verdict among the check's gating or warning findings; None if the
            policy sets no limit on it.
        summary: One or two sentences that a non-specialist can act on.
        rows: Table rows, all with the same keys, in display order.
        charts: Drawn above the table.
        pictures: Shown below it.
        caveats: How it can mislead, one sentence each.
        references: The papers.
    """

    name: str
    title: str
    verdict: Verdict | None
    summary: str
    rows: tuple[dict[str, Cell], ...] = ()
    charts: tuple[Chart, ...] = ()
    pictures: tuple[Picture, ...] = ()
    caveats: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


class Gate(FrozenModel):
    """One limit of the policy and what became of it.

    Attributes:
        name: The policy's key ("gain").
        statement: The limit in words ("removes at least 10 % of the errors of every null").
        verdict: Pass, fail or inconclusive.
        severity: Only "gate" decides the exit code.
        reason: Stable reason code where there is one ("NO_HEADROOM"), else empty.
        explanation: One sentence: why this verdict, and what to do.
        value: The estimate, NaN where not measured.
        low: Lower end of its 95 % interval.
        high: Upper end.
        n: Number of images.
        unit: Unit of value, low and high.
        waiver: Until when and why it is excused, in words; empty if it is not. A waived limit
            keeps its verdict and decides nothing.
        file: The user's file that sets the limit; empty for a default one.
        line: Of that file; 0 if it is not known.
    """

    name: str
    statement: str
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


class KeyNumber(FrozenModel):
    """One of the few numbers on the first screen.

    Attributes:
        label: What it is, in the reader's words.
        value: With its unit ("73.4 %").
        interval: Its 95 % interval in words, or empty where there is none.
        n: Number of images that it rests on.
        metric: What machines call it ("accuracy"), or empty.
        estimate: The value as a number: shares and gains are 1 for all, 0 for none.
    """

    label: str
    value: str
    interval: str
    n: int
    metric: str = ""
    estimate: float = float("nan")


class Document(FrozenModel):
    """A whole report.

    Attributes:
        title: Usually the model's name.
        verdict: Of all gates together.
        headline: One sentence: why, for a reader who knows no statistics.
        exit_code: What the command returned.
        watermark: A short warning shown with the verdict ("quick look: one seed"), or empty.
        numbers: The numbers that matter, at most four.
        certainty: How sure all this is, in one or two sentences.
        audited: What was audited, on what, when and by which version: the first screen's facts.
        subject: What was audited: label to value.
        data: On what: label to value.
        data_source: Where the data come from, for writers that name the data set; or empty.
        data_digest: SHA-256 of all images, labels and classes, for the same writers; or empty.
        gates: All limits of the policy.
        sections: One a check, in report order.
        not_established: What the audit does not establish, one sentence each.
        provenance: Digests, versions, seeds, times: label to value.
        command: The exact command that repeats the audit.
    """

    title: str
    verdict: Verdict
    headline: str
    exit_code: int
    watermark: str = ""
    numbers: tuple[KeyNumber, ...] = ()
    certainty: str = ""
    audited: dict[str, str] = {}
    subject: dict[str, str] = {}
    data: dict[str, str] = {}
    data_source: str = ""
    data_digest: str = ""
    gates: tuple[Gate, ...] = ()
    sections: tuple[Section, ...] = ()
    not_established: tuple[str, ...] = ()
    provenance: dict[str, str] = {}
    command: str = ""
