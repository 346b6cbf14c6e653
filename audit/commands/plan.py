"""`audit plan model.pt --data DIR`: what would run, what is cached, how long; runs nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from audit import checks
from audit.checks.transfer.jobs import STEP
from audit.commands.options import (
    DATA,
    JSON,
    JUDGE,
    MODEL,
    OTHERS,
    PLACE,
    PREPARED,
    PROFILE,
    resolve,
)
from audit.core.progress import Progress, duration
from audit.inputs.load import examine_data, examine_subject
from audit.inputs.model import load_model
from audit.jobs.kind import kinds_in
from audit.pipeline.plan import Plan
from audit.pipeline.profile_choice import plan_for
from audit.pipeline.provenance import about_extra
from audit.pipeline.session import open_session
from audit.pipeline.speed import Speed
from audit.record.facts import ExtraFacts
from audit.reports.text import visible

NOTE = (
    "An estimate: costs of jobs, times a second or two of training steps of a null ({null:.2g} s "
    "an image){subject}. Doubled budgets and other processes are not in it."
)


@click.command("plan")
@click.argument("model_path", metavar="[MODEL]", required=False, type=click.Path(path_type=Path))
@DATA
@OTHERS
@JUDGE
@MODEL
@PREPARED
@PROFILE
@PLACE
@JSON
def plan(model_path: Path | None, **flags: Any) -> int:
    """Say what an audit of MODEL would do now, what is cached, and about how long it would take.

    Without MODEL: what the nulls need; --img-size then gives the side. Nothing is run or written.
    """
    settings, call = resolve(flags)
    session = open_session(settings, call, Progress(bool(call.quiet)), writing=False)
    inputs, progress = session.inputs, session.workspace.progress
    if model_path is None:
        examined, _ = examine_data(inputs, inputs.experiment)
    else:
        examined = examine_subject(inputs, load_model(model_path, settings), progress)
    speed: list[Speed] = []
    made = plan_for(session, examined, inputs.profile, speed)
    others = {
        name: plan_for(session, examined, profile, speed).seconds
        for name, profile in inputs.profiles.items()
    }
    beside = examined.others
    if call.as_json:
        data = {**made.model_dump(mode="json"), "profiles": others}
        data |= {f"{use}_data": found.model_dump(mode="json") for use, found in beside.items()}
        print(json.dumps({**data, "speed": speed[0].model_dump(mode="json")}))
    else:
        write(made, others, speed[0], with_subject=model_path is not None)
        for use, found in beside.items():
            click.echo(f"{use} data, {about_extra(ExtraFacts(**found.model_dump()))}")
    return 0


def write(made: Plan, others: Mapping[str, float], speed: Speed, *, with_subject: bool) -> None:
    """The plan as a table: fits first."""
    head = ("jobs", "count", "cached", "to do", "each", "all")
    rows = [
        (
            row.kind,
            str(row.jobs),
            str(row.cached),
            str(row.jobs - row.cached),
            duration(row.each) if row.jobs > row.cached else "",
            duration(row.seconds) if row.jobs > row.cached else "",
        )
        for row in made.rows
    ]
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    for row in [head, *rows]:
        first, *rest = (cell for cell in row)
        numbers = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        click.echo("  ".join([first.ljust(widths[0]), *numbers]))
    retrained = kinds_in(checks.kinds(), "retraining").intersection(made.aside)
    copies = " and of the transfer curves" if retrained else ""
    where = f", jobs of nulls{copies} in {made.size} processes side by side"
    beside = where if made.size > 1 else ""
    click.echo(f"{visible(made.profile)} profile: about {duration(made.seconds)} in all{beside}")
    if made.disk:
        click.echo(f"temporary disk for decoded images: {made.disk / 2**30:.1f} GiB (TMPDIR)")
    if others:
        each = ", ".join(f"{name} {duration(value)}" for name, value in others.items())
        click.echo(f"profiles, with what is cached: {each}")
    subject = f" and of the model ({speed.subject * STEP:.2g} s an image)" if with_subject else ""
    click.echo(NOTE.format(null=speed.null, subject=subject))


__all__ = ["plan"]
