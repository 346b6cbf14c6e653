"""Features of all cuts of a network on some images: pooled, of length one, from one pass."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audit.baselines.device import PROCESSOR, device_of
from audit.baselines.trivial import pixels as downscaled
from audit.core.sizes import height_width
from audit.data.duplicates import Known, groups_of
from audit.data.fingerprints import fingerprints
from audit.evidence.context import AUDITED, JobContext
from audit.evidence.outputs import BATCH, needed
from audit.jobs.job import Job
from audit.jobs.store import Outcome
from audit.kernels.probes import normalised
from audit.model.network.activations import at_cuts, layout_of, pooled
from audit.model.network.cuts import Cut

PIXELS = "pixels"  # stands for the images themselves, beside the cuts
Layers = dict[str, Tensor]  # (n, D) by cut
Count = Callable[[int], None]  # told the images that are done


@dataclass(frozen=True)
class Part:
    """Some images of a split, in the order in which they are wanted.

    Attributes:
        of: The data set: the audited one, or the use of one beside it.
        split: "train" or "eval".
        index: (n,) positions there.
        labels: (n,).
    """

    of: str
    split: str
    index: NDArray[np.int64]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.index)


def part_of(context: JobContext, of: str, split: str, index: NDArray[np.int64]) -> Part:
    """The images at `index` (n,) of a split."""
    return Part(of, split, index, torch.from_numpy(context.split(split, of).labels[index]))


def features(
    context: JobContext,
    network: nn.Module,
    cuts: tuple[Cut, ...],
    images: Part,
    count: Count,
    *,
    pixels: bool = False,
) -> Iterator[Layers]:
    """Batch by batch, the features of every cut: rows of length one.

    Args:
        context: Whose data, as the subject sees them.
        network: The subject, or one of its architecture.
        cuts: Of that architecture.
        images: Which.
        count: Told how many are done.
        pixels: Whether the images at 16 x 16 pixels are given beside them, as `PIXELS`.
    """
    layout, device = layout_of(network), device_of(network)
    shape = height_width(context.subject.preprocessing.img_size)
    for part in context.subject_parts(images.split, images.index, images.of):
        batches = torch.arange(len(part)).split(BATCH)
        given = (part.normalised(index).to(device) for index in batches)
        for index, found in zip(batches, at_cuts(network, cuts, given), strict=True):
            layers = {
                cut: normalised(pooled(value, layout, shape).to(PROCESSOR))
                for cut, value in found.items()
            }
            if pixels:
                small = torch.from_numpy(downscaled(part.pixels[index].numpy()))
                layers[PIXELS] = normalised(small)
            count(len(index))
            yield layers


def gathered(parts: Iterable[Layers], n: int) -> Layers:
    """The features of all `n` images: one tensor (n, D) a cut."""
    found: Layers = {}
    start = 0
    for layers in parts:
        size = len(next(iter(layers.values()), ()))
        for cut, x in layers.items():
            if cut not in found:
                found[cut] = x.new_zeros(n, x.shape[1])
            found[cut][start : start + size] = x
        start += size
    return found


def bytes_each(context: JobContext, network: nn.Module, cuts: tuple[Cut, ...], images: Part) -> int:
    """What the features of one image take, with its pixels."""
    two = Part(images.of, images.split, images.index[:2], images.labels[:2])
    found = next(features(context, network, cuts, two, lambda _: None, pixels=True))
    return sum(4 * x.shape[1] for x in found.values())


Integers = NDArray[np.int64]


def train_groups(
    job: Job, context: JobContext, results: Mapping[str, Outcome], of: str, index: Integers
) -> Integers:
    """(n,) equal for near duplicates among some training images of a data set."""
    if of == AUDITED:
        return results[needed(job, "train_facts").key].arrays["train_groups"][index]
    return groups(context, of, "train", index)


def groups(context: JobContext, of: str, split: str, index: Integers) -> Integers:
    """(n,) equal for near duplicates among some images of a data set beside; looked for once."""
    key = of, split, index.tobytes()
    if key not in context.near:
        part = context.split(split, of).select(index)
        channels = 1 if context.others[of].grey else 3
        context.near[key] = groups_of(Known(part.labels, fingerprints(part, channels)))
    return context.near[key]
