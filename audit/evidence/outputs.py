"""Executors that run models forward: one pass gives logits and the last hidden layer."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit import baselines
from audit.baselines.device import PROCESSOR
from audit.baselines.images import Images
from audit.baselines.images import statistics as channel_statistics
from audit.baselines.patch_net import STRIDE, TORUS, PatchSampling, covered
from audit.baselines.train import batch_for
from audit.baselines.trivial import Linear, choose_strength, fit_linear, log_softmax
from audit.core.errors import AuditError
from audit.core.sizes import Size, height_width
from audit.data.duplicates import Known, facts_of, groups_of, known_with_thumbs
from audit.data.fingerprints import Prints, fingerprints
from audit.evidence import untrained
from audit.evidence.context import JobContext
from audit.evidence.fit_null import features_of, null_of, restore
from audit.evidence.outcomes import ChosenNetwork, FoundInData, Stacked
from audit.jobs.job import Job, Tick, counter, merged
from audit.jobs.resume import ResumeState, RowBuffer
from audit.jobs.store import Outcome
from audit.jobs.values import Failed, Ran

BATCH = 128
NAMED = 20  # conflicts whose files are named


def train_facts(
    job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick
) -> Outcome:
    """What is known of the training images when they are gone.

    Returns:
        Arrays: `labels` and `train_groups` (N,), and the fields of their fingerprints.
    """
    split = context.split("train")
    count = counter(len(split), tick)
    known = Known(split.labels, fingerprints(split, context.setup.channels, count))
    arrays = {"labels": known.labels, "train_groups": groups_of(known)}
    return Outcome(arrays=arrays | known.prints._asdict())


def facts(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """What is in the data: counts, duplicates, leaks, conflicts, groups of near duplicates."""
    arrays = results[needed(job, "train_facts").key].arrays
    train = Known(arrays["labels"], Prints._make(arrays[name] for name in Prints._fields))
    split, channels = context.split("eval"), context.setup.channels
    evaluation = known_with_thumbs(split, channels, counter(len(split), tick))
    found = facts_of(train, evaluation, len(context.setup.classes))
    return Outcome(
        FoundInData(
            exact_leaks=found.exact_leaks,
            near_leaks=found.near_leaks,
            label_conflicts=len(found.label_conflicts),
            conflicts=tuple((*c.first, *c.second) for c in found.label_conflicts[:NAMED]),
            train_copies=tuple((run[0], i) for run in found.train_duplicates for i in run[1:]),
            eval_copies=tuple((run[0], i) for run in found.eval_duplicates for i in run[1:]),
            train_groups=len(np.unique(found.train_groups)),
            train_counts=found.train_counts,
            eval_counts=found.eval_counts,
        ),
        {"eval_groups": found.eval_groups, "eval_labels": evaluation.labels},
    )


def needed(job: Job, kind: str) -> Job:
    """The job of that kind that a job builds on, directly or through others."""
    return next(found for found in merged(job.after) if found.kind == kind)


def statistics(
    job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick
) -> Outcome:
    """Mean and standard deviation of the training images' channels: (C,) each, in [0, 1]."""
    pixels = torch.from_numpy(context.pixels("train", job.whole("scale")))
    mean, std = channel_statistics(pixels)
    return Outcome(arrays={"mean": mean.numpy(), "std": std.numpy()})


def forward(
    model: Callable[[Tensor], tuple[Tensor, Tensor]],
    parts: Iterable[Images],
    n: int,
    shift: tuple[int, int],
    tick: Tick,
    *,
    keep: bool,
    resume_state: ResumeState | None = None,
) -> Outcome:
    """Run a model over images.

    Args:
        model: Maps (B, C, H, W) to pre-logits (B, D) and logits (B, K).
        parts: N images in order, in one part or several.
        n: N.
        shift: Pixels by which every image is rolled down and to the right first.
        tick: Told the share that is done.
        keep: Whether the pre-logits are wanted.
        resume_state: Keeps what was computed so far; nothing is kept by default.

    Returns:
        Arrays `logits` (N, K) and, if they are wanted, `features` (N, D), float32.
    """
    rows, count, seen = RowBuffer(resume_state or ResumeState(), n, BATCH), counter(n, tick), 0
    with torch.inference_mode():
        for images in parts:
            for index in torch.arange(len(images)).split(BATCH):
                seen += len(index)
                if seen > rows.done:
                    x = images.normalised(index)
                    hidden, scores = model(torch.roll(x, shift, (2, 3)) if any(shift) else x)
                    found = {"logits": scores.float().to(PROCESSOR)}
                    if keep:
                        found["features"] = hidden.float().to(PROCESSOR)
                    rows.add(found)
                count(len(index))
    if rows.done != n:
        raise ValueError(f"{rows.done} rows of {n} images")
    arrays = {name: tensor.numpy() for name, tensor in rows.whole().items()}
    if not np.isfinite(arrays["logits"]).all():
        raise NotFinite("its outputs are not all finite numbers")
    return Outcome(Ran(status="ok"), arrays)


