"""Which class each output of a model stands for."""

from pathlib import Path
from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.reports.text import visible

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject

Names = tuple[str, ...]
MOST_BYTES = 16 * 2**20  # of a list of class names


def output_classes(class_map: Names | None, subject: "Subject", dataset: "Dataset") -> Names:
    """Names of the classes in the order of the subject's outputs.

    Where nobody names them, the sorted names of the folders, unless timm's own script would have
    numbered the same folders otherwise. The order of the labels says nothing of the subject.

    Args:
        class_map: The user's list, which goes before the checkpoint's.
        subject: May bring a list.
        dataset: Whose classes the outputs stand for.

    Raises:
        AuditError: DATA_CLASS_ORDER where the order is unclear, DATA_CLASS_MISMATCH where a list
            names other classes than the data.
    """
    from audit.data.class_order import are_numbers, timm_order
    from audit.data.load import FOLDERS, TABLE

    named = given_names(class_map, subject)
    if named:
        return named_outputs(named, dataset)
    numbers = dataset.source == TABLE and are_numbers(dataset.classes)
    if dataset.source not in (FOLDERS, TABLE) or numbers:
        return dataset.classes
    plain = tuple(sorted(dataset.classes))
    numbered = timm_order(plain)
    natural = subject.natural_order and dataset.source == FOLDERS
    if numbered != plain and not natural:
        what = "folders" if dataset.source == FOLDERS else "labels"
        raise AuditError(
            "DATA_CLASS_ORDER",
            f"the audit needs to know which output stands for which class, but these {what} "
            "sort differently by number or capitals than letter by letter.",
            "Give the order with --class-map, a file with one class name a line.",
        )
    return numbered


def named_outputs(named: Names, dataset: "Dataset") -> Names:
    """The outputs' classes by a list of names; idx files know no names: the n-th is the label n.

    Raises:
        AuditError: DATA_CLASS_MISMATCH.
    """
    from audit.data.load import IDX

    if set(named) == set(dataset.classes):
        return named
    by_number = tuple(map(str, range(len(named))))
    if dataset.source == IDX and by_number == dataset.classes:
        return by_number
    raise AuditError(
        "DATA_CLASS_MISMATCH",
        f"the audit needs the same classes everywhere, but {strange_class(named, dataset)}.",
        "Use the same names in the data and in the list of the model's classes.",
    )


def given_names(class_map: Names | None, subject: "Subject") -> Names | None:
    """Names in the order of the outputs: the user's list before the checkpoint's."""
    return class_map or (tuple(subject.class_names) if subject.class_names else None)


def strange_class(named: Names, dataset: "Dataset") -> str:
    """The first class that is only in the list or only in the data, in words; empty if none is."""
    lacking = sorted(set(named) - set(dataset.classes))
    strange = lacking or sorted(set(dataset.classes) - set(named))
    if not strange:
        return ""
    where = "of the data" if lacking else "of the given list of classes"
    return f"'{visible(strange[0], 60)}' is not among those {where}{dataset.hidden_words}"


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
            f"{visible(str(path))} is not one.",
            "Write the names of the class folders in the order of the model's outputs.",
        )
    return tuple(names)


def _small_file(path: Path) -> bytes:
    """What a regular file of at most `MOST_BYTES` holds; nothing for a pipe or a device."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    return raw if len(raw) <= MOST_BYTES else b""
