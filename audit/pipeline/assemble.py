"""From an audit to its run folder: words for the subject, the data and the provenance."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.checks.accuracy_gap.jobs import pictures as pictures_job
from audit.evidence.case import NotMeasured
from audit.inputs.settings import Settings
from audit.pipeline import first_screen as constant
from audit.pipeline.audit import AuditResult
from audit.pipeline.compose import document
from audit.pipeline.provenance import about_data, about_subject, caveats, provenance
from audit.pipeline.run_folder import all_measurements, picture_files, predictions_table, write_run
from audit.policy.limits import Policy, resolved
from audit.record import Report

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject


def assemble(
    found: AuditResult,
    subject: "Subject",
    dataset: "Dataset",
    settings: Settings,
    policy: Policy,
    out: Path,
    *,
    command: str,
    started: float,
    log: Sequence[str],
    left_out: str = "",
    said: Sequence[str] = (),
) -> Report:
    """Write the run folder and return the report.

    Args:
        found: The audit.
        subject: What was audited.
        dataset: On what.
        settings: As resolved.
        policy: That judged.
        out: The run folder, which must not exist.
        command: That repeats the audit.
        started: When the command began, in seconds since the epoch.
        log: Lines for log.txt.
        left_out: What a limit of time left out, in words.
        said: What else this audit does not establish.
    """
    captions, groups, pixels = pictures(found)
    files, words = picture_files(found.case, captions, groups, pixels)
    made = document(
        found.setup,
        found.measurements,
        found.findings,
        found.crashed,
        subject=about_subject(subject, settings),
        data=about_data(found, dataset, settings),
        provenance=provenance(found, subject, dataset, started),
        command=command,
        pictures={"accuracy_gap": words},
        caveats=[*caveats(found, subject, settings), *said],
    )
    marks = [mark for mark in (constant.mark(found.case), made.watermark, left_out) if mark]
    report = Report(
        document=made.model_copy(update={"watermark": "; ".join(marks)}),
        measurements=all_measurements(found.measurements),
        findings=found.findings,
        policy=resolved(policy),
    )
    write_run(
        out,
        report,
        predictions_csv=predictions_table(found.case, dataset.eval.paths),
        pictures=files,
        config={
            **settings.model_dump(mode="json"),
            "profile_fields": found.setup.profile.model_dump(mode="json"),
            "left_out": left_out,
        },
        log=log,
    )
    return report


def pictures(found: AuditResult) -> tuple[list[str], list[str], list[NDArray[np.uint8]]]:
    """Captions, groups and pixels of the example images, if they were drawn."""
    null = found.setup.null("bagnet", found.setup.gating_q)
    if null is None:
        return [], [], []
    try:
        outcome = found.case.result(pictures_job(found.setup, null))
    except NotMeasured:
        return [], [], []
    pixels = [outcome.arrays[name] for name in sorted(outcome.arrays)]
    return outcome.values["captions"], outcome.values["groups"], pixels
