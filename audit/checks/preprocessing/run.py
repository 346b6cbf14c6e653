"""Executor that runs the subject on training images under the usual alternatives of preprocessing.

One factor at a time: normalisation, crop, interpolation, order of the channels. Training images,
because the evaluation images choose nothing; that the model may have learned them by heart flatters
every alternative, but the right one most.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.baselines.images import Images
from audit.baselines.train import predict
from audit.checks.preprocessing.outcomes import Tried
from audit.data import decode
from audit.evidence.context import JobContext
from audit.evidence.outputs import BATCH, needed
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome
from audit.model.spec import Preprocessing

NORMS = {  # mean and standard deviation of each channel
    "imagenet": ("ImageNet's mean and std", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ("CIFAR-10's mean and std", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "half": ("mean and std 0.5", (0.5,) * 3, (0.5,) * 3),
    "none": ("no normalisation", (0.0,) * 3, (1.0,) * 3),
}

CROPS = {"crop_875": 0.875, "crop_950": 0.95, "crop_1000": 1.0}
FILTERS = ("bilinear", "bicubic")
CLOSE = 0.002  # a mean or std nearer than this is the same one, rounded


@dataclass(frozen=True)
class Alternative:
    """One way to prepare the images.

    Attributes:
        name: Stable identifier.
        words: For the report.
        view: Geometry and normalisation.
        swapped: Whether red and blue change places.
    """

    name: str
    words: str
    view: Preprocessing
    swapped: bool = False


def alternatives(view: Preprocessing, *, colour: bool) -> list[Alternative]:
    """The usual alternatives that differ from what the subject is given, one factor at a time.

    Args:
        view: What it is given.
        colour: Whether any image has colour; else the order of the channels does not matter.
    """
    found = []
    for name, (words, mean, std) in NORMS.items():
        own = replace(view, mean=fitting(mean, view), std=fitting(std, view))
        if not np.allclose((*own.mean, *own.std), (*view.mean, *view.std), rtol=0, atol=CLOSE):
            found.append(Alternative(name, words, own))
    if colour and view.in_chans == 3:
        found.append(Alternative("bgr", "channels in the order blue, green, red", view, True))
    for name, share in CROPS.items():
        if abs(share - view.crop_pct) > CLOSE:
            found.append(Alternative(name, f"crop {share:g}", replace(view, crop_pct=share)))
    for method in FILTERS:
        if method != view.interpolation:
            found.append(Alternative(method, method, replace(view, interpolation=method)))
    return found


def fitting(values: tuple[float, ...], view: Preprocessing) -> tuple[float, ...]:
    """As many values as channels; grey takes the average."""
    return values if view.in_chans == 3 else (sum(values) / 3,) * view.in_chans


def preprocessing(
    job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick
) -> Outcome:
    """Which training images the subject gets right, as it is and under each alternative.

    Returns:
        Values `names` and `words` (A) of the alternatives. Arrays `right` (A + 1, n) uint8, the
        first row as it is, and `groups` (n,) of near duplicates.
    """
    subject = context.subject
    index = context.some("train", job.whole("images"), job.whole("seed"))
    part = context.split("train").select(index)
    own = Alternative("as_is", "", subject.preprocessing)
    ways = [own, *alternatives(subject.preprocessing, colour=not context.dataset.grey)]
    order, geometry, rows = list(context.setup.order) or slice(None), None, []
    model = context.placed(subject.model.eval().to(memory_format=torch.channels_last))
    for done, way in enumerate(ways):
        if (way.view.crop_pct, way.view.interpolation) != geometry:
            geometry = (way.view.crop_pct, way.view.interpolation)
            pixels = torch.from_numpy(
                decode(
                    part,
                    way.view.img_size,
                    way.view.in_chans,
                    crop_pct=way.view.crop_pct,
                    interpolation=way.view.interpolation,
                    crop_mode=way.view.crop_mode,
                )
            )
        images = prepared(pixels, part.labels, way)
        logits = predict(model, images, batch=BATCH)[:, order]
        rows.append(right(logits, images.labels))
        tick((done + 1) / len(ways))
    groups = results[needed(job, "train_facts").key].arrays["train_groups"][index]
    return Outcome(
        Tried(
            names=tuple(way.name for way in ways[1:]), words=tuple(way.words for way in ways[1:])
        ),
        {"right": np.stack(rows), "groups": groups},
    )


def prepared(pixels: Tensor, labels: NDArray[np.int64], way: Alternative) -> Images:
    """Decoded images (n, C, H, W) as one alternative shows them."""
    mean, std = torch.tensor(way.view.mean), torch.tensor(way.view.std)
    shown = pixels.flip(1) if way.swapped else pixels
    return Images(shown, torch.from_numpy(labels), mean, std)


def right(logits: Tensor, labels: Tensor) -> NDArray[np.uint8]:
    """1 where the largest logit is the label's, and all are finite: (n, K), (n,) -> (n,)."""
    good = (logits.argmax(1) == labels) & logits.isfinite().all(1)
    found: NDArray[np.uint8] = good.numpy().astype(np.uint8)
    return found
