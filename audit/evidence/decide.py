"""What is measured, decided before any work: the nulls, the cuts, the digests that name jobs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from audit.core.errors import AuditError
from audit.core.sizes import FRAME, Size, frame_of, height_width
from audit.evidence.class_split import classes_of_a
from audit.evidence.ladder import LARGEST_SIDE, ladder
from audit.evidence.profile import Profile
from audit.evidence.setup import CutPoint, ExtraDataset, Setup
from audit.reports.document import FrozenModel

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject
    from audit.model.network.cuts import Cut

SMALLEST_Q = 5


class Training(FrozenModel):
    """What nulls are trained on.

    Attributes:
        classes: Names, in the order of the nulls' outputs.
        train_digest: Of the training images, their labels and the classes.
        n_train: Training images.
        channels: Of the nulls' input: 1 if all images are grey, else 3.
        side: Of the images that the nulls see, before each rounds it to its stride.
        frame: What of an image they see (`audit.core.sizes.frame_of`).
    """

    classes: tuple[str, ...]
    train_digest: str
    n_train: int
    channels: int
    side: int
    frame: str = Field(default="1:1", pattern=FRAME)


def training(dataset: "Dataset", size: Size, crop_mode: str = "center") -> Training:
    """The training split of a data set, as nulls of a model with this input see it.

    The side is the longer one, so that nothing is lost where the other is shorter, at most 64.

    Raises:
        AuditError: DATA_NO_TRAINING, DATA_IMAGES_TOO_SMALL.
    """
    if dataset.train is None:
        raise AuditError(
            "DATA_NO_TRAINING",
            "the nulls need the training images, but only evaluation images were given. Give a "
            "folder with train/ and val/, or --train-data, or fitted nulls with --nulls.",
        )
    least, side = sorted(height_width(size))
    if least < SMALLEST_Q:
        raise AuditError(
            "DATA_IMAGES_TOO_SMALL",
            f"the nulls need images of at least {SMALLEST_Q} pixels a side, the smallest receptive "
            f"field, but the side is {least}. Nothing smaller can be audited.",
        )
    return Training(
        classes=dataset.classes,
        train_digest=dataset.train_digest,
        n_train=len(dataset.train),
        channels=1 if dataset.grey else 3,
        side=min(side, LARGEST_SIDE),
        frame=frame_of(size, crop_mode),
    )


def set_up_nulls(given: Training, profile: Profile, seed: int, dataset: "Dataset | None") -> Setup:
    """Decide which nulls are trained and measured, without a subject."""
    return Setup(
        profile=profile,
        seed=seed,
        subject="",
        architecture="",
        subject_digest="",
        subject_size=given.side,
        view="",
        train_digest=given.train_digest,
        eval_digest="" if dataset is None else dataset.eval_digest,
        paths_digest="" if dataset is None else names_digest(dataset.eval.paths),
        files_digest="" if dataset is None else files_digest(dataset),
        unreadable=0 if dataset is None else dataset.unreadable,
        classes=given.classes,
        n_train=given.n_train,
        n_eval=0 if dataset is None else len(dataset.eval),
        channels=given.channels,
        side=given.side,
        frame=given.frame,
        nulls=ladder(given.side, profile),
        training_images=dataset is not None and dataset.train is not None,
    )


def set_up(
    subject: "Subject",
    dataset: "Dataset",
    profile: Profile,
    seed: int,
    *,
    given: Training | None = None,
    classes: tuple[str, ...] | None = None,
    check_preprocessing: bool = False,
    others: Mapping[str, ExtraDataset] | None = None,
    transfer_classes: tuple[str, ...] = (),
) -> "tuple[Setup, dict[str, Cut]]":
    """Decide what is measured.

    Args:
        subject: Whose cuts and digests.
        dataset: Labels in the order of its classes.
        profile: How much.
        seed: Of everything random.
        given: What the nulls were trained on, if not on the training split of `dataset`.
        classes: Names in the order of the subject's outputs, where the caller knows better than
            the checkpoint.
        check_preprocessing: Whether other preprocessing is tried.
        others: Data sets beside the audited one, by use (`audit.inputs.data`).
        transfer_classes: The half of the classes that is A; empty: as the profile says.

    Returns:
        What is measured, and all cut points by name, as the model's code needs them.

    Raises:
        AuditError: If model and data do not fit together, or the images are too small.
    """
    from audit.model.network.split import find_cuts

    order = agree(subject, dataset, classes)
    view = subject.preprocessing
    known = given or training(dataset, view.img_size, view.crop_mode)
    nulls = set_up_nulls(known, profile, seed, dataset)
    found = find_cuts(subject.model, subject.spec.input_shape)
    cuts = spread(found, profile.cuts) if nulls.training_images else []
    setup = nulls.model_copy(
        update={
            "subject": subject.name,
            "architecture": subject.spec.architecture,
            "subject_digest": network_digest(subject),
            "subject_size": view.img_size,
            "view": repr(view),
            "order": order,
            "check_preprocessing": check_preprocessing,
            **(others or {}),
            "transfer_classes": half_for(nulls, others or {}, transfer_classes),
            "network_digest": digest_of(shape_of(subject)),
            "cuts": points(cuts),
            "all_cuts": points(found),
        }
    )
    return setup, {cut.name: cut for cut in found}


def agree(
    subject: "Subject", dataset: "Dataset", classes: tuple[str, ...] | None = None
) -> tuple[int, ...]:
    """Refuse a model that cannot be asked about these data.

    Returns:
        The model's output for each class of the data; empty if the order is the same.
    """
    if subject.spec.num_classes != len(dataset.classes):
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            f"the audit needs a model with one output a class, but {subject.name} has "
            f"{subject.spec.num_classes} outputs and the data have {len(dataset.classes)} classes"
            f"{dataset.hidden_words}. Give the data that the model was trained for.",
        )
    own = tuple(classes or subject.class_names or dataset.classes)
    strange = sorted(set(own) - set(dataset.classes))
    if strange or len(set(own)) < len(own):
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            f"the audit needs data of the model's own classes, but {subject.name} was saved with "
            f"a class '{(strange or own)[0]}' that the data lack. Rename the folders, or save the "
            "checkpoint without names.",
        )
    if subject.preprocessing.in_chans not in (1, 3):
        raise AuditError(
            "MODEL_CHANNELS",
            f"images have one channel or three, but {subject.name} takes "
            f"{subject.preprocessing.in_chans}. Such a model cannot be audited on an image folder.",
        )
    order = tuple(own.index(name) for name in dataset.classes)
    return () if own == dataset.classes else order


def points(cuts: "Sequence[Cut]") -> tuple[CutPoint, ...]:
    """Cuts as plain data."""
    return tuple(CutPoint(name=c.name, depth=c.depth, head=c.kind == "head") for c in cuts)


def names_digest(paths: Sequence[str]) -> str:
    """Of the evaluation images' names, which captions show."""
    return hashlib.sha256("\n".join(paths).encode()).hexdigest()


