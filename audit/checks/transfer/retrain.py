"""Train what lies behind a cut anew: the work that every network of a transfer curve needs.

After Yosinski et al. (2014, arXiv:1411.1792): the first layers come from a donor and stay frozen or
learn on, the others begin anew. All networks of one curve share images, budget, schedule and
augmentation. A frozen prefix gives the same features in every epoch, so they are computed once for
each image and its mirror image. Near duplicates never stand on both sides of the choice of a rate.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audit.baselines.device import PROCESSOR, called, moved
from audit.baselines.images import Data, Images
from audit.baselines.resume import StateSaver
from audit.baselines.train import Diverged, Recipe, accuracy, predict, train
from audit.data.splits import heldout_indices
from audit.evidence.device import on_device
from audit.jobs.job import Tick, counter
from audit.jobs.resume import ResumeState
from audit.model.network.cuts import Cut
from audit.model.network.split import check_split, reinitialise_after, split
from audit.model.network.untrained import averaged, batch_norms
from audit.model.spec import ModelSpec

RATE = 2e-3  # of AdamW, the recipe's; shares of it are tried at each cut
WEIGHT_DECAY = 0.01
TRIAL = 0.25  # share of the budget that a trial of a rate gets
MEMORY = 2 * 2**30  # bytes of stored features per cut; more only if LEAST images take more
LEAST = 100  # images whose features are stored whatever they take
FEWEST = 50  # training images; with fewer no rate can be chosen
DIVERGED = "its training diverged"


@dataclass(frozen=True)
class Curve:
    """What all networks of one curve share.

    Attributes:
        spec: Of the networks, with the classes that they learn.
        images: To learn from.
        budget: Training images seen by each network.
        shares: Shares of `RATE` that are tried.
        groups: (N,) equal for near duplicates among the images; None: there are none.
        device: That the networks learn on.
    """

    spec: ModelSpec
    images: Images
    budget: int
    shares: tuple[float, ...]
    groups: NDArray[np.int64] | None = None
    device: torch.device = PROCESSOR


@dataclass(frozen=True)
class Start:
    """With what a network begins.

    Attributes:
        donor: Gives what lies before the cut; None: nothing is copied, all begins anew.
        cut: Where; None without a donor.
        frozen: Whether the copied part stays as it is.
        cached: Whether a frozen part runs once only; a cut that cannot be traced is never cached.
    """

    donor: nn.Module | None = None
    cut: Cut | None = None
    frozen: bool = False
    cached: bool = True


@dataclass(frozen=True)
class TrainingRun:
    """One training of a network.

    Attributes:
        rate: Peak learning rate.
        seen: Budget in training images, repetitions counted.
        seed: Seed of the fresh layers, the order of images and the augmentation.
    """

    rate: float
    seen: int
    seed: int


@dataclass(frozen=True)
class Learned:
    """A finished network.

    Attributes:
        network: In eval mode.
        rate: That was chosen.
        trials: Accuracy on held-out training images by rate.
        seconds: Of the whole training.
    """

    network: nn.Module
    rate: float
    trials: dict[float, float]
    seconds: float


@dataclass(frozen=True)
class Features:
    """What a frozen prefix gives for each image and its mirror image.

    Attributes:
        values: Live values at the cut, each (2, N, ...): the image, then its mirror image.
        index: (M,) which of the N images these are; all subsets share the values.
        labels: (M,).
    """

    values: tuple[Tensor, ...]
    index: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor, augment: str, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The values of one view of each image, drawn at random."""
        view = (torch.rand(len(index), generator=generator) < 0.5).long()
        return tuple(value[view, self.index[index]] for value in self.values)

    def normalised(self, index: Tensor) -> tuple[Tensor, ...]:
        """The values of each image, not of its mirror image."""
        return tuple(value[0, self.index[index]] for value in self.values)

    def subset(self, index: Tensor) -> "Features":
        """The images at `index`."""
        return Features(self.values, self.index[index], self.labels[index])


def learn(
    curve: Curve, start: Start, seed: int, tick: Tick, resume_state: ResumeState | None = None
) -> Learned:
    """Choose a rate on held-out training images, then train on all of them.

    Args:
        curve: What is shared.
        start: With what the network begins.
        seed: Of the fresh layers, the order of images and the augmentation.
        tick: Told the share that is done.
        resume_state: Keeps what was learned so far; nothing is kept by default.

    Raises:
        Diverged: If the training with the best rate did.
        ValueError: If there are fewer than 50 training images.
    """
    n, resume_state = len(curve.images), resume_state or ResumeState()
    if n < FEWEST:
        raise ValueError(f"{FEWEST} training images or more are needed, but there are {n}")
    features = None
    if start.frozen and start.cached and start.donor and start.cut and start.cut.traced:
        features = prefix_features(start.donor, start.cut, curve.images, curve.device)
    groups = np.arange(n) if curve.groups is None else curve.groups
    parts = heldout_indices(curve.images.labels.numpy(), groups, seed)
    kept, held = (torch.from_numpy(part) for part in parts)
    rates = [RATE * share for share in curve.shares]
    trials = rates if len(rates) > 1 and len(held) else []  # one rate needs no choice
    count = counter(curve.budget * (1 + TRIAL * len(trials)), tick)

    def run(part: Tensor | None, rate: float, seen: int) -> nn.Module:
        keeper = resume_state.part(part is None, rate, seen, seed)
        once = TrainingRun(rate, seen, seed)
        return train_once(curve, start, features, part, run=once, tick=count, keeper=keeper)

    scores: dict[float, float] = {}
    for rate in trials:
        try:
            network = run(kept, rate, round(TRIAL * curve.budget))
            scores[rate] = score(network, start, curve.images, features, held)
        except Diverged:
            scores[rate] = 0.0
    best = max(scores, key=scores.__getitem__, default=rates[0])
    network = run(None, best, curve.budget)
    return Learned(network, best, scores, resume_state.seconds())


