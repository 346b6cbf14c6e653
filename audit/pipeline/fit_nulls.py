"""Fit the nulls alone, without a model, and keep them as one folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.core.sizes import Size, flag, in_words
from audit.inputs.data import load_training_data
from audit.inputs.settings import Settings, chosen_profile
from audit.jobs.folders import claim_folder

if TYPE_CHECKING:
    import torch

    from audit.data.dataset import Dataset
    from audit.jobs.store import Store

SAMPLE = 500  # images whose size is looked at


def fit_nulls(
    settings: Settings,
    out: Path,
    store: "Store",
    progress: Progress,
    device: "torch.device | None" = None,
) -> str:
    """Fit what is not in the cache yet, and write the folder.

    Args:
        settings: Data, profile, seed and side.
        out: Must not exist.
        store: The ordinary cache: after a finished audit nothing is left to fit.
        progress: Told what happens.
        device: That the networks learn on; the processor by default.

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
    from audit.evidence.decide import set_up_nulls, training
    from audit.inputs.fitted_nulls import null_jobs, write_nulls
    from audit.jobs.execute import execute

    profile, dataset = chosen_profile(settings), load_training_data(settings)
    view, said = size_for(settings, dataset)
    known = training(dataset, view, settings.crop_mode or "center")
    progress.say(
        f"{known.n_train:,} training images of {len(known.classes)} classes; nulls see "
        f"{known.side} x {known.side} pixels of {in_words(known.frame)}: {said}"
    )
    setup = set_up_nulls(known, profile, settings.seed, dataset)
    jobs = null_jobs(setup)
    context = JobContext(dataset, None, setup, device=device or PROCESSOR)
    context.require_device()
    size = worker_count(context.device, setup.pixels)
    done = execute(jobs, context, store, progress, checks.kinds(), size=size)
    if done.failures:
        raise AuditError(
            "NULLS_NOT_FITTED",
            f"a folder needs all nulls, but {next(iter(done.failures.values()))}. Change the "
            "profile or the data.",
        )
    return write_nulls(out, setup, done.outcomes, said)


def size_for(settings: Settings, dataset: "Dataset") -> tuple[Size, str]:
    """Size of the models' input that the nulls are for, and where it comes from, in words."""
    from audit.evidence.ladder import LARGEST_SIDE

    if settings.img_size is not None:
        return settings.img_size, f"--img-size {flag(settings.img_size)}, at most {LARGEST_SIDE}"
    side = median_side(dataset)
    return side, f"the median side of the training images, {side}, at most {LARGEST_SIDE}"


def median_side(dataset: "Dataset") -> int:
    """Median of the shorter sides of up to 500 images, evenly spaced, in pixels."""
    import numpy as np

    split = dataset.train or dataset.eval
    step = -(-len(split) // SAMPLE)
    sides = [min(split.open_image(i).size) for i in range(0, len(split), step)]
    return int(np.median(sides))
