"""The run folder: everything that an audit leaves behind, written whole or not at all."""

import gzip
import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.core.version import __version__
from audit.evidence import null_errors
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case, NotMeasured
from audit.jobs.folders import dumped, new_folder
from audit.record import Measurement, Report
from audit.reports import write_all
from audit.reports.document import Picture
from audit.reports.files import write_atomic
from audit.reports.text import visible
from audit.runs.finished import FILE

if TYPE_CHECKING:
    import pandas

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "captum",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "imagehash",
)

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_run(
    out: Path,
    report: Report,
    *,
    predictions_csv: bytes,
    pictures: Mapping[str, NDArray[np.uint8]],
    config: Mapping[str, object],
    log: Sequence[str],
) -> None:
    """Write all files under a temporary name, then rename the folder.

    Args:
        out: Must not exist.
        report: Goes to report.yaml, and its document to every format.
        predictions_csv: Table of predictions, gzipped.
        pictures: (H, W, 3) uint8 by file name under the folder.
        config: As resolved.
        log: Lines.

    Raises:
        AuditError: OUT_UNUSABLE if writing fails; nothing is left behind then.
    """
    with new_folder(out) as folder:
        (folder / "evidence").mkdir()
        for name, pixels in pictures.items():
            write_atomic(folder / name, png(pixels))
        write_atomic(folder / "report.yaml", dumped(report.model_dump(mode="python")))
        write_atomic(folder / FILE, predictions_csv)
        write_atomic(folder / "config.yaml", dumped(dict(config)))
        write_atomic(folder / "environment.json", json.dumps(environment(), indent=2).encode())
        write_atomic(folder / "log.txt", ("\n".join(log) + "\n").encode())
        write_all(report.document, folder)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a picture; nothing of the original file's metadata travels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def environment() -> dict[str, str]:
    """Versions that may matter for repeating the audit."""
    found = {"null-audit": __version__, "python": platform.python_version()}
    found |= {name: metadata.version(name) for name in PACKAGES}
    return found | {"platform": platform.platform(), "machine": platform.machine()}


def predictions_table(case: Case, paths: Sequence[str]) -> "pandas.DataFrame":
    """A row per evaluation image: path, group, label, the subject's class, each null's by seed.

    All images are listed; `counted` is 0 for those that are left out of every count.
    """
    import pandas

    setup = case.setup
    columns: dict[str, Sequence[object]] = {
        "path": [quoted(p) for p in paths],
        "group": case.given_groups.tolist(),
        "label": case.given_labels.tolist(),
        "counted": case.counted.astype(int).tolist(),
    }
    jobs = {"subject": requests.subject_outputs(setup)}
    for null in setup.nulls:
        for seed in null_errors.seeds(setup, null):
            jobs[f"{null.name}.{seed}"] = requests.null_outputs(setup, null, seed)
    for name, job in jobs.items():
        try:
            columns[name] = case.result(job).arrays["logits"].argmax(axis=1).tolist()
        except (NotMeasured, KeyError):
            continue
    return pandas.DataFrame(columns)


def compressed(table: "pandas.DataFrame") -> bytes:
    """A table as CSV, gzipped without a date."""
    return gzip.compress(table.to_csv(index=False, lineterminator="\n").encode(), mtime=0)


def quoted(cell: str) -> str:
    """A file name that no spreadsheet takes for a formula, control characters visible."""
    shown = visible(cell, limit=1000)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def picture_files(
    case: Case, captions: Sequence[str], groups: Sequence[str], pixels: Sequence[NDArray[np.uint8]]
) -> tuple[dict[str, NDArray[np.uint8]], list[Picture]]:
    """Names for the pictures of the evidence, and their words."""
    files, words = {}, []
    for i, (caption, group) in enumerate(zip(captions, groups, strict=True)):
        name = f"evidence/{i:02d}.png"
        files[name] = pixels[i]
        words.append(Picture(file=name, caption=caption, group=group))
    return files, words


def all_measurements(by_check: Mapping[str, Sequence[Measurement]]) -> tuple[Measurement, ...]:
    """Every check's, in report order."""
    return tuple(m for found in by_check.values() for m in found)
