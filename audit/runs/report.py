"""`report.yaml` read back; one of an earlier version is upgraded on the way."""

from pathlib import Path

from pydantic import ValidationError

from audit.core.errors import AuditError
from audit.record import SCHEMA_VERSION, Report
from audit.reports import yaml as plain_yaml
from audit.reports.text import visible
from audit.runs.upgrade import completed, upgraded

MOST_BYTES = 64 * 2**20


def load_report(path: Path) -> Report:
    """Read a run folder's report, or a `report.yaml` itself.

    Raises:
        AuditError: REPORT_NOT_FOUND, REPORT_INVALID, REPORT_SCHEMA.
    """
    file = path / "report.yaml" if path.is_dir() else path
    shown = visible(str(file))
    try:
        if not file.is_file():
            raise OSError
        if file.stat().st_size > MOST_BYTES:
            raise ValueError("it is larger than 64 MB")
        raw = plain_yaml.load(file.read_text(encoding="utf-8"))
    except OSError:
        raise AuditError(
            "REPORT_NOT_FOUND",
            f"this command needs the folder of a finished audit, but {shown} cannot be read.",
            "Name the folder that holds report.yaml.",
        ) from None
    except ValueError as error:
        raise AuditError(
            "REPORT_INVALID",
            f"{shown} is no report of this tool: {visible(str(error))}.",
            "Name another run.",
        ) from None
    version = raw.get("schema_version")
    if version not in (1, SCHEMA_VERSION):
        raise AuditError(
            "REPORT_SCHEMA",
            f"this version reads reports of schema 1 to {SCHEMA_VERSION}, but {shown} has "
            f"{visible(repr(version), 40)}.",
            "Use the version of the tool that wrote it.",
        )
    try:
        return Report.model_validate(upgraded(raw) if version == 1 else completed(raw))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise AuditError(
            "REPORT_INVALID",
            f"{shown} is damaged at '{visible(where, 80)}'.",
            "Name another run, or audit again.",
        ) from None
