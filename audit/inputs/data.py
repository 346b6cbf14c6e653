"""The data that the settings name: what is audited, and other data for probes and transfer."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.inputs.settings import Settings
from audit.reports.text import visible

if TYPE_CHECKING:
    from audit.data.dataset import Dataset

SAMPLE = 500  # images whose size is looked at
USES = {"probe": "--probe-data", "transfer": "--transfer-data"}  # by the name in a job context


def load_data(settings: Settings, *, training: bool = True) -> "Dataset":
    """The data, as the settings name them.

    Args:
        settings: Name the folders.
        training: Whether the training images are wanted, too.

    Raises:
        AuditError: DATA_NOT_GIVEN, and what `audit.data.load_dataset` raises.
    """
    from audit.data.load import load_dataset

    if settings.data is None and settings.eval_data is None:
        raise AuditError(
            "DATA_NOT_GIVEN",
            "an audit needs the data that the model is meant for, but none were named.",
            "Give --data DIR with train/ and val/ inside, or --train-data and --eval-data.",
        )
    with contextlib.ExitStack() as places:
        for name in ("data", "train_data", "eval_data"):
            path = getattr(settings, name)
            if path is not None and not path.exists():
                places.enter_context(settings.locate_errors(name, "DATA_NOT_FOUND"))
        return load_dataset(
            settings.data,
            train=settings.train_data,
            evaluation=settings.eval_data,
            max_bad_images=settings.max_bad_images,
            training=training,
        )


def load_training_data(settings: Settings) -> "Dataset":
    """The training images, for fitting nulls; evaluation images only where --data holds both.

    Raises:
        AuditError: DATA_NOT_GIVEN, DATA_NO_TRAINING, and what `audit.data.load_dataset` raises.
    """
    from audit.data.dataset import trained_on
    from audit.data.load import load_dataset

    if settings.data is None and settings.train_data is not None:
        only = load_dataset(
            None,
            evaluation=settings.train_data,
            max_bad_images=settings.max_bad_images,
        )
        return trained_on(only)
    return load_data(settings)


def load_others(settings: Settings) -> "dict[str, Dataset]":
    """The data sets that the settings name beside the audited one, by use.

    Raises:
        AuditError: What `audit.data.load_dataset` raises, naming the option, and
            DATA_NO_TRAINING where one has no training images.
    """
    return {
        use: load_other(path, USES[use], settings.max_bad_images)
        for use, path in paths_of(settings).items()
    }


def paths_of(settings: Settings) -> dict[str, Path]:
    """Where they are, by use."""
    given = {"probe": settings.probe_data, "transfer": settings.transfer_data}
    return {use: path for use, path in given.items() if path is not None}


def load_other(path: Path, option: str, max_bad_images: int) -> "Dataset":
    """One of them; both splits are needed, since a read-out learns on one and is judged on one."""
    from audit.data.load import load_dataset

    try:
        dataset = load_dataset(path, max_bad_images=max_bad_images)
    except AuditError as error:
        sentence = f"{option} {visible(str(path))} cannot be used: {error.sentence}"
        missing = error.reason == "DATA_NOT_FOUND"
        remedy = "Name a folder with train/ and val/." if missing else error.remedy
        raise AuditError(error.reason, sentence, remedy) from None
    if dataset.train is None:
        raise AuditError(
            "DATA_NO_TRAINING",
            f"{option} needs training images, too, but {visible(str(path))} has no train/ "
            "beside its evaluation images.",
            "Give a folder with both.",
        )
    return dataset


def names_of(settings: Settings) -> dict[str, str]:
    """What the data sets are called, by use: the last part of the path."""
    return {use: visible(path.resolve().name, 60) for use, path in paths_of(settings).items()}


def median_side(dataset: "Dataset") -> int:
    """Median of the shorter sides of up to 500 images, evenly spaced, in pixels."""
    import numpy as np

    split = dataset.train or dataset.eval
    step = -(-len(split) // SAMPLE)
    sides = [min(split.open_image(i).size) for i in range(0, len(split), step)]
    return int(np.median(sides))
