"""`audit model.pt --data DIR`: the main job; several models in one call share the nulls."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.commands.options import (
    DATA,
    EXIT_ZERO,
    JSON,
    JUDGE,
    MODEL,
    OTHERS,
    PIN,
    PLACE,
    PREPARED,
    PROFILE,
    path_option,
    resolve,
)
from audit.commands.showing import Result, as_object, one_of_several, print_json, show, table, worst
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.inputs.call import Call
from audit.inputs.settings import Settings
from audit.jobs.folders import claim_folder
from audit.model.files.digest import require_digest
from audit.pipeline.session import USUAL, audit_files, audit_one, named, open_session
from audit.pipeline.workspace import Session

if TYPE_CHECKING:
    from audit.model.checkpoint import Subject


@click.command("run")
@click.argument("models", metavar="MODEL...", type=click.Path(path_type=Path), nargs=-1)
@DATA
@OTHERS
@JUDGE
@path_option(
    "-o",
    "--out",
    text="New folder for the report [audit-runs/<time>-<model>-<digest>]; for several models, one "
    "folder each inside.",
)
@MODEL
@PREPARED
@PIN
@PROFILE
@PLACE
@EXIT_ZERO
@JSON
def run(models: tuple[Path, ...], **flags: Any) -> int:
    """Audit each MODEL, a timm checkpoint, on the data it is meant for.

    With several models the nulls are trained once, and the exit code is the worst: 2, 1, 3, 0.
    """
    if not models:
        raise AuditError(
            "USAGE", "an audit needs a model, but none was named.", "Name a checkpoint."
        )
    for path in models:
        require_digest(path, flags["model_sha256"])
    settings, call = resolve(flags)
    progress = Progress(bool(call.quiet))
    if len(models) == 1:
        report, out = audit_files(models[0], settings, call, progress=progress)
        if call.as_json:
            print_json(as_object(report, out))
        show(report, out, as_json=False)
        return 0 if call.exit_zero else report.document.exit_code
    results = audit_several(models, settings, call, progress)
    if call.as_json:
        print_json([one_of_several(path, result) for path, result in results])
    table(results)
    return worst(results, exit_zero=bool(call.exit_zero))


def audit_several(
    models: tuple[Path, ...], settings: Settings, call: Call, progress: Progress
) -> list[tuple[Path, Result]]:
    """Audit one model after the other; one that is refused does not stop the others."""
    names = unique([path.stem for path in models])
    for name in names:
        claim_folder((call.out or USUAL / secrets.token_hex(8)) / name)
    session = open_session(settings, call, progress, len(models))
    results: list[tuple[Path, Result]] = []
    for path, name in zip(models, names, strict=True):
        result = attempt(session, path, folder_for(call.out, name))
        if isinstance(result, AuditError):
            click.echo(f"audit: {result}", err=True)
        else:
            show(*result, as_json=False)
        results.append((path, result))
    return results


def attempt(session: Session, path: Path, out: "Callable[[Subject], Path]") -> Result:
    """One model's report and folder, or why it was refused."""
    try:
        return audit_one(session, path, out=out)
    except AuditError as error:
        return error


def folder_for(out: Path | None, name: str) -> "Callable[[Subject], Path]":
    """Names the run folder of one of several models."""
    return lambda subject: named(subject) if out is None else out / name


def unique(names: list[str]) -> list[str]:
    """Each name once; repeated ones get numbers."""
    found: list[str] = []
    for name in names:
        number, chosen = 1, name
        while chosen in found:
            number += 1
            chosen = f"{name}-{number}"
        found.append(chosen)
    return found
