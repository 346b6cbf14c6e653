"""From an audit to its run folder: facts, words, files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.evidence import shared_jobs as requests
from audit.evidence.case import NotMeasured
from audit.inputs.settings import Settings
from audit.pipeline.audit import AuditResult
from audit.pipeline.compose import document
from audit.pipeline.facts import audit_facts, facts_of
from audit.pipeline.run_folder import (
    all_measurements,
    compressed,
    picture_files,
    predictions_table,
    write_run,
)
from audit.policy.limits import Policy, resolved
from audit.record import Report

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject


@dataclass(frozen=True)
class Call:
    """What a command asked for, beside the audit itself.

    Attributes:
        settings: Settings as resolved.
        policy: Policy that judged.
        command: Command that repeats the audit.
        started: When the command began, in seconds since the epoch.
        log: Lines for log.txt.
        left_out: What a limit of time left out, in words.
        remarks: What else this audit does not establish.
    """

    settings: Settings
    policy: Policy
    command: str
    started: float
    log: Sequence[str]
    left_out: str = ""
    remarks: Sequence[str] = ()


def assemble(
    found: AuditResult, subject: "Subject", dataset: "Dataset", out: Path, call: Call
) -> Report:
    """Write the run folder and return the report.

    Args:
        found: The audit.
        subject: What was audited.
        dataset: The data that it was audited on.
        out: The run folder, which must not exist.
        call: What the command asked for.
    """
    made = audit_facts(found, call.left_out, call.started)
    facts = facts_of(found, subject, dataset, call.settings).model_copy(update={"audit": made})
    captions, groups, pixels = pictures(found)
    files, words = picture_files(found.case, captions, groups, pixels)
    by_check = {"accuracy_gap": words}
    report = Report(
        facts=facts,
        document=document(
            found, facts, command=call.command, pictures=by_check, remarks=call.remarks
        ),
        measurements=all_measurements(found.measurements),
        findings=found.findings,
        policy=resolved(call.policy),
    )
    write_run(
        out,
        report,
        predictions_csv=compressed(predictions_table(found.case, dataset.eval.paths)),
        pictures=files,
        config={
            **call.settings.model_dump(mode="json"),
            "profile_fields": found.setup.profile.model_dump(mode="json"),
            "left_out": call.left_out,
        },
        log=call.log,
    )
    return report


def pictures(found: AuditResult) -> tuple[list[str], list[str], list[NDArray[np.uint8]]]:
    """Captions, groups and pixels of the example images, if they were drawn."""
    null = found.setup.null("bagnet", found.setup.gating_q)
    if null is None:
        return [], [], []
    try:
        outcome = found.case.result(requests.pictures(found.setup, null))
    except NotMeasured:
        return [], [], []
    pixels = [outcome.arrays[name] for name in sorted(outcome.arrays)]
    return outcome.values["captions"], outcome.values["groups"], pixels
