"""The untrained control of dimension, profile, probes and transfer, in one place.

An untrained network has the architecture of the model (or of a null) and weights drawn by a seed.
Its branches are open and its batch norms are estimated on images; see
`audit.model.network.untrained`. Weights matter, so checks draw several networks
(`Profile.untrained_draws`) and their spread is part of the interval.

The images are about 1,000 training images, evaluation images where there are none. They are the
same for every draw, and no label is read.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from audit.baselines.device import PROCESSOR
from audit.baselines.images import Images
from audit.baselines.patch_net import PatchNet
from audit.evidence.context import JobContext
from audit.evidence.device import on_device
from audit.evidence.fit_null import build
from audit.evidence.setup import Null
from audit.jobs.store import Outcome
from audit.model.network.untrained import batch_norms, estimate_norms, opened
from audit.model.spec import ModelSpec

IMAGES = 1000  # enough for a mean and a variance of every channel, and quickly run
IMAGES_SEED = 0  # of their choice and order


def of_subject(context: JobContext, seed: int) -> nn.Module:
    """An untrained network of the subject's architecture, placed, in eval mode."""
    network = opened(context.subject.spec.build(seed)).to(memory_format=torch.channels_last)
    network = context.placed(network)
    if batch_norms(network):
        estimate_norms(network, subject_images(context))
    return network.eval()


def of_spec(spec: ModelSpec, images: Images, device: torch.device, seed: int) -> nn.Module:
    """An untrained network on the processor, with norms of some of these images.

    Args:
        spec: Its architecture.
        images: Images as the network sees them.
        device: Device that the images run on.
        seed: Random seed of the weights.
    """
    network = on_device(opened(spec.build(seed)), device)
    if batch_norms(network):
        generator = torch.Generator().manual_seed(IMAGES_SEED)
        some = torch.randperm(len(images), generator=generator)[:IMAGES]
        estimate_norms(network, [images.subset(some)])
    return network.to(PROCESSOR).eval()


def of_null(context: JobContext, null: Null, scale: Outcome, seed: int) -> PatchNet:
    """An untrained network of a null's architecture, on the processor, in eval mode.

    Args:
        context: Gives the images.
        null: A trained null.
        scale: What the job `statistics` found.
        seed: Random seed of the weights.
    """
    network = build(null, context, seed)
    opened(network)
    estimate_norms(network, [null_images(context, null, scale)])
    return network


def chosen(context: JobContext) -> tuple[str, NDArray[np.int64]]:
    """The split and the positions (n,) of the images, in random order."""
    name = "eval" if context.dataset.train is None else "train"
    index = context.some(name, IMAGES, IMAGES_SEED)
    return name, np.random.default_rng(IMAGES_SEED).permutation(index)


def subject_images(context: JobContext) -> Iterator[Images]:
    """The images as the subject sees them; decoded once if they fit in memory."""
    name, index = chosen(context)
    if not context.fits(len(index)):
        yield from context.subject_parts(name, index)
        return
    if not context.few:
        context.few.append(context.subject_images(name, index))
    yield context.few[0]


def null_images(context: JobContext, null: Null, scale: Outcome) -> Images:
    """The images as a null sees them; the whole split is not decoded for them."""
    name, index = chosen(context)
    if name == "eval":
        return context.evaluation(null, scale).subset(torch.from_numpy(index))
    train = context.split("train")
    if any(split == "train" for split, *_ in context.decoded):
        pixels = context.pixels("train", null.scale)[index]
    else:
        few = replace(context.dataset, train=train.select(index))
        pixels = replace(context, dataset=few, decoded={}).pixels("train", null.scale)
    mean, std = (torch.from_numpy(scale.arrays[name]) for name in ("mean", "std"))
    return Images(torch.from_numpy(pixels), torch.from_numpy(train.labels[index]), mean, std)
