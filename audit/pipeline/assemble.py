"""From an audit to its run folder: facts, words, files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.checks.accuracy_gap.jobs import pictures as pictures_job
from audit.checks.accuracy_gap.outcomes import Drawn
from audit.evidence.case import NotMeasured
from audit.inputs.call import Declared
from audit.pipeline.audit import AuditEvidence
from audit.pipeline.compose import document
from audit.pipeline.facts import audit_facts, facts_of
from audit.pipeline.run_folder import (
    all_measurements,
    compressed,
    picture_files,
    predictions_table,
    write_run,
)
from audit.policy.limits import resolved
from audit.record import Report

Words = tuple[str, ...]


@dataclass(frozen=True)
class Invocation:
    """What a report says of the call itself.

    Attributes:
        command: Command that repeats the audit.
        started: When the command began, in seconds since the epoch.
        log: Lines for log.txt.
        declared: What the user says of the model.
        config: The settings as plain data, for config.yaml.
        left_out: What a limit of time left out, in words.
        caveats: What else this audit does not establish.
    """

    command: str
    started: float
    log: tuple[str, ...]
    declared: Declared
    config: Mapping[str, Any]
    left_out: str = ""
    caveats: tuple[str, ...] = ()


def assemble(found: AuditEvidence, invocation: Invocation, out: Path) -> Report:
    """Write the run folder and return the report.

    Args:
        found: The audit.
        invocation: The call that it belongs to.
        out: The run folder, which must not exist.
    """
    dataset = found.examined.experiment.dataset
    made = audit_facts(found, invocation.left_out, invocation.started)
    facts = facts_of(found, invocation.declared).model_copy(update={"audit": made})
    captions, groups, pixels = pictures(found)
    files, words = picture_files(found.case, captions, groups, pixels)
    by_check = {"accuracy_gap": words}
    report = Report(
        facts=facts,
        document=document(
            found,
            facts,
            command=invocation.command,
            pictures=by_check,
            remarks=invocation.caveats,
        ),
        measurements=all_measurements(found.measurements),
        findings=found.findings,
        policy=resolved(found.policy),
    )
    write_run(
        out,
        report,
        predictions_csv=compressed(predictions_table(found.case, dataset.eval.paths)),
        pictures=files,
        config={
            **invocation.config,
            "profile_fields": found.setup.profile.model_dump(mode="json"),
            "left_out": invocation.left_out,
        },
        log=invocation.log,
    )
    return report


def pictures(found: AuditEvidence) -> tuple[Words, Words, list[NDArray[np.uint8]]]:
    """Captions, groups and pixels of the example images, if they were drawn."""
    null = found.setup.null("bagnet")
    if null is None:
        return (), (), []
    try:
        outcome = found.case.result(pictures_job(found.setup, null))
    except NotMeasured:
        return (), (), []
    pixels = [outcome.arrays[name] for name in sorted(outcome.arrays)]
    drawn = outcome.read(Drawn)
    return drawn.captions, drawn.groups, pixels
