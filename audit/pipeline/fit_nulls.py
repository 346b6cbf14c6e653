"""Fit the nulls alone, without a model, and keep them as one folder."""

from pathlib import Path

from audit.core.errors import AuditError
from audit.core.sizes import in_words, shown
from audit.inputs.load import Inputs, examine_data
from audit.jobs.folders import claim_folder
from audit.pipeline.workspace import Workspace


def fit_nulls(inputs: Inputs, out: Path, workspace: Workspace, model: Path | None = None) -> str:
    """Fit what is not in the cache yet, and write the folder.

    Args:
        inputs: Data, profile, seed and side.
        out: Must not exist.
        workspace: The ordinary cache: after a finished audit nothing is left to fit.
        model: Whose images the nulls are to see; None: as the settings say.

    Returns:
        SHA-256 of the manifest.

    Raises:
        AuditError: OUT_EXISTS, OUT_UNUSABLE, NULLS_NOT_FITTED if a job failed, DEVICE_WRONG, and
            what loading the data raises.
    """
    claim_folder(out)
    from audit import checks
    from audit.baselines.device import PROCESSOR
    from audit.core.workers import worker_count
    from audit.evidence.context import JobContext
    from audit.evidence.examine import set_up
    from audit.inputs.fitted_nulls import null_jobs, write_nulls
    from audit.jobs.execute import execute

    progress = workspace.progress
    examined, said = examine_data(inputs, inputs.training, model)
    known, dataset = examined.training, examined.experiment.dataset
    progress.say(
        f"{known.n_train:,} training images of {len(known.classes)} classes; nulls see "
        f"{shown(known.input.size)} pixels of {in_words(known.input.frame)}: {said}"
    )
    setup = set_up(examined, inputs.profile)
    jobs = null_jobs(setup)
    context = JobContext(dataset, None, setup, device=workspace.device or PROCESSOR)
    context.require_device()
    size = worker_count(context.device)
    done = execute(jobs, context, workspace.store, progress, checks.kinds(), size=size)
    if done.failures:
        raise AuditError(
            "NULLS_NOT_FITTED",
            f"a folder needs all nulls, but {next(iter(done.failures.values()))}.",
            "Change the profile or the data.",
        )
    return write_nulls(out, setup, done.outcomes, said)
