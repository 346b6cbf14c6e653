"""The model and the data that the settings name."""

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from audit.record import AuditError
from audit.settings import Settings
from reports.text import visible

if TYPE_CHECKING:
    from audit.data import Dataset
    from audit.model.checkpoint import Subject

Names = tuple[str, ...]
MOST_BYTES = 16 * 2**20  # of a list of class names


def load_model(path: Path, settings: Settings) -> "Subject":
    """The subject, as the settings name it and with the preprocessing that they give."""
    from audit.model.checkpoint import load_subject
    from audit.overrides import overridden

    subject = load_subject(
        path,
        model=settings.model,
        model_kwargs=settings.model_kwargs or None,
        num_classes=settings.num_classes,
        img_size=settings.img_size,
        in_chans=settings.in_chans,
        weights=settings.weights,
    )
    return overridden(subject, settings)


def load_data(
    settings: Settings, classes: Names | None = None, *, training: bool = True
) -> "Dataset":
    """The data, as the settings name them.

    Args:
        settings: Name the folders.
        classes: In the order of the labels; without: sorted folder names.
        training: Whether the training images are wanted, too.

    Raises:
        AuditError: DATA_NOT_GIVEN, and what `audit.data.load_dataset` raises.
    """
    from audit.data import load_dataset

    if settings.data is None and settings.eval_data is None:
        raise AuditError(
            "DATA_NOT_GIVEN",
            "an audit needs the data that the model is meant for, but none were named. Give "
            "--data DIR with train/ and val/ inside, or --train-data and --eval-data.",
        )
    with contextlib.ExitStack() as places:
        for name in ("data", "train_data", "eval_data"):
            path = getattr(settings, name)
            if path is not None and not path.exists():
                places.enter_context(settings.placing(name, "DATA_NOT_FOUND"))
        return load_dataset(
            settings.data,
            train=settings.train_data,
            evaluation=settings.eval_data,
            max_bad_images=settings.max_bad_images,
            classes=classes,
            training=training,
        )


def load_training_data(settings: Settings) -> "Dataset":
    """The training images, for fitting nulls; evaluation images only where --data holds both.

    Raises:
        AuditError: DATA_NOT_GIVEN, DATA_NO_TRAINING, and what `audit.data.load_dataset` raises.
    """
    from audit.data import load_dataset
    from audit.data.dataset import trained_on

    named = read_class_map(settings.class_map) if settings.class_map else None
    if settings.data is None and settings.train_data is not None:
        only = load_dataset(
            None,
            evaluation=settings.train_data,
            max_bad_images=settings.max_bad_images,
            classes=named,
        )
        return trained_on(only)
    return load_data(settings, named)


def known_classes(settings: Settings, subject: "Subject | None") -> Names | None:
    """Names in the order of the outputs: the user's list before the checkpoint's, if any."""
    if settings.class_map:
        return read_class_map(settings.class_map)
    return None if subject is None or subject.class_names is None else tuple(subject.class_names)


def output_classes(settings: Settings, subject: "Subject", dataset: "Dataset") -> Names:
    """Names of the classes in the order of the subject's outputs.

    Where nobody names them, the sorted names of the folders, unless timm's own script would have
    numbered the same folders otherwise. The order of the labels says nothing of the subject: it may
    be another model's, or that of nulls from a folder.

    Args:
        settings: May name a list.
        subject: May bring one.
        dataset: Whose classes the outputs stand for.

    Raises:
        AuditError: DATA_CLASS_ORDER where the order is unclear.
    """
    from audit.data import FOLDERS, TABLE, numbered_labels, timm_class_order

    named = known_classes(settings, subject)
    if named is not None or dataset.source not in (FOLDERS, TABLE):
        return named or dataset.classes
    if dataset.source == TABLE and numbered_labels(dataset.classes):
        return dataset.classes
    plain = tuple(sorted(dataset.classes))
    numbered = timm_class_order(plain)
    natural = subject.natural_order and dataset.source == FOLDERS
    if numbered != plain and not natural:
        what = "folders" if dataset.source == FOLDERS else "labels"
        raise AuditError(
            "DATA_CLASS_ORDER",
            f"the audit needs to know which output stands for which class, but these {what} "
            "sort differently by number or capitals than letter by letter. Give the order "
            "with --class-map, a file with one class name a line.",
        )
    return numbered


def read_class_map(path: Path) -> Names:
    """Class names in the order of the outputs, one a line.

    Raises:
        AuditError: DATA_CLASS_MAP if the file cannot be read, is larger than 16 MB or names a
            class twice.
    """
    try:
        names = [line.strip() for line in _small_file(path).decode("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError):
        names = []
    names = [name for name in names if name]
    if not names or len(set(names)) < len(names):
        raise AuditError(
            "DATA_CLASS_MAP",
            "--class-map needs a file with one class name a line, each once, but "
            f"{visible(str(path))} is not one. Write the names of the class folders in the order "
            "of the model's outputs.",
        )
    return tuple(names)


def _small_file(path: Path) -> bytes:
    """What a regular file of at most `MOST_BYTES` holds; nothing for a pipe or a device."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    return raw if len(raw) <= MOST_BYTES else b""


def file_digest(path: Path) -> str:
    """SHA-256 in hex; empty if the file is gone."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def require_unchanged(subject: "Subject") -> None:
    """Refuse a model file that changed while it was audited.

    Raises:
        AuditError: MODEL_CHANGED.
    """
    if file_digest(subject.file) != subject.file_digest:
        raise AuditError(
            "MODEL_CHANGED",
            f"an audit needs a model file that stays as it is, but {subject.name} changed while it "
            "was audited. Run the audit again.",
        )