def files_digest(dataset: "Dataset") -> str:
    """Of names and sizes of all files, which the digests of the content leave out."""
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.eval):
        if split is not None:
            digest.update("\n".join((split.name, *split.paths)).encode())
            digest.update(b"" if split.sizes is None else split.sizes.tobytes())
    digest.update("\n".join(("", *dataset.skipped)).encode())
    digest.update(repr(dataset.broken).encode())
    return digest.hexdigest()


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


def half_for(
    setup: Setup, others: Mapping[str, ExtraDataset], given: tuple[str, ...]
) -> tuple[str, ...]:
    """The classes of A, if the classes are divided; other data take the place of a division.

    Raises:
        AuditError: TRANSFER_CLASSES if the user's classes are no half, or other data are given too.
    """
    if "transfer" not in others:
        wanted = setup.profile.split_transfer
        return classes_of_a(setup.classes, given, wanted=wanted, seed=setup.seed)
    if given:
        raise AuditError(
            "TRANSFER_CLASSES",
            "the transfer experiment has one A and one B, but both --transfer-classes and "
            "--transfer-data were given. Give one of them.",
        )
    return ()


def spread(cuts: "Sequence[Cut]", wanted: int) -> "list[Cut]":
    """At most `wanted` cuts, the last (before the classifier) among them, evenly by order.

    Of cuts with nothing to learn between them (pooling) only the last is kept, and cuts with
    parameters used on both sides cannot be frozen. None where none can.
    """
    cuts = [cut for cut in cuts if not cut.shared and not cut.unassigned]
    if not cuts:
        return []
    ends = [next_cut.before for next_cut in cuts[1:]] + [()]
    cuts = [cut for cut, following in zip(cuts, ends, strict=True) if cut.before != following]
    if len(cuts) <= wanted:
        return list(cuts)
    if wanted < 1:
        return []
    places = np.linspace(len(cuts) - 1, 0, wanted + 1)[:-1] if wanted > 1 else [len(cuts) - 1]
    return [cuts[i] for i in sorted({round(float(p)) for p in places})]
