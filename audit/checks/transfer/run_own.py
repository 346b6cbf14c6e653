"""Executor of the subject's transfer curve: keep what lies before a cut, learn the rest anew.

After Yosinski et al. (2014): BnB freezes the first layers of the network and trains fresh ones
behind them on the same data; BnB+ lets all of it learn (`audit.jobs.retraining`).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from audit.baselines.train import Diverged
from audit.checks.transfer.outcomes import UNTRAINED, Retrained
from audit.checks.transfer.retrain import (
    DIVERGED,
    Curve,
    Learned,
    Start,
    errors_on,
    learn,
    within_memory,
)
from audit.evidence import untrained
from audit.evidence.context import AUDITED, JobContext
from audit.evidence.features import train_groups
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome
from audit.jobs.values import Failed


def transfer(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """One network of the curve: its errors on the evaluation images.

    `mode` is "frozen" (BnB), "tuned" (BnB+) or "untrained" (control: a frozen prefix of an
    untrained network).
    """
    mode, seed = str(job.params["mode"]), job.whole("seed")
    index = chosen(job, context)
    groups = train_groups(job, context, results, AUDITED, index)
    spec, images = context.subject.spec, context.retraining_images(index)
    if mode == UNTRAINED:  # another seed than that of the layers behind the cut
        donor = untrained.of_spec(spec, images, context.device, seed + 1)
    else:
        donor = context.subject.model
    start = Start(donor, context.cuts[str(job.params["cut"])], frozen=mode != "tuned")
    curve = Curve(spec, images, job.whole("seen"), shares_of(job), groups, context.device)
    try:
        learned = learn(curve, start, seed, tick, context.resume_state)
    except Diverged:
        return Outcome(Failed(reason=DIVERGED))
    errors = errors_on(learned.network, context.evaluation_parts())
    return Outcome(facts(learned, curve), {"errors": errors})


def chosen(job: Job, context: JobContext) -> NDArray[np.int64]:
    """Positions of the training images that all networks of the curve learn from."""
    return context.some("train", images_each(job, context), job.whole("base_seed"))


def images_each(job: Job, context: JobContext) -> int:
    """How many training images every cut of a job's curve can store features of."""
    cuts = [context.cuts[str(name)] for name in job.params["cuts"]]  # type: ignore[union-attr]
    return within_memory(cuts, job.whole("images"))


def facts(learned: Learned, curve: Curve) -> Retrained:
    """What a reader may ask of a network's training."""
    return Retrained(
        status="ok",
        rate=learned.rate,
        trials={f"{rate:g}": score for rate, score in learned.trials.items()},
        images=len(curve.images),
        seen=curve.budget,
        seconds=learned.seconds,
    )


def shares_of(job: Job) -> tuple[float, ...]:
    """The shares of the recipe's rate that are tried."""
    return tuple(float(share) for share in job.params["shares"])  # type: ignore[union-attr]


def prepare(job: Job, context: JobContext, results: Mapping[str, Outcome]) -> None:
    """Decode what all networks of the curve learn from and are judged by, if it fits in memory."""
    index = chosen(job, context)
    if context.fits(len(index)):
        context.retraining_images(index)
    context.keep_evaluation()
