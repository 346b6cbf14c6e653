"""A finished run for a notebook: typed records beside tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.record import Report
from audit.runs import report as stored
from audit.runs.predictions import read_predictions

if TYPE_CHECKING:
    import pandas

PREDICTIONS = "predictions.csv.gz"


@dataclass(frozen=True)
class LoadedReport:
    """What an audit found.

    Attributes:
        report: The content of `report.yaml`, as typed records.
        measurements: A row a measurement, in report order: name, value, unit, low, high, n, note,
            at, and the columns check, quantity and model, which the name is made of. Fractions and
            points are shares: 0.05 is 5 %. NaN is "not measured", and note says why.
        findings: A row a limit: what was asked, the verdict and the number that decided it.
        predictions: A row an evaluation image: path, label, group, subject and `<null>.<seed>`, as
            class numbers; None where the run holds none.
    """

    report: Report
    measurements: "pandas.DataFrame"
    findings: "pandas.DataFrame"
    predictions: "pandas.DataFrame | None"


def load_report(path: str | Path) -> LoadedReport:
    """Read a finished run. Needs no torch.

    Args:
        path: The run folder, or its `report.yaml`.

    Raises:
        AuditError: REPORT_NOT_FOUND, REPORT_INVALID, REPORT_SCHEMA or PREDICTIONS_INVALID.
    """
    folder = Path(path)
    report = stored.load_report(folder)
    file = folder / PREDICTIONS
    return LoadedReport(
        report=report,
        measurements=_measurements(report),
        findings=_findings(report),
        predictions=read_predictions(file) if file.is_file() else None,
    )


def _measurements(report: Report) -> "pandas.DataFrame":
    import pandas

    rows = []
    for m in report.measurements:
        rows.append(m.model_dump(exclude={"detail"}))
    columns = ("name", "check", "quantity", "of", "layer", "value", "unit", "low", "high", "n")
    return pandas.DataFrame(rows, columns=[*columns, "at", "note"])


def _findings(report: Report) -> "pandas.DataFrame":
    import pandas

    columns = ("limit", "verdict", "severity", "value", "low", "high", "unit", "n", "reason")
    rows = [finding.model_dump() for finding in report.findings]
    return pandas.DataFrame(rows, columns=[*columns, "waiver", "statement", "explanation"])
