"""Executors of the full transfer experiment: base networks A and B, and what B learns from either.

After Yosinski et al. (2014): the classes are divided in two halves, a base network of the model's
architecture learns each, and B is learned again behind the first n layers of baseB (BnB, BnB+) or
of baseA (AnB, AnB+). Where the user gives other data, those are B and the subject itself is A. A
base network is what AnB is at n = 0: the same recipe with nothing copied.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from audit.baselines.device import PROCESSOR
from audit.baselines.images import Images
from audit.baselines.train import Diverged
from audit.checks.transfer.outcomes import UNTRAINED, TrainedBase
from audit.checks.transfer.retrain import DIVERGED, Curve, Start, errors_on, learn
from audit.checks.transfer.run_own import facts, images_each, shares_of
from audit.data.splits import subset
from audit.evidence import untrained
from audit.evidence.context import JobContext
from audit.evidence.features import groups, train_groups
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome
from audit.jobs.values import Failed
from audit.model.spec import ModelSpec

SEEDS = {"a": 1, "b": 2, "network": 3, UNTRAINED: 4}  # apart: no fresh layer repeats a base's
FROM_A = ("anb", "anb_plus")
WEIGHTS = "weights."


@dataclass(frozen=True)
class Half:
    """One side of the experiment: its classes, and where its images are.

    Attributes:
        of: The data set, as the context names it.
        classes: Labels there, in the order of the network's outputs.
    """

    of: str
    classes: tuple[int, ...]

    def positions(self, context: JobContext, split: str) -> NDArray[np.int64]:
        """Of its images in a split, ascending."""
        return np.flatnonzero(np.isin(context.split(split, self.of).labels, self.classes))

    def chosen(self, context: JobContext, n: int, seed: int) -> NDArray[np.int64]:
        """Positions of a stratified choice of `n` of its training images, ascending."""
        positions = self.positions(context, "train")
        labels = np.searchsorted(self.classes, context.split("train", self.of).labels[positions])
        return positions[subset(labels.astype(np.int64), n, seed)]

    def evaluation(self, context: JobContext) -> Iterator[Images]:
        """Its evaluation images, in order, in parts that fit in memory."""
        for part in context.subject_parts("eval", self.positions(context, "eval"), self.of):
            yield self.relabelled(part)

    def relabelled(self, images: Images) -> Images:
        """The same images, labelled by the place of their class in this half."""
        labels = np.searchsorted(self.classes, images.labels.numpy())
        return replace(images, labels=torch.from_numpy(labels.astype(np.int64)))


def half(job: Job, context: JobContext, side: str) -> Half:
    """Side "a" or "b" of a job's experiment."""
    of = str(job.params["of"])
    if of in context.others:
        return Half(of, tuple(range(len(context.others[of].classes))))
    of_a = set(job.params["classes_a"])  # type: ignore[arg-type]
    names = enumerate(context.dataset.classes)
    return Half(of, tuple(i for i, name in names if (name in of_a) == (side == "a")))


def curve_of(job: Job, context: JobContext, results: Mapping[str, Outcome], side: str) -> Curve:
    """What all networks that learn one side share; both sides have equally many images."""
    wanted = [half(job, context, "b")]
    if str(job.params["of"]) not in context.others:
        wanted.append(half(job, context, "a"))
    n = min(images_each(job, context), *(len(h.positions(context, "train")) for h in wanted))
    own = half(job, context, side)
    index = own.chosen(context, n, job.whole("base_seed"))
    images = own.relabelled(context.retraining_images(index, own.of))
    spec = replace(context.subject.spec, num_classes=len(own.classes))
    tied = train_groups(job, context, results, own.of, index)
    seen = job.whole("seen")
    return Curve(spec, images, seen, shares_of(job), tied, context.device)


def split_base(
    job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick
) -> Outcome:
    """A base network, trained from scratch on one side.

    Returns:
        Values: how it was trained. Arrays: its weights, its errors on its own evaluation images
        and, beside the audited data set, `groups` (n,) equal for near duplicates among these.
    """
    side, seed = str(job.params["side"]), job.whole("seed")
    curve = curve_of(job, context, results, side)
    try:
        learned = learn(curve, Start(), seed_for(seed, side), tick, context.resume_state)
    except Diverged:
        return Outcome(Failed(reason=DIVERGED))
    state = learned.network.state_dict()
    arrays = {
        WEIGHTS + name: value.to(PROCESSOR).contiguous().numpy() for name, value in state.items()
    }
    own = half(job, context, side)
    errors = errors_on(learned.network, own.evaluation(context))
    positions = own.positions(context, "eval")
    labels = context.split("eval", own.of).labels[positions]
    chance = float(np.bincount(labels).max() / len(labels))
    if own.of in context.others:
        arrays["groups"] = groups(context, own.of, "eval", positions)
    values = TrainedBase(**facts(learned, curve).model_dump(), chance=chance)
    return Outcome(values, arrays | {"errors": errors})


def split_network(
    job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick
) -> Outcome:
    """One network of the four curves: its errors on B's evaluation images."""
    kind, seed = str(job.params["curve"]), job.whole("seed")
    bases = [results[needed.key] for needed in job.after if needed.kind == "split_base"]
    for base in bases:
        if isinstance(base.values, Failed):
            return Outcome(Failed(reason=f"a base: {base.values.reason}"))
    curve = curve_of(job, context, results, "b")
    if kind == UNTRAINED:
        own = seed_for(seed, UNTRAINED)
        donor = untrained.of_spec(curve.spec, curve.images, curve.device, own)
    elif bases:
        side = "a" if kind in FROM_A else "b"
        donor = restored(bases[0], context.subject.spec, len(half(job, context, side).classes))
    else:
        donor = context.subject.model
    start = Start(donor, context.cuts[str(job.params["cut"])], frozen=not kind.endswith("_plus"))
    try:
        learned = learn(curve, start, seed_for(seed, "network"), tick, context.resume_state)
    except Diverged:
        return Outcome(Failed(reason=DIVERGED))
    errors = errors_on(learned.network, half(job, context, "b").evaluation(context))
    return Outcome(facts(learned, curve), {"errors": errors})


def seed_for(seed: int, what: str) -> int:
    """The seed of a base or of fresh layers: all apart, so that nothing begins as a base did."""
    return 10 * seed + SEEDS[what]


def restored(base: Outcome, spec: ModelSpec, classes: int) -> nn.Module:
    """The network that `split_base` stored."""
    network = replace(spec, num_classes=classes).build(0)
    network.load_state_dict(
        {
            name.removeprefix(WEIGHTS): torch.from_numpy(value)
            for name, value in base.arrays.items()
            if name.startswith(WEIGHTS)
        }
    )
    return network.eval()


def prepare(job: Job, context: JobContext, results: Mapping[str, Outcome]) -> None:
    """Decode what the networks of one side learn from, if it fits, and look for its copies once."""
    side = str(job.params.get("side", "b"))
    own = half(job, context, side)
    if context.fits(min(job.whole("images"), len(own.positions(context, "train")))):
        curve_of(job, context, results, side)
    if "side" in job.params and own.of in context.others:
        groups(context, own.of, "eval", own.positions(context, "eval"))
