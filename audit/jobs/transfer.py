"""Executor of the transfer curve: freeze or keep the layers before a cut, learn the rest anew.

After Yosinski et al. (2014): BnB freezes the first layers of the network and trains fresh ones
behind them on the same data; BnB+ lets all of it learn. All networks of one curve share images,
budget, schedule and augmentation. A frozen prefix gives the same features in every epoch, so they
are computed once for each image and its mirror image.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audit.jobs.workshop import Tick, Workshop
from audit.model.architecture import check_split, reinitialise_after, split
from audit.model.cuts import Cut
from audit.store import Outcome
from audit.work import Job
from baselines.train import Data, Diverged, Images, Recipe, predict, train

RATE = 2e-3  # of AdamW, the recipe's; shares of it are tried at each cut
TRIAL = 0.25  # share of the budget that a trial of a rate gets
MEMORY = 2 * 2**30  # bytes of cached features per cut, at most
HELD_OUT = 0.2  # of the training images, for the choice of the rate


@dataclass(frozen=True)
class Features:
    """What a frozen prefix gives for each image and its mirror image.

    Attributes:
        values: Live values at the cut, each (2, N, ...): the image, then its mirror image.
        labels: (N,).
    """

    values: tuple[Tensor, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor, augment: str, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The values of one view of each image, drawn at random."""
        view = (torch.rand(len(index), generator=generator) < 0.5).long()
        return tuple(value[view, index] for value in self.values)

    def subset(self, index: Tensor) -> "Features":
        """The images at `index`."""
        return Features(tuple(v[:, index] for v in self.values), self.labels[index])


def transfer(job: Job, shop: Workshop, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """One network of the curve: its errors on the evaluation images.

    `mode` is "frozen" (BnB), "tuned" (BnB+) or "untrained" (control: a frozen prefix with fresh
    weights).
    """
    started = time.monotonic()
    cut, mode = shop.cuts[str(job.params["cut"])], str(job.params["mode"])
    seed, budget = int(job.params["seed"]), int(job.params["seen"])  # type: ignore[arg-type]
    n, size = images_within_memory(shop, int(job.params["images"]))  # type: ignore[arg-type]
    images = shop.subject_images("train", shop.some("train", n, int(job.params["base_seed"])))  # type: ignore[arg-type]
    cached = mode != "tuned" and cut.traced
    donor = shop.subject.spec.build(seed + 1) if mode == "untrained" else shop.subject.model
    frozen = mode != "tuned"
    features = prefix_features(donor, cut, images) if cached else None

    def fresh() -> nn.Module:
        return reinitialise_after(donor, shop.subject.spec, cut, seed=seed, freeze=frozen)

    def run(part: Tensor, rate: float, seen: int) -> nn.Module:
        network = fresh()
        data: Data = features.subset(part) if features else images.subset(part)
        trained: nn.Module = split(network, cut)[1] if features else network
        recipe = Recipe(
            images_seen=seen, rate=rate, weight_decay=0.01, augment="mirror", optimizer="adamw"
        )
        train(trained, data, recipe, seed=seed, progress=count)
        restore_norms(trained, data, seed)
        return network.eval()

    done = 0.0
    shares: list[float] = list(job.params["shares"])  # type: ignore[arg-type]
    rates = [RATE * share for share in shares]
    total = budget * (1 + TRIAL * len(rates))

    def count(step: float) -> None:
        nonlocal done
        done += step
        tick(min(1.0, done / total))

    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    kept, held = order[round(HELD_OUT * n) :], order[: round(HELD_OUT * n)]
    scores: dict[float, float] = {}
    for rate in rates:
        try:
            scores[rate] = share_right(run(kept, rate, round(TRIAL * budget)), images.subset(held))
        except Diverged:
            scores[rate] = 0.0
    best = max(scores, key=scores.__getitem__)
    try:
        network = run(torch.arange(n), best, budget)
    except Diverged:
        return Outcome({"status": "failed", "reason": "its training diverged"})
    wrong = torch.cat(
        [predict(network, part).argmax(1) != part.labels for part in shop.evaluation_parts()]
    ).numpy()
    return Outcome(
        {
            "status": "ok",
            "rate": best,
            "trials": {f"{rate:g}": score for rate, score in scores.items()},
            "images": n,
            "seen": budget,
            "bytes_per_image": size,
            "cached": cached,
            "seconds": time.monotonic() - started,
        },
        {"errors": wrong.astype(np.float64)},
    )


def share_right(network: nn.Module, data: Images) -> float:
    """Accuracy in eval mode."""
    return float((predict(network, data).argmax(1) == data.labels).double().mean())


def images_within_memory(shop: Workshop, wanted: int) -> tuple[int, int]:
    """How many training images every cut can cache, and the bytes that one image takes at most."""
    shapes = [cut.shapes for cut in shop.cuts.values() if cut.traced]
    largest = max((8 * sum(math.prod(shape) for shape in live) for live in shapes), default=1)
    return min(wanted, len(shop.split("train")), max(100, MEMORY // largest)), largest


def prefix_features(donor: nn.Module, cut: Cut, images: Images) -> Features:
    """Run the prefix once over each image and its mirror image, in eval mode."""
    check_split(donor, cut, images.normalised(torch.arange(2)))
    prefix = split(donor, cut)[0]
    views: list[list[tuple[Tensor, ...]]] = [[], []]
    with torch.no_grad():
        for index in torch.arange(len(images)).split(128):
            x = images.normalised(index)
            for view, batch in zip(views, (x, x.flip(3)), strict=True):
                view.append(prefix(batch))
    values = tuple(
        torch.stack([torch.cat([part[i] for part in view]) for view in views])
        for i in range(len(views[0][0]))
    )
    return Features(values, images.labels)


def restore_norms(network: nn.Module, data: Any, seed: int) -> None:
    """Estimate the running statistics of the trained batch norms anew, over up to 2,000 images.

    Those of a frozen prefix are in eval mode even now and stay as they are.
    """
    network.train()
    norms = [
        m
        for m in network.modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training and m.track_running_stats
    ]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over batches
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for index in torch.randperm(len(data), generator=generator)[:2000].split(200):
            if norms and len(index) > 1:
                network(data.batch(index, "mirror", generator))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
