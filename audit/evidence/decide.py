"""What is measured, decided before any work: the nulls, the cuts, the halves of the classes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from audit.core.errors import AuditError
from audit.core.sizes import Size, height_width, size_of
from audit.evidence.class_split import classes_of_a
from audit.evidence.ladder import LARGEST_SIDE, ladder
from audit.evidence.profile import Profile
from audit.evidence.setup import CutPoint, ExtraDataset, NullInput, Setup
from audit.reports.document import FrozenModel

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.network.cuts import Cut

SMALLEST_Q = 5


class Training(FrozenModel):
    """What nulls are trained on.

    Attributes:
        classes: Names, in the order of the nulls' outputs.
        train_digest: Of the training images, their labels and the classes.
        n_train: Training images.
        channels: Of the nulls' input: 1 if all images are grey, else 3.
        input: What the nulls see of an image.
    """

    classes: tuple[str, ...]
    train_digest: str
    n_train: int
    channels: int
    input: NullInput


def training(dataset: "Dataset", given: NullInput) -> Training:
    """The training split of a data set, as nulls of a model with this input see it.

    Raises:
        AuditError: DATA_NO_TRAINING, DATA_IMAGES_TOO_SMALL.
    """
    if dataset.train is None:
        raise AuditError(
            "DATA_NO_TRAINING",
            "the nulls need the training images, but only evaluation images were given.",
            "Give a folder with train/ and val/, or --train-data, or fitted nulls with --nulls.",
        )
    least = given.side
    if least < SMALLEST_Q:
        raise AuditError(
            "DATA_IMAGES_TOO_SMALL",
            f"the nulls need images of at least {SMALLEST_Q} pixels a side, the smallest "
            f"receptive field, but the side is {least}.",
            "Nothing smaller can be audited.",
        )
    return Training(
        classes=dataset.classes,
        train_digest=dataset.train_digest,
        n_train=len(dataset.train),
        channels=1 if dataset.grey else 3,
        input=given.model_copy(update={"size": seen_size(given.size)}),
    )


def seen_size(size: Size) -> Size:
    """The size at which nulls see images of a model: its own, reduced where a side exceeds 512."""
    height, width = height_width(size)
    longer = max(height, width)
    if longer <= LARGEST_SIDE:
        return size
    height, width = (max(1, round(side * LARGEST_SIDE / longer)) for side in (height, width))
    return size_of(height, width)


def set_up_nulls(given: Training, profile: Profile, seed: int, dataset: "Dataset | None") -> Setup:
    """Decide which nulls are trained and measured, without a subject."""
    return Setup(
        profile=profile,
        seed=seed,
        subject="",
        architecture="",
        subject_digest="",
        subject_size=given.input.size,
        view="",
        train_digest=given.train_digest,
        eval_digest="" if dataset is None else dataset.eval_digest,
        paths_digest="" if dataset is None else dataset.eval.names_digest,
        files_digest="" if dataset is None else dataset.files_digest,
        unreadable=0 if dataset is None else dataset.unreadable,
        classes=given.classes,
        n_train=given.n_train,
        n_eval=0 if dataset is None else len(dataset.eval),
        channels=given.channels,
        input=given.input,
        nulls=ladder(given.input.side, profile),
        training_images=dataset is not None and dataset.train is not None,
    )


def points(cuts: "Sequence[Cut]") -> tuple[CutPoint, ...]:
    """Cuts as plain data."""
    return tuple(CutPoint(name=c.name, depth=c.depth, head=c.kind == "head") for c in cuts)


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
            "--transfer-data were given.",
            "Give one of them.",
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
