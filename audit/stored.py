"""A finished run, read back: judged again under another policy, or made into every format again.

No torch and no data: everything stands in `report.yaml`.
"""

import shutil
from pathlib import Path

from pydantic import ValidationError

from audit.checks import ALL
from audit.document import gate, sections, why
from audit.folder import dumped, new_folder
from audit.limits import Policy, resolved
from audit.names import is_crash
from audit.policy import judge, verdict
from audit.record import SCHEMA_VERSION, AuditError, Measurement, Report
from reports import FORMATS
from reports import yaml as plain_yaml
from reports.files import write_atomic
from reports.text import visible

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
            f"this command needs the folder of a finished audit, but {shown} cannot be read. Name "
            "the folder that holds report.yaml.",
        ) from None
    except ValueError as error:
        raise AuditError(
            "REPORT_INVALID",
            f"{shown} is no report of this tool: {visible(str(error))}. Name another run.",
        ) from None
    version = raw.get("schema_version")
    if version != SCHEMA_VERSION:
        raise AuditError(
            "REPORT_SCHEMA",
            f"this version reads reports of schema {SCHEMA_VERSION}, but {shown} has "
            f"{visible(repr(version), 40)}. Use the version of the tool that wrote it.",
        )
    try:
        return with_sides(Report.model_validate(raw))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise AuditError(
            "REPORT_INVALID",
            f"{shown} is damaged at '{visible(where, 80)}'. Name another run, or audit again.",
        ) from None


def with_sides(report: Report) -> Report:
    """A report with the sides that the judge asks for, also if an earlier version wrote it.

    Those reports give q in the null's own pixels and in the model's, along its shorter side, which
    tells the sides apart for squares. That a longer side was reduced stands only in words.
    """
    reduced = "the model sees" in report.document.data.get("nulls see", "")
    found = [m.model_copy(update={"detail": sides(m, reduced)}) for m in report.measurements]
    return report.model_copy(update={"measurements": tuple(found)})


def sides(m: Measurement, reduced: bool) -> dict[str, float]:
    """A measurement's detail, with the sides that follow from its q."""
    known = m.detail
    if "subject_side" in known or not known.keys() >= {"q", "q_subject", "q_share"}:
        return known
    side = round(known["q"] / known["q_share"])
    seen = round(known["q_subject"] / known["q_share"])
    return known | {"side": side, "subject_side": max(seen, side + reduced)}


def by_check(measurements: tuple[Measurement, ...]) -> dict[str, list[Measurement]]:
    """Measurements by the check that made them, which is the first word of their names."""
    return {
        check.NAME: [m for m in measurements if m.name.split(".")[0] == check.NAME] for check in ALL
    }


def judged_again(report: Report, policy: Policy) -> Report:
    """The same measurements under another policy; nothing is measured."""
    findings = judge(report.measurements, policy)
    crashed = {m.name.split(".")[0]: m.note for m in report.measurements if is_crash(m.name)}
    said, code = verdict(findings, tuple(crashed))
    pictures = {section.name: section.pictures for section in report.document.sections}
    document = report.document.model_copy(
        update={
            "verdict": said,
            "exit_code": code,
            "headline": why(said, findings, report.measurements, crashed),
            "gates": tuple(gate(f) for f in findings),
            "sections": sections(by_check(report.measurements), findings, pictures),
        }
    )
    return report.model_copy(
        update={"document": document, "findings": findings, "policy": resolved(policy)}
    )


def write_formats(report: Report, folder: Path) -> None:
    """Write every format of a report into a folder that holds its evidence.

    Raises:
        AuditError: OUT_UNUSABLE.
    """
    try:
        for write in FORMATS:
            write(report.document, folder)
    except OSError as error:
        raise AuditError(
            "OUT_UNUSABLE",
            f"the report needs to be written to {visible(str(folder))}, but the system gave "
            f"'{error.strerror}'. Make it writable.",
        ) from None


def copy_run(run: Path, report: Report, out: Path) -> None:
    """A new run folder: the files of `run`, with another report; whole or not at all.

    Raises:
        AuditError: OUT_EXISTS, OUT_UNUSABLE.
    """
    with new_folder(out) as folder:
        shutil.copytree(run, folder, dirs_exist_ok=True, symlinks=True)
        write_atomic(folder / "report.yaml", dumped(report.model_dump(mode="python")))
        write_formats(report, folder)
