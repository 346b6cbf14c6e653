"""One call of the command line: one model or several, on the same data, with the same nulls."""

import secrets
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from audit import checks
from audit.core.progress import Progress
from audit.inputs.call import Call
from audit.inputs.load import examine_model, load
from audit.inputs.model import require_unchanged
from audit.inputs.settings import Settings
from audit.jobs.folders import claim_folder
from audit.jobs.store import Store, default_cache
from audit.pipeline.profile_choice import profile_for
from audit.pipeline.reference import needed_reference
from audit.pipeline.workspace import Session, Workspace
from audit.record import Report

if TYPE_CHECKING:
    from audit.model.checkpoint import Subject

Name = Callable[["Subject"], Path]  # the run folder of a model


def open_session(
    settings: Settings, call: Call, progress: Progress, models: int = 1, *, writing: bool = True
) -> Session:
    """Read and check all that does not depend on a model.

    Args:
        settings: As resolved.
        call: The other options.
        progress: Receives messages.
        models: Number of models that will be audited.
        writing: Whether a cache that does not exist is made.

    Raises:
        AuditError: If policy, reference run, nulls, device or cache cannot be used.
    """
    began = time.time()
    inputs = load(settings, call, progress, checks.vocabulary())
    reference = needed_reference(inputs.reference, inputs.policy, inputs.reference_place)
    workspace = Workspace(store_of(call, writing=writing), progress, inputs.device)
    return Session(inputs, reference, workspace, models, began)


def store_of(call: Call, *, writing: bool = True) -> Store:
    """The cache that a call names; one that does not exist is only made for writing."""
    root = None if call.no_cache else call.cache or default_cache()
    return Store(root if writing or (root is not None and root.is_dir()) else None)


def audit_one(session: Session, path: Path, *, out: Name, command: str = "") -> tuple[Report, Path]:
    """Load, audit, judge and write; see `audit.pipeline.audit` for the flow.

    Args:
        session: What it shares with others.
        path: The model.
        out: Names the new run folder.
        command: Command that repeats the audit, where it is not one of this model and the settings.

    Returns:
        The report and its folder.
    """
    started, session.began = session.began or time.time(), 0.0
    from audit.pipeline.assemble import Invocation, assemble
    from audit.pipeline.audit import audit

    inputs, workspace = session.inputs, session.workspace
    first_line = len(workspace.progress.lines)
    examined = examine_model(inputs, path, workspace.progress)
    assert examined.subject is not None
    folder = out(examined.subject)
    claim_folder(folder)
    found = audit(
        examined,
        profile_for(session, examined),
        inputs.policy,
        workspace,
        fitted=inputs.fitted,
        reference=session.reference,
    )
    require_unchanged(examined.subject)
    examined.experiment.dataset.eval.require_unchanged()
    invocation = Invocation(
        command=command or shlex.join(["audit", str(path), *inputs.repeat]),
        started=started,
        log=tuple(workspace.progress.lines[first_line:]),
        declared=inputs.declared,
        config=inputs.config,
        left_out="; ".join(text for text in (session.left_out, found.stopped) if text),
    )
    return assemble(found, invocation, folder), folder


USUAL = Path("audit-runs")  # where reports go unless --out says otherwise


def audit_files(
    model_path: Path, settings: Settings, call: Call, *, progress: Progress, command: str = ""
) -> tuple[Report, Path]:
    """Audit one model.

    Args:
        model_path: A checkpoint.
        settings: As resolved.
        call: The other options.
        progress: Receives messages.
        command: Command that repeats the audit, where it is not one of this model and the settings.

    Returns:
        The report and its folder.
    """
    claim_folder(call.out or USUAL / secrets.token_hex(8))
    session = open_session(settings, call, progress)
    return audit_one(session, model_path, out=lambda s: call.out or named(s), command=command)


def named(subject: "Subject") -> Path:
    """The run folder by time, name and digest; numbered if there is one already."""
    stem = time.strftime("%Y%m%d-%H%M%S") + f"-{subject.name}-{subject.weights_digest[:8]}"
    path, number = USUAL / stem, 1
    while path.exists():
        number += 1
        path = USUAL / f"{stem}-{number}"
    return path
