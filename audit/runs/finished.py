"""A finished run read back: its report, its predictions, and tables of both for notebooks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from audit.record import Measurement, Quantity, Report
from audit.reports.document import Verdict
from audit.reports.notebook import card
from audit.runs.predictions import COUNTED, read_predictions
from audit.runs.report import load_report

if TYPE_CHECKING:
    import pandas

FILE = "predictions.csv.gz"

MEASURED = (
    "name", "check", "quantity", "of", "layer", "value", "unit", "low", "high", "n", "at", "note",
)  # fmt: skip

JUDGED = (
    "limit", "verdict", "severity", "value", "low", "high", "unit", "n", "reason", "waiver",
    "statement", "explanation",
)  # fmt: skip


@dataclass(frozen=True)
class FinishedRun:
    """What an audit left behind.

    Attributes:
        report: Content of `report.yaml`, as typed records.
        path: Where it was read: the run folder, or the report itself.
        read: Reads the predictions when they are first asked for; gives None where there are none.
    """

    report: Report
    path: Path
    read: "Callable[[], pandas.DataFrame | None]"

    @cached_property
    def predictions(self) -> "pandas.DataFrame | None":
        """A row per evaluation image: path, label, group, counted, subject and `<null>.<seed>`.

        All but the path are whole numbers: of classes or groups, and in `counted` 0 for an image
        that is left out of every count (`counted_predictions` has the others). None where the run
        holds none.

        Raises:
            AuditError: PREDICTIONS_INVALID.
        """
        return self.read()

    @cached_property
    def counted_predictions(self) -> "pandas.DataFrame | None":
        """The predictions on the images that count; of a run that left none out, all of them.

        Raises:
            AuditError: PREDICTIONS_INVALID.
        """
        table = self.predictions
        if table is None or COUNTED not in table:
            return table
        return table[table[COUNTED] == 1].reset_index(drop=True)

    @property
    def verdict(self) -> Verdict:
        """Whether the model passes its gates."""
        return self.report.document.verdict

    def _repr_html_(self) -> str:
        """Show verdict, sentence, three numbers and a link to the report in a notebook."""
        folder = self.path if self.path.is_dir() else self.path.parent
        return card(self.report.document, folder)

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

    @property
    def measurements(self) -> "pandas.DataFrame":
        """A row per measurement, in report order.

        Fractions and points are shares: 0.05 is 5 %. NaN is "not measured", and note says why.
        """
        import pandas

        rows = [m.model_dump() for m in self.report.measurements]
        return pandas.DataFrame(rows, columns=[*MEASURED])

    @property
    def findings(self) -> "pandas.DataFrame":
        """A row per limit: what was required, the verdict and the number that decided it."""
        import pandas

        rows = [finding.model_dump() for finding in self.report.findings]
        return pandas.DataFrame(rows, columns=[*JUDGED])


def load_run(path: str | Path) -> FinishedRun:
    """Read a finished run. Needs no torch.

    Args:
        path: The run folder, or its `report.yaml`, whose predictions are not looked for.

    Raises:
        AuditError: REPORT_NOT_FOUND, REPORT_INVALID, REPORT_SCHEMA.
    """
    folder = Path(path)
    return FinishedRun(load_report(folder), folder, partial(_predictions, folder))


def _predictions(folder: Path) -> "pandas.DataFrame | None":
    """The predictions in a run folder, if there are any."""
    file = folder / FILE
    return read_predictions(file) if folder.is_dir() and file.exists() else None
