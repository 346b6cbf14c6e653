"""Classes."""

from pathlib import Path
from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.inputs.settings import Settings
from audit.reports.text import visible

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject

Names = tuple[str, ...]

MOST_BYTES = 16 * 2**20  # of a list of class names


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
    from audit.data.csv_table import numbered_labels
    from audit.data.load import FOLDERS, TABLE, timm_class_order

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
