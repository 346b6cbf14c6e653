"""A finished run, read back: judged again under another policy, or made into every format again.

No torch and no data: everything stands in `report.yaml`.
"""

import shutil
from pathlib import Path

from audit import checks
from audit.core.errors import AuditError
from audit.jobs.folders import dumped, new_folder
from audit.pipeline.compose import gate, sections, why
from audit.policy.judge import judge, verdict
from audit.policy.limits import Policy, resolved
from audit.record import Measurement, Report
from audit.reports import write_all
from audit.reports.files import write_atomic
from audit.reports.text import visible


def by_check(measurements: tuple[Measurement, ...]) -> dict[str, list[Measurement]]:
    """Measurements by the check that made them, without what changed since a reference run."""
    own = [m for m in measurements if not m.minus_reference]
    return {check.NAME: [m for m in own if m.check == check.NAME] for check in checks.ALL}


def judged_again(report: Report, policy: Policy) -> Report:
    """The same measurements under another policy; nothing is measured."""
    findings = judge(report.measurements, policy)
    crashed = {m.check: m.note for m in report.measurements if m.crashed}
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
        write_all(report.document, folder)
    except OSError as error:
        raise AuditError(
            "OUT_UNUSABLE",
            f"the report needs to be written to {visible(str(folder))}, but the system gave "
            f"'{error.strerror}'.",
            "Make it writable.",
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
