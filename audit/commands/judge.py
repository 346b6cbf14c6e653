"""`audit judge RUN --policy new.yaml`: judge stored measurements again, measure nothing."""

from pathlib import Path

import click

from audit import checks
from audit.commands.options import EXIT_ZERO, JSON, path_option
from audit.commands.showing import show
from audit.core.errors import AuditError
from audit.pipeline.reference import chosen_reference, require_reference, with_reference
from audit.pipeline.rejudge import copy_run, judged_again
from audit.policy.limits import load_policy, resolved
from audit.reports.text import visible
from audit.runs.finished import load_run


@click.command("judge")
@click.argument("run", type=click.Path(path_type=Path))
@path_option("--policy", text="Limits [the default ones].")
@path_option("--reference", text="Finished run that limits may be relative to [the policy's].")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="New folder for the new report.")
@EXIT_ZERO
@JSON
def judge(
    run: Path,
    policy: Path | None,
    reference: Path | None,
    out: Path | None,
    exit_zero: bool | None,
    as_json: bool | None,
) -> int:
    """Judge the stored measurements of RUN again, without data, model or torch.

    What RUN was once compared with is kept, unless another reference run is named.
    """
    limits, finished = load_policy(policy, vocabulary=checks.vocabulary()), load_run(run)
    report = finished.report
    before = chosen_reference(reference, limits)
    if before is not None:
        report = with_reference(finished, before)
    require_reference(limits, report.measurements)
    other = policy is None and report.policy != resolved(limits)
    report = judged_again(report, limits)
    if out is not None:
        if not run.is_dir():
            raise AuditError(
                "USAGE",
                f"--out needs the folder of a run to copy, but {visible(str(run))} is a file.",
                "Name it.",
            )
        copy_run(run, report, out)
    if other:
        told = "judged by the default limits, not by those of the run: name these with --policy"
        click.echo(told, err=True)
    show(report, out, as_json=bool(as_json))
    return 0 if exit_zero else report.document.exit_code
