"""`predictions.csv.gz` read back: a row an evaluation image, its label, every model's class."""

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.reports.text import visible

if TYPE_CHECKING:
    import pandas

MOST_BYTES = 512 * 2**20  # after decompression
NEEDED = ("path", "label")
COUNTED = "counted"  # column: 0 where an image is left out of every count, else 1


def read_predictions(path: Path) -> "pandas.DataFrame":
    """Read the predictions of a run.

    Returns:
        As `parse_predictions`.

    Raises:
        AuditError: PREDICTIONS_INVALID.
    """
    try:
        with gzip.open(path) as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError("it is larger than 512 MB")
        return parse_predictions(data)
    except (OSError, EOFError, zlib.error):
        reason = "it cannot be read as a gzip file"
    except ValueError as error:
        reason = visible(str(error))
    raise AuditError(
        "PREDICTIONS_INVALID",
        f"{visible(str(path))} is damaged: {reason}.",
        "Audit again, or remove the file to compare without pairing images.",
    )


def parse_predictions(data: bytes) -> "pandas.DataFrame":
    """Read a table of predictions.

    Args:
        data: CSV with the columns `path`, `label`, `group`, `counted`, `subject` and
            `<null>.<seed>`; all but the path are whole numbers. Runs of earlier versions have no
            `counted`: all their images count.

    Returns:
        Sorted by path and label, so that two runs on the same images agree row by row.

    Raises:
        ValueError: With the reason.
    """
    import pandas

    try:
        table = pandas.read_csv(io.BytesIO(data), dtype={"path": str}, keep_default_na=False)
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError):
        raise ValueError("it is no table of predictions") from None
    lacking = [name for name in NEEDED if name not in table.columns]
    if lacking:
        raise ValueError(f"it has no column '{lacking[0]}'")
    for name in table.columns.drop("path"):
        if not pandas.api.types.is_integer_dtype(table[name]):
            raise ValueError(f"column '{name}' holds something else than class numbers")
    if COUNTED in table and not table[COUNTED].isin([0, 1]).all():
        raise ValueError(f"column '{COUNTED}' holds something else than 0 and 1")
    if table.empty:
        raise ValueError("it holds no image")
    return in_order(table)


def in_order(table: "pandas.DataFrame") -> "pandas.DataFrame":
    """Sort a table of predictions so that two runs on the same images agree row by row."""
    return table.sort_values(["path", "label"], ignore_index=True, kind="stable")
