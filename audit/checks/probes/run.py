"""Executor of linear read-outs: features of all cuts in one pass, a read-out of each, its errors.

The training images are divided once: read-outs of every strength learn from one part, the other
part chooses. The evaluation images choose nothing: they are run when all read-outs are fixed.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audit.checks.probes.outcomes import ReadOut, twin_name
from audit.data.splits import heldout_indices
from audit.evidence import untrained
from audit.evidence.context import AUDITED, JobContext
from audit.evidence.features import (
    PIXELS,
    Count,
    Layers,
    Part,
    bytes_each,
    features,
    gathered,
    groups,
    part_of,
    train_groups,
)
from audit.jobs.job import Job, Tick, counter
from audit.jobs.store import Outcome
from audit.kernels.probes import ChosenReadout, Loss, basis_of, choose, unusable
from audit.model.network.cuts import Cut

MEMORY = 2 * 2**30  # bytes of features of the training images of one network, at most
FEWEST = 100  # training images, whatever they take
NOT_FINITE = "the features are not all finite numbers"
Key = tuple[str, Loss]  # cut and read-out


class Material(NamedTuple):
    """What read-outs are learned from and judged on.

    Attributes:
        train: Training images.
        kept: The first so many are learned from while the others choose.
        evaluation: Evaluation images.
        classes: How many.
    """

    train: Part
    kept: int
    evaluation: Part
    classes: int


@dataclass(frozen=True)
class Read:
    """What was read out of one network.

    Attributes:
        found: Read-outs by cut and loss.
        wrong: (n,) of each: whether an evaluation image is wrong.
        reasons: Why a cut has none.
    """

    found: dict[Key, ChosenReadout] = field(default_factory=dict)
    wrong: dict[Key, NDArray[np.uint8]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def probes(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Read out the model, untrained networks of its kind and the pixels on one data set.

    Returns:
        Arrays `wrong` (R, n) uint8, `index` (n,) of the evaluation images and, beside the audited
        data set, `groups` (n,) of them.
    """
    started, of, seed = time.monotonic(), str(job.params["of"]), job.whole("seed")
    names = job.params["cuts"]
    assert isinstance(names, list)
    cuts = tuple(cut for cut in context.all_cuts.values() if cut.name in names)
    asked = job.whole("images")
    given = material(job, context, results, cuts, asked)
    draws = job.whole("draws")
    count = counter((1 + draws) * (2 * len(given.train) + len(given.evaluation)), tick)
    losses: tuple[Loss, ...] = ("logistic", "hinge") if job.params["svm"] else ("logistic",)
    own = context.placed(context.subject.model.eval().to(memory_format=torch.channels_last))
    networks = {"subject": read(context, own, cuts, given, losses, count, pixels=True)}
    for draw in range(draws):
        twin = untrained.of_subject(context, seed + draw)
        networks[twin_name(draw)] = read(context, twin, cuts, given, ("logistic",), count)
    rows = [(name, *key) for name, each in networks.items() for key in each.wrong]
    chosen = [networks[name].found[cut, loss] for name, cut, loss in rows]
    wrong = [networks[name].wrong[cut, loss] for name, cut, loss in rows]
    index = given.evaluation.index
    arrays: dict[str, NDArray[Any]] = {
        "wrong": np.stack(wrong) if wrong else np.zeros((0, len(index)), np.uint8),
        "index": index,
    }
    if of != AUDITED:
        arrays["groups"] = groups(context, of, "eval", index)
    values = ReadOut(
        rows=tuple(rows),
        strengths=tuple(one.readout.strength for one in chosen),
        edges=tuple(one.edge for one in chosen),
        heldout=tuple(max(one.heldout) for one in chosen),
        widths=tuple(one.readout.weight.shape[1] for one in chosen),
        reasons={f"{n}.{c}": why for n, r in networks.items() for c, why in r.reasons.items()},
        images=len(given.train),
        asked=min(asked, len(context.split("train", of))),
        heldout_images=len(given.train) - given.kept,
        seconds=time.monotonic() - started,
    )
    return Outcome(values, arrays)


def material(
    job: Job,
    context: JobContext,
    results: Mapping[str, Outcome],
    cuts: tuple[Cut, ...],
    asked: int,
) -> Material:
    """Draw the images, stratified: those that choose stand last, near duplicates together."""
    of, seed = str(job.params["of"]), job.whole("seed")
    every = part_of(context, of, "train", np.arange(len(context.split("train", of))))
    room = MEMORY // max(1, bytes_each(context, context.subject.model, cuts, every))
    index = context.some("train", min(asked, max(FEWEST, room)), seed, of)
    tied = train_groups(job, context, results, of, index)
    kept, held = heldout_indices(every.labels.numpy()[index], tied, seed)
    train = part_of(context, of, "train", index[np.concatenate([kept, held])])
    evaluation = part_of(context, of, "eval", context.some("eval", asked, seed, of))
    dataset = context.dataset if of == AUDITED else context.others[of]
    return Material(train, len(kept), evaluation, len(dataset.classes))


def read(
    context: JobContext,
    network: nn.Module,
    cuts: tuple[Cut, ...],
    given: Material,
    losses: tuple[Loss, ...],
    count: Count,
    *,
    pixels: bool = False,
) -> Read:
    """Read one network out at every cut.

    Args:
        context: Whose data.
        network: The model or an untrained one, placed, in eval mode.
        cuts: Where.
        given: Images.
        losses: Of the read-outs of a cut; the pixels have the first alone.
        count: Told the images that are done: run once, or read out.
        pixels: Whether the pixels are read out, too.
    """
    done = Read()
    parts = features(context, network, cuts, given.train, count, pixels=pixels)
    layers = gathered(parts, len(given.train))
    for name in [*(cut.name for cut in cuts), *([PIXELS] if pixels else [])]:
        x = layers.pop(name, torch.zeros(0))
        why = unusable(x)
        if why:
            done.reasons[name] = why
            continue
        basis = basis_of(x)
        for loss in losses[:1] if name == PIXELS else losses:
            done.found[name, loss] = choose(
                x, given.train.labels, given.kept, given.classes, loss, basis=basis
            )
    count(len(given.train))
    judge(done, features(context, network, cuts, given.evaluation, count, pixels=pixels), given)
    return done


def judge(done: Read, parts: Iterator[Layers], given: Material) -> None:
    """Put in what the read-outs get wrong; of the evaluation images no features are kept."""
    wrong: dict[Key, list[Tensor]] = {key: [] for key in done.found}
    start = 0
    for layers in parts:
        size = len(next(iter(layers.values()), ()))
        truth = given.evaluation.labels[start : start + size]
        start += size
        for (name, loss), found in done.found.items():
            if not layers[name].isfinite().all():
                done.reasons[name] = NOT_FINITE
            wrong[name, loss].append(found.readout.predict(layers[name]) != truth)
    for key, each in wrong.items():
        if key[0] not in done.reasons:
            done.wrong[key] = torch.cat(each).numpy().astype(np.uint8)
