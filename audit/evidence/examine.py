"""A model looked at together with its data once; then what is measured in this profile or that.

Tracing a network for its cut points takes seconds and digests of large data do too: plans of
several profiles, the choice of one by --max-time and the audit itself share what was found.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.data.dataset import Dataset
from audit.evidence.decide import Training, half_for, points, set_up_nulls, spread, training
from audit.evidence.profile import Profile
from audit.evidence.setup import ExtraDataset, NullInput, Setup

if TYPE_CHECKING:
    from audit.model.checkpoint import Subject
    from audit.model.network.cuts import Cut
    from audit.model.spec import Preprocessing


@dataclass(frozen=True, eq=False)
class Experiment:
    """What models are measured on, and what is asked of them beside a profile.

    Attributes:
        dataset: The audited data.
        seed: Random seed, from which those of the nulls are derived.
        given: What the nulls were trained on, if not on the training split of `dataset`.
        check_preprocessing: Whether other preprocessing is tried on training images.
        extra: Data sets besides the audited one, by use: "probe", "transfer".
        names: Their names for people, by use.
        transfer_classes: The half of the classes that is A; empty: as the profile says.
    """

    dataset: Dataset
    seed: int = 0
    given: Training | None = None
    check_preprocessing: bool = False
    extra: Mapping[str, Dataset] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    transfer_classes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Examination:
    """What is the same in every profile: found once for each model.

    Attributes:
        experiment: On what, and what is asked.
        training: What the nulls are trained on.
        others: What jobs and readers know of the extra data sets, by use.
        subject: The model; None where only nulls are trained.
        order: The model's output for each class of the data; empty if the order is the same.
        cuts: Every place where the model can be cut in two, by name, in order of depth.
        subject_digest: Digest of the model's weights and architecture.
        network_digest: Digest of its architecture and input alone.
    """

    experiment: Experiment
    training: Training
    others: dict[str, ExtraDataset]
    subject: "Subject | None" = None
    order: tuple[int, ...] = ()
    cuts: "dict[str, Cut]" = field(default_factory=dict)
    subject_digest: str = ""
    network_digest: str = ""


def examine(
    subject: "Subject", experiment: Experiment, classes: tuple[str, ...] | None = None
) -> Examination:
    """Look at a model and its data.

    Args:
        subject: The model.
        experiment: On what it is measured.
        classes: Names in the order of the model's outputs, where the caller knows better than the
            checkpoint.

    Raises:
        AuditError: If model and data do not fit together, or the images are too small.
    """
    from audit.model.network.split import find_cuts

    dataset, view = experiment.dataset, subject.preprocessing
    order = agree(subject, dataset, classes)
    return Examination(
        experiment=experiment,
        training=experiment.given or training(dataset, input_of(view)),
        others=others(experiment.extra, dataset, experiment.names),
        subject=subject,
        order=order,
        cuts={cut.name: cut for cut in find_cuts(subject.model, subject.spec.input_shape)},
        subject_digest=network_digest(subject),
        network_digest=digest_of(shape_of(subject)),
    )


def input_of(view: "Preprocessing") -> NullInput:
    """What nulls see of the images of a model: what the model sees."""
    seen = {field: getattr(view, field) for field in ("crop_pct", "interpolation", "crop_mode")}
    return NullInput.model_validate({"size": view.img_size, **seen})


def examine_nulls(experiment: Experiment, given: NullInput) -> Examination:
    """The same where no model is at hand: nulls alone, for models with this input.

    Args:
        experiment: On what they are trained.
        given: From an image to what such a model sees.

    Raises:
        AuditError: DATA_NO_TRAINING, DATA_IMAGES_TOO_SMALL.
    """
    dataset = experiment.dataset
    known = experiment.given or training(dataset, given)
    return Examination(experiment, known, others(experiment.extra, dataset, experiment.names))


def set_up(examined: Examination, profile: Profile) -> Setup:
    """Decide what is measured in a profile.

    Raises:
        AuditError: TRANSFER_CLASSES if the classes of A are no half.
    """
    experiment, subject = examined.experiment, examined.subject
    nulls = set_up_nulls(examined.training, profile, experiment.seed, experiment.dataset)
    if subject is None:
        return nulls
    found = tuple(examined.cuts.values())
    cuts = spread(found, profile.cuts) if nulls.training_images else []
    return nulls.model_copy(
        update={
            "subject": subject.name,
            "architecture": subject.spec.architecture,
            "subject_digest": examined.subject_digest,
            "subject_size": subject.preprocessing.img_size,
            "view": repr(subject.preprocessing),
            "order": examined.order,
            "check_preprocessing": experiment.check_preprocessing,
            **examined.others,
            "transfer_classes": half_for(nulls, examined.others, experiment.transfer_classes),
            "network_digest": examined.network_digest,
            "cuts": points(cuts),
            "all_cuts": points(found),
        }
    )


def agree(
    subject: "Subject", dataset: Dataset, classes: tuple[str, ...] | None = None
) -> tuple[int, ...]:
    """Refuse a model that cannot be asked about these data.

    Returns:
        The model's output for each class of the data; empty if the order is the same.
    """
    if subject.spec.num_classes != len(dataset.classes):
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            f"the audit needs a model with one output a class, but {subject.name} has "
            f"{subject.spec.num_classes} outputs and the data have {len(dataset.classes)} "
            f"classes{dataset.hidden_words}.",
            "Give the data that the model was trained for.",
        )
    own = tuple(classes or subject.class_names or dataset.classes)
    strange = sorted(set(own) - set(dataset.classes))
    if strange or len(set(own)) < len(own):
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            f"the audit needs data of the model's own classes, but {subject.name} was saved "
            f"with a class '{(strange or own)[0]}' that the data lack.",
            "Rename the folders, or save the checkpoint without names.",
        )
    if subject.preprocessing.in_chans not in (1, 3):
        raise AuditError(
            "MODEL_CHANNELS",
            f"images have one channel or three, but {subject.name} takes "
            f"{subject.preprocessing.in_chans}.",
            "Such a model cannot be audited on an image folder.",
        )
    order = tuple(own.index(name) for name in dataset.classes)
    return () if own == dataset.classes else order


def other(dataset: Dataset, audited: Dataset, name: str) -> ExtraDataset:
    """What jobs and readers know of a data set besides the audited one.

    Args:
        dataset: The other one, with both splits.
        audited: The one whose training images may be among the other's evaluation images.
        name: Its name for people.
    """
    assert dataset.train is not None
    known = set() if audited.train is None else set(audited.train.pixel_digests)
    return ExtraDataset(
        name=name,
        train_digest=dataset.train_digest,
        eval_digest=dataset.eval_digest,
        classes=dataset.classes,
        n_train=len(dataset.train),
        n_eval=len(dataset.eval),
        seen=sum(digest in known for digest in dataset.eval.pixel_digests),
    )


def others(
    given: Mapping[str, Dataset], audited: Dataset, names: Mapping[str, str]
) -> dict[str, ExtraDataset]:
    """The same of each of them, as a `Setup` holds it."""
    return {use: other(data, audited, names.get(use, use)) for use, data in given.items()}


def network_digest(subject: "Subject") -> str:
    """Of the function: weights alone do not tell the number of heads or the kind of pooling."""
    spec = subject.spec
    content = [spec.architecture, spec.kwargs, spec.num_classes, spec.in_chans, spec.img_size]
    return digest_of([*content, subject.weights_digest])


def shape_of(subject: "Subject") -> list[object]:
    """All that determines a fresh network of the subject's kind, but for its classes."""
    spec = subject.spec
    return [spec.architecture, spec.kwargs, spec.in_chans, spec.img_size]


def digest_of(content: list[object]) -> str:
    """SHA-256 in hex of plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()
