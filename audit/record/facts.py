"""What an audit knows of itself, as fields: the words of its document are made of them."""

from typing import Literal

from pydantic import Field

from audit.reports.document import FrozenModel

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
        null_side: Longer side of the images that the nulls see, in pixels.
        null_size: Height and width of these images; None in reports of earlier versions, whose
            nulls saw squares.
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
    null_size: tuple[int, int] | None = Field(
        default=None, title="height and width that the nulls see"
    )
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
        window: Side of the windows of larger images that it learned from, in pixels; 0 for none.
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
    window: int = 0
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
