"""Where data come in: find the splits, settle the list of classes, refuse what cannot be judged.

The labels follow the names of the classes (`audit.data.class_order`), never a model, and never what
a split happens to hold.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from audit.core.errors import AuditError
from audit.data.class_order import in_order
from audit.data.csv_table import is_table, scan_splits, scan_table
from audit.data.dataset import Dataset, Split, dataset_digest, evaluation_only, hidden_words
from audit.data.embedded import load_embedded
from audit.data.idx import find_idx, load_idx
from audit.data.image_folder import load_split, scan_folder
from audit.data.scan import Scan, is_junk, twin_key

TRAIN_NAMES = ("train", "training")
EVAL_NAMES = ("val", "validation", "valid", "test")  # the first that exists
MIN_EVAL = 50  # fewer decide nothing: a tenth of a point is then a fifth of an image
MIN_EVAL_PER_CLASS = 2
MIN_TRAIN = 50
MIN_TRAIN_PER_CLASS = 5  # so that a fifth held out still shows every class
FOLDERS, TABLE, IDX = "image folder", "CSV of paths and labels", "idx files"  # data, in words


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """What the system does not give, as one sentence.

    Raises:
        AuditError: DATA_UNREADABLE.
    """
    try:
        yield
    except OSError as error:
        place = repr(str(error.filename)) if error.filename else "the system"
        raise AuditError(
            "DATA_UNREADABLE",
            f"the audit needs data that can be read, but {place} gave '{error.strerror}'.",
            "Change the permissions of the folder.",
        ) from None


@_in_words()
def load_dataset(
    data: Path | None,
    *,
    train: Path | None = None,
    evaluation: Path | None = None,
    max_bad_images: int = 0,
    training: bool = True,
) -> Dataset:
    """Read a data set and check it: every image is opened, decoded and digested once.

    Args:
        data: A folder with `train/` and `val/` (or `validation/`, `test/`), or with idx files, or
            one that only wraps such a folder, or the word "embedded"; or a CSV of path, label and
            split.
        train: Instead: the folder of the training split, or a CSV of path and label. None: no
            training images.
        evaluation: Instead: that of the evaluation split.
        max_bad_images: So many unreadable images are left out and named; one more is an error.
        training: Whether the training images are wanted, too; without, they are left alone.

    Raises:
        AuditError: DATA_NOT_FOUND, DATA_NO_IMAGES, DATA_UNREADABLE, DATA_IMAGE_TOO_LARGE,
            DATA_TABLE, DATA_LINK_OUTSIDE, DATA_CLASS_MISMATCH, DATA_EMPTY_CLASS, DATA_ONE_CLASS,
            DATA_TOO_SMALL.
    """
    if data is not None and (train is not None or evaluation is not None):
        raise _usage("both a data folder and a folder of one split are given")
    if data is None:
        if evaluation is None:
            raise _usage("no folder of evaluation images is given")
        train = train if training else None
        return _from_folders(train, evaluation, None, max_bad_images)
    if str(data) == "embedded" and not data.exists():
        return load_embedded() if training else evaluation_only(load_embedded())
    if is_table(data):
        scans = _named_splits(data)
        if not training:
            scans.pop("train", None)
        return _from_scans(scans, max_bad_images, TABLE)
    root = _unwrap(_existing(data))
    files = find_idx(root)
    if files is not None:
        found = _from_idx(files)
        return found if training else evaluation_only(found)
    train, evaluation = _named(root, TRAIN_NAMES), _named(root, EVAL_NAMES)
    train = train if training else None
    if evaluation is None:
        raise AuditError(
            "DATA_NOT_FOUND",
            f"the audit needs evaluation images, but {str(root)!r} holds none of the folders "
            f"{', '.join(EVAL_NAMES)}, and no idx files.",
            "Rename the folder of evaluation images, or give it with --eval-data.",
        )
    return _from_folders(train, evaluation, root, max_bad_images)


def _from_folders(
    train: Path | None,
    evaluation: Path,
    root: Path | None,
    max_bad_images: int,
) -> Dataset:
    """Scan both splits, then read them; `root` bounds links."""
    given = {"train": train, "eval": evaluation}
    scans = {
        name: scan_table(path) if is_table(path) else scan_folder(path, root or path)
        for name, path in given.items()
        if path is not None
    }
    source = TABLE if any(scan.kind == "label" for scan in scans.values()) else FOLDERS
    return _from_scans(scans, max_bad_images, source)


def _from_scans(
    scans: dict[str, Scan],
    max_bad_images: int,
    source: str,
) -> Dataset:
    """Settle the classes, and only then read."""
    names = in_order(list(scans.get("train", scans["eval"]).files))
    for split, scan in scans.items():
        _check_classes(names, scan, split)
    loaded = {}
    allowed = max_bad_images
    for split, scan in scans.items():
        loaded[split] = load_split(split, scan, names, allowed)
        allowed -= loaded[split].bad
    train, evaluation = loaded["train"].split if "train" in loaded else None, loaded["eval"].split
    broken = tuple((f"{split}/{s}", why) for split, p in loaded.items() for s, why in p.broken)
    return _checked(
        Dataset(
            classes=names,
            train=train,
            eval=evaluation,
            digest=dataset_digest(names, train, evaluation),
            grey=all(part.grey for part in loaded.values()),
            skipped=tuple(f"{split}/{s}" for split, part in loaded.items() for s in part.skipped),
            unreadable=len(broken),
            source=source,
            broken=broken,
            hidden=tuple(sorted({name for scan in scans.values() for name in scan.hidden})),
        )
    )


def _from_idx(files: dict[str, tuple[Path, Path]]) -> Dataset:
    names, train, evaluation = load_idx(files)
    digest = dataset_digest(names, train, evaluation)
    return _checked(Dataset(names, train, evaluation, digest, True, (), 0, IDX))


def _checked(dataset: Dataset) -> Dataset:
    """The data, if they have enough classes and images.

    Raises:
        AuditError: DATA_ONE_CLASS, DATA_TOO_SMALL.
    """
    classes = dataset.classes
    if len(classes) < 2:
        raise AuditError(
            "DATA_ONE_CLASS",
            "an audit needs at least two classes, but the data have only "
            f"{classes[0]!r}{dataset.hidden_words}.",
            "Give the folder that holds one folder a class.",
        )
    if dataset.train is not None:
        _check_size(dataset.train, classes, MIN_TRAIN, MIN_TRAIN_PER_CLASS)
    _check_size(dataset.eval, classes, MIN_EVAL, MIN_EVAL_PER_CLASS)
    return dataset


def _check_classes(classes: tuple[str, ...], scan: Scan, split: str) -> None:
    """The folders of a split are exactly the classes, each with an image, none a twin."""
    kind = scan.kind
    expected = f"the {kind}s of the training images"
    twins = [key for key, n in Counter(map(twin_key, scan.files)).items() if n > 1]
    pair = sorted(name for name in scan.files if twins and twin_key(name) == twins[0])
    missing = sorted(set(classes) - set(scan.files))
    unknown = sorted(set(scan.files) - set(classes))
    problem = ""
    if pair:
        problem = f"{_some(pair)} differ only by capitals or Unicode form"
    elif missing:
        problem = f"{_some(missing)} of {expected} is not among its {kind}s"
    elif unknown:
        problem = f"its {kind} {_some(unknown)} is not among {expected}"
    if problem:
        raise AuditError(
            "DATA_CLASS_MISMATCH",
            f"the audit needs the same classes everywhere, but in the {split} split "
            f"{problem}{hidden_words(scan.hidden)}.",
            f"Use the same {kind} names in both splits.",
        )
    empty = sorted(name for name, files in scan.files.items() if not files)
    if empty:
        raise AuditError(
            "DATA_EMPTY_CLASS",
            f"the audit needs images of every class, but in the {split} split {_some(empty)} "
            "has none.",
            "Add images, or remove the class from both splits and from the model.",
        )


def _check_size(split: Split, classes: tuple[str, ...], total: int, each: int) -> None:
    counts = np.bincount(split.labels, minlength=len(classes))
    rarest = int(counts.argmin())
    if len(split) < total or counts[rarest] < each:
        raise AuditError(
            "DATA_TOO_SMALL",
            f"the audit needs {total} images in the {split.name} split and {each} of every "
            f"class, but there are {len(split)}, and {counts[rarest]} of {classes[rarest]!r}.",
            "Add images.",
        )


def _existing(data: Path) -> Path:
    if not data.is_dir():
        what = "is not a folder" if data.exists() else "does not exist"
        raise AuditError(
            "DATA_NOT_FOUND",
            f"the audit needs a folder of data, but {str(data)!r} {what}.",
            "Check the path.",
        )
    return data


def _unwrap(root: Path) -> Path:
    """Where `root` holds nothing but one folder with splits or idx files in it, that folder."""
    if _named(root, EVAL_NAMES) or _named(root, TRAIN_NAMES) or find_idx(root):
        return root
    below = [path for path in root.iterdir() if path.is_dir() and not is_junk(path.name)]
    if len(below) == 1 and not below[0].is_symlink():
        inner = below[0]
        if _named(inner, EVAL_NAMES) or find_idx(inner):
            return inner
    return root


def _named_splits(table: Path) -> dict[str, Scan]:
    """The splits of a table: of several names for one, the first counts, as among folders."""
    found = scan_splits(table, (*TRAIN_NAMES, *EVAL_NAMES))
    wanted = {"train": TRAIN_NAMES, "eval": EVAL_NAMES}
    names = {split: next((n for n in known if n in found), "") for split, known in wanted.items()}
    if not names["eval"]:
        raise AuditError(
            "DATA_NOT_FOUND",
            f"the audit needs evaluation images, but no line of {str(table)!r} has one of "
            f"{', '.join(EVAL_NAMES)} as its split.",
            "Add them, or give them with --eval-data.",
        )
    return {split: found[name] for split, name in names.items() if name}


def _named(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(repr(name) for name in names[:3]) + more


def _usage(what: str) -> AuditError:
    return AuditError(
        "DATA_NOT_FOUND",
        f"the audit needs --data, or --eval-data with or without --train-data, but {what}.",
    )