def train_once(
    curve: Curve,
    start: Start,
    features: Features | None,
    part: Tensor | None,
    *,
    run: TrainingRun,
    tick: Callable[[float], None],
    keeper: StateSaver | None = None,
) -> nn.Module:
    """One network, from its beginning to the end of its budget.

    Args:
        curve: What is shared.
        start: With what it begins.
        features: Of the frozen prefix, if they are stored.
        part: Positions of the images to learn from; None: all.
        run: Peak learning rate, budget and seed.
        tick: Told the images of each step.
        keeper: Keeps the state of the training; nothing is kept by default.
    """
    network = on_device(beginning(curve.spec, start, run.seed), curve.device)
    trained, data = network, whole(curve.images, part)
    if features is not None and start.cut is not None:
        trained, data = split(network, start.cut)[1], whole(features, part)
    recipe = Recipe(
        images_seen=run.seen,
        rate=run.rate,
        weight_decay=WEIGHT_DECAY,
        augment="mirror",
        optimizer="adamw",
    )
    train(trained, data, recipe, seed=run.seed, progress=tick, keeper=keeper)
    restore_norms(trained, data, run.seed)
    return network.eval()


def beginning(spec: ModelSpec, start: Start, seed: int) -> nn.Module:
    """The network before its first step; without a donor (n = 0) all of it is fresh."""
    if start.donor is None or start.cut is None:
        return spec.build(seed)
    return reinitialise_after(start.donor, spec, start.cut, seed=seed, freeze=start.frozen)


def score(
    network: nn.Module, start: Start, images: Images, features: Features | None, held: Tensor
) -> float:
    """Accuracy on the images at `held`; where features are stored, only what lies behind is run."""
    if features is None or start.cut is None:
        return accuracy(network, images.subset(held))
    return accuracy(split(network, start.cut)[1], features.subset(held))


def whole(data: Any, part: Tensor | None) -> Any:
    """The images or features at some positions; all of them without a copy."""
    return data if part is None else data.subset(part)


def errors_on(network: nn.Module, parts: Iterable[Images]) -> NDArray[np.float64]:
    """1.0 where the network is wrong, else 0.0: (n,) over all parts."""
    wrong = [predict(network, part).argmax(1) != part.labels for part in parts]
    return torch.cat(wrong).numpy().astype(np.float64)


def bytes_per_image(cuts: Sequence[Cut]) -> int:
    """Most bytes that the stored features of one image and its mirror image take at any cut."""
    shapes = [cut.shapes for cut in cuts if cut.traced]
    return max((8 * sum(math.prod(shape) for shape in live) for live in shapes), default=1)


def within_memory(cuts: Sequence[Cut], wanted: int) -> int:
    """How many of the wanted training images every cut can store features of."""
    return min(wanted, max(LEAST, MEMORY // bytes_per_image(cuts)))


def prefix_features(
    donor: nn.Module, cut: Cut, images: Images, device: torch.device = PROCESSOR
) -> Features:
    """Run the prefix once over each image and its mirror image, in eval mode."""
    check_split(donor, cut, images.normalised(torch.arange(2)))
    prefix, every = split(on_device(donor, device), cut)[0], torch.arange(len(images))
    stored: list[Tensor] = []
    with torch.no_grad():
        for index in every.split(128):
            x = images.normalised(index)
            for view, batch in enumerate((x, x.flip(3))):
                found = moved(prefix(batch.to(device)), PROCESSOR)
                stored = stored or [room_for(value, len(images)) for value in found]
                for values, value in zip(stored, found, strict=True):
                    values[view, index] = value
    return Features(tuple(stored), every, images.labels)


def room_for(value: Tensor, n: int) -> Tensor:
    """Room for two views of n values like the first of `value`, in its order of axes: (2, n, ...).

    Convolutions learn faster from batches with the channels last, as the prefix gives them.
    """
    one = torch.empty_like(value[:1])
    strides = (n * one.numel(), one.numel(), *one.stride()[1:])
    return value.new_empty_strided((2, n, *value.shape[1:]), strides)


def restore_norms(network: nn.Module, data: Data, seed: int) -> None:
    """Estimate the running statistics of the trained batch norms anew, over up to 2,000 images.

    Those of a frozen prefix are in eval mode even now and stay as they are.
    """
    network.train()
    norms = [norm for norm in batch_norms(network) if norm.training]
    generator = torch.Generator().manual_seed(seed)
    with averaged(norms), torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # what the network itself draws
        for index in torch.randperm(len(data), generator=generator)[:2000].split(200):
            if norms and len(index) > 1:
                called(network, data.batch(index, "mirror", generator))
    network.eval()