class NotFinite(Exception):
    """A model gave NaN or infinite outputs: nothing can be said about it."""


def quarter(size: Size) -> tuple[int, int]:
    """Of height and width, a quarter or more: the smallest multiple of the nulls' stride."""
    height, width = (-(-side // (4 * STRIDE)) * STRIDE for side in height_width(size))
    return height, width


def subject_outputs(
    job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick
) -> Outcome:
    """The subject, or an untrained network of its kind, on the evaluation images."""
    from audit.model.network.split import outputs

    subject = context.subject
    if job.params["untrained"]:
        model = untrained.of_subject(context, job.whole("seed"))
    else:
        model = context.placed(subject.model.eval().to(memory_format=torch.channels_last))
    shift = quarter(subject.preprocessing.img_size) if job.params["relocated"] else (0, 0)
    parts, n = context.evaluation_parts(), len(context.dataset.eval)
    order = list(context.setup.order) or slice(None)

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = outputs(model, x.to(context.device))
        return features, logits[:, order]

    try:
        keep = not job.params["relocated"]
        return forward(run, parts, n, shift, tick, keep=keep, resume_state=context.resume_state)
    except NotFinite:
        if job.params["untrained"]:
            raise
        raise AuditError(
            "MODEL_NOT_FINITE",
            f"an audit needs a model whose outputs are numbers, but {subject.name} gave NaN or "
            "infinite values for these images.",
            "Check its weights and its preprocessing.",
        ) from None


def null_outputs(
    job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick
) -> Outcome:
    """A null, or an untrained network of its kind, on the evaluation images."""
    null = null_of(job, context)
    if job.params["untrained"]:
        chosen, vote = results[needed(job, "choose").key].values, PatchSampling()
        if isinstance(chosen, ChosenNetwork):  # otherwise nothing says which patches are to vote
            vote = PatchSampling(*chosen.vote)
        scale = results[needed(job, "statistics").key]
        network = untrained.of_null(context, null, scale, job.whole("seed")).sampling(vote)
    else:
        fitted = results[job.after[0].key]
        if isinstance(fitted.values, Failed):
            return Outcome(fitted.values)
        if baselines.is_ridge(null.kind):
            logits = results[job.after[1].key].arrays[null.kind]
            return Outcome(Ran(status="ok"), {"logits": logits})
        restored = restore(job.after[0], fitted, context)
        if isinstance(restored, Linear):
            features = features_of(null, context, "eval")
            return Outcome(Ran(status="ok"), {"logits": restored.log_probabilities(features)})
        network = restored

    def model(x: Tensor) -> tuple[Tensor, Tensor]:
        if any(shift):  # of what the network sees: rolled before, it would be extended elsewhere
            x = torch.roll(covered(x, torus=null.kind in TORUS), shift, (2, 3))
        some = x.split(batch_for(x))  # large images take much memory at a time
        hidden = torch.cat([network.pooled(part) for part in some])
        return hidden, network.fc(hidden)

    size = context.setup.null_size(null)
    shift = quarter(size) if job.params["relocated"] else (0, 0)
    images = context.evaluation(null, results[needed(job, "statistics").key])
    return forward(model, [images], len(images), (0, 0), tick, keep=bool(job.params["features"]))


def stack(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """The best blind model: a logistic regression on the log-probabilities of all nulls.

    Fitted on the held-out training images, with the networks that have not seen them; applied to
    the refitted nulls' predictions. `after` holds pairs: a null's `choose`, then its `outputs`.
    """
    chosen = [results[j.key] for j in job.after[0::2]]
    given = [results[j.key] for j in job.after[1::2]]
    usable = [
        (c, g)
        for c, g in zip(chosen, given, strict=True)
        if "heldout_logits" in c.arrays and "logits" in g.arrays
    ]
    held = usable[0][0].arrays["heldout"]
    labels = results[needed(job, "train_facts").key].arrays["labels"][held]
    x = np.concatenate([log_softmax(c.arrays["heldout_logits"]) for c, _ in usable], axis=1)
    half = alternating(labels)
    classes = len(context.setup.classes)
    _, reached = model_and_score = choose_strength(
        (x[half], labels[half]), (x[~half], labels[~half]), classes
    )
    model = fit_linear(x, labels, classes, model_and_score[0].strength)
    z = np.concatenate([log_softmax(g.arrays["logits"]) for _, g in usable], axis=1)
    missing = [
        j.label for j, c in zip(job.after[1::2], given, strict=True) if "logits" not in c.arrays
    ]
    return Outcome(
        Stacked(
            status="failed" if missing else "ok",
            reason=f"it lacks {', '.join(missing)}" if missing else "",
            heldout_accuracy=reached,
            n_heldout=len(held),
        ),
        {"logits": model.log_probabilities(z)},
    )


def alternating(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Every other image of each class: (N,)."""
    half = np.zeros(len(labels), dtype=bool)
    half[np.argsort(labels, kind="stable")[::2]] = True
    return half
