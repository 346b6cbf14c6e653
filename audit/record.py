"""What an audit writes down. Imports nothing of this project except the report's words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, computed_field, model_validator

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
    detail: dict[str, float] = {}


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


Answer = Literal["yes", "no", "unknown"]


class ModelFacts(FrozenModel):
    """What was audited. An empty field, or None, is not known.

    Attributes:
        file: Name of the model's file.
        architecture: timm's name for it.
        arguments: Further arguments of the architecture, as Python writes them.
        architecture_from: How the architecture is known, in words.
        container: Kind of the file.
        weights: Which set of weights of the file was audited, in words.
        other_weights: The sets that it holds besides, in words.
        parameters: Number of parameters.
        input: Size and preprocessing of the input, and who says so, in words.
        file_digest: SHA-256 of the file.
        weights_digest: SHA-256 of the weights.
        pretrained: Whether it was trained on other data before.
        pretrained_on: Name of these data, if it is known.
        pretrained_by: Who says whether it was: "user", "checkpoint" or nobody.
        same_outputs: Whether it gives the same outputs for all images.
    """

    file: str = Field(default="", title="file")
    architecture: str = Field(default="", title="architecture")
    arguments: dict[str, str] = Field(default={}, title="arguments of the architecture")
    architecture_from: str = Field(default="", title="architecture known")
    container: str = Field(default="", title="container")
    weights: str = Field(default="", title="weights")
    other_weights: tuple[str, ...] = Field(default=(), title="other weights")
    parameters: int | None = Field(default=None, title="parameters")
    input: str = Field(default="", title="input")
    file_digest: str = Field(default="", title="SHA-256 of the file")
    weights_digest: str = Field(default="", title="SHA-256 of the weights")
    pretrained: Answer = Field(default="unknown", title="pre-trained on other data")
    pretrained_on: str = Field(default="", title="pre-trained on")
    pretrained_by: Literal["user", "checkpoint", ""] = Field(
        default="", title="who knows of pre-training"
    )
    same_outputs: bool | None = Field(default=None, title="same outputs for all images")


class ExtraFacts(FrozenModel):
    """A data set beside the audited one.

    Attributes:
        name: Name of the data set.
        n_train: Number of its training images.
        n_eval: Number of its evaluation images.
        seen: Number of its evaluation images that are training images of the audited data.
        classes: Names of its classes, in label order.
        train_digest: SHA-256 of its training images.
        eval_digest: SHA-256 of its evaluation images.
    """

    name: str
    n_train: int
    n_eval: int
    seen: int
    classes: tuple[str, ...]
    train_digest: str
    eval_digest: str


class DataFacts(FrozenModel):
    """The data of an audit. An empty field, or None, is not known.

    Attributes:
        source: Where the data come from.
        digest: SHA-256 of all images, labels and classes.
        eval_digest: SHA-256 of the evaluation images, their labels and the classes.
        classes: Names of the classes, in label order.
        n_train: Number of training images.
        n_eval: Number of evaluation images.
        training_images: Whether the training images were at hand.
        grey: Whether all images are grey.
        left_out: Number of files that were left out.
        null_side: Side of the images that the nulls see, in pixels.
        frame: What of an image the nulls see ("1:1", "whole").
        model_size: Height and width of the model's input, in pixels.
        nulls_reduced: Whether the nulls saw smaller images than the model.
        chose_model: Whether the evaluation images were used to choose the model.
        extra: Other data, by the option that names them.
    """

    source: str = Field(default="", title="source")
    digest: str = Field(default="", title="SHA-256 of the data")
    eval_digest: str = Field(default="", title="SHA-256 of the evaluation data")
    classes: tuple[str, ...] = Field(default=(), title="classes")
    n_train: int | None = Field(default=None, title="training images")
    n_eval: int | None = Field(default=None, title="evaluation images")
    training_images: bool | None = Field(default=None, title="training images at hand")
    grey: bool | None = Field(default=None, title="grey")
    left_out: int | None = Field(default=None, title="files left out")
    null_side: int | None = Field(default=None, title="side that the nulls see")
    frame: str = Field(default="", title="frame that the nulls see")
    model_size: tuple[int, int] | None = Field(default=None, title="height and width of the input")
    nulls_reduced: bool | None = Field(default=None, title="nulls saw smaller images")
    chose_model: Answer = Field(
        default="unknown", title="evaluation images were used to choose the model"
    )
    extra: dict[str, ExtraFacts] = Field(default={}, title="other data")


class ProofFacts(FrozenModel):
    """What was tried to refute that a null is as blind as it claims.

    Attributes:
        holds: Whether nothing refuted it.
        checked: Number of tries.
        largest: Largest change of an output.
    """

    holds: bool
    checked: int
    largest: float


class NullFacts(FrozenModel):
    """How a null was trained.

    Attributes:
        title: Name of the null for people.
        reason: Why it could not be trained; empty if it was. Then nothing else is known.
        parameters: Number of its parameters.
        images_seen: Training images seen, repetitions counted.
        device: Device that it was trained on.
        rate: Learning rate.
        diverged_at: Rate at which it diverged before; None: it did not.
        augment: Augmentation.
        precision: Number format of its products while it learned.
        crop: Side of the crops that it saw first, in pixels; 0 for none.
        trials: Number of trial fits.
        heldout_accuracy: Accuracy on held-out training images, a fraction.
        spacing: Distance of the patches that vote, in pixels.
        mirrored: Whether their mirror images vote, too.
        doublings: How often its budget was doubled.
        proofs: Tries to refute its blindness, by what was tried; empty for a control.
    """

    title: str
    reason: str = ""
    parameters: int = 0
    images_seen: int = 0
    device: str = "cpu"
    rate: float = 0.0
    diverged_at: float | None = None
    augment: str = ""
    precision: str = "float32"
    crop: int = 0
    trials: int = 0
    heldout_accuracy: float = 0.0
    spacing: int = 0
    mirrored: bool = False
    doublings: int = 0
    proofs: dict[str, ProofFacts] = {}


class FolderFacts(FrozenModel):
    """The folder that trained nulls came from.

    Attributes:
        name: Name of the folder.
        digest: SHA-256 of its manifest.
        fitted: Date on which the nulls were trained.
        tool_version: Version of the package that trained them.
        profile: Name of the profile that they were trained with.
        seed: Seed that they were trained with.
        side_from: Where the side of their images comes from, in words.
    """

    name: str
    digest: str
    fitted: str
    tool_version: str
    profile: str
    seed: int
    side_from: str


class ReferenceFacts(FrozenModel):
    """The run that an audit was compared with.

    Attributes:
        name: Name of its folder.
        digest: SHA-256 of its report.
    """

    name: str
    digest: str


class AuditFacts(FrozenModel):
    """How an audit was made. An empty field, or None, is not known.

    Attributes:
        tool_version: Version of this package.
        date: When the command began.
        seed: Seed of everything random.
        profile: Fields of the profile.
        left_out: What a limit of time left out, in words.
        device: Device that networks ran on.
        workers: Number of processes that did jobs side by side.
        jobs: Number of jobs.
        reused: Number of jobs whose results were found in the cache or a folder of nulls.
        seconds: Wall time since the command began, in seconds.
        audit_seconds: Wall time since model and data were loaded, in seconds.
        stage_seconds: Seconds of work by kind of job, of what was done now.
        peak_memory: Peak memory of the largest process, in GiB.
        nulls_folder: The folder that the nulls came from, if they did.
        network: Stride in pixels, width in channels and number of residual blocks of the nulls'
            networks.
        nulls: How every null was trained.
        reference: The run that this one was compared with, if any.
        versions: Versions of packages and of the machine, by name.
    """

    tool_version: str = Field(default="", title="tool")
    date: str = Field(default="", title="date")
    seed: int | None = Field(default=None, title="seed")
    profile: dict[str, object] = Field(default={}, title="profile")
    left_out: str = Field(default="", title="left out")
    device: str = Field(default="", title="device")
    workers: int | None = Field(default=None, title="processes")
    jobs: int | None = Field(default=None, title="jobs")
    reused: int | None = Field(default=None, title="jobs reused")
    seconds: float | None = Field(default=None, title="time")
    audit_seconds: float | None = Field(default=None, title="time of the audit")
    stage_seconds: dict[str, float] = Field(default={}, title="time by stage")
    peak_memory: float | None = Field(default=None, title="peak memory")
    nulls_folder: FolderFacts | None = Field(default=None, title="nulls given")
    network: tuple[int, int, int] | None = Field(default=None, title="networks of the nulls")
    nulls: tuple[NullFacts, ...] = Field(default=(), title="nulls")
    reference: ReferenceFacts | None = Field(default=None, title="reference run")
    versions: dict[str, str] = Field(default={}, title="version of")


class Facts(FrozenModel):
    """What an audit knows of itself, as fields: the document's words are made of them.

    Attributes:
        model: What was audited.
        data: On which data.
        audit: How.
        stated: What an earlier version stated in words alone, by its label.
    """

    model: ModelFacts = ModelFacts()
    data: DataFacts = DataFacts()
    audit: AuditFacts = AuditFacts()
    stated: dict[str, str] = {}


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
