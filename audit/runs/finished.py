"""A finished run read back with its predictions, ready to be compared."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from audit.record import Measurement, Quantity, Report
from audit.runs.predictions import read_predictions
from audit.runs.report import load_report

if TYPE_CHECKING:
    import pandas

FILE = "predictions.csv.gz"


@dataclass(frozen=True)
class FinishedRun:
    """A run, as far as it can be compared.

    Attributes:
        report: Its `report.yaml`.
        predictions: A row an image, from `audit.predicted`; None where the run holds none.
        path: Where it was read, for messages.
    """

    report: Report
    predictions: "pandas.DataFrame | None" = None
    path: Path = field(default=Path())

    @cached_property
    def by_name(self) -> dict[str, Measurement | None]:
        """Measurements by name; None for a curve, whose points share one name."""
        found: dict[str, Measurement | None] = {}
        for m in self.report.measurements:
            found[m.name] = None if m.name in found else m
        return found

    def number(self, check: str, quantity: str, of: str = "") -> Measurement | None:
        """One measurement; None if there is none, or if it is a curve."""
        return self.by_name.get(Quantity(check=check, quantity=quantity, of=of).name)


def load_run(path: Path) -> FinishedRun:
    """Read a run folder, or a `report.yaml` (which has no predictions beside it that count).

    Raises:
        AuditError: REPORT_NOT_FOUND, REPORT_INVALID, REPORT_SCHEMA, PREDICTIONS_INVALID.
    """
    report = load_report(path)
    file = path / FILE
    kept = read_predictions(file) if path.is_dir() and file.exists() else None
    return FinishedRun(report, kept, path)
