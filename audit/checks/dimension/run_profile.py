"""Executor of the ID profile: intrinsic and linear dimension at every cut of one network.

One pass over the images feeds all cuts. What the pass gives is kept in memory up to `MEMORY` bytes
and on disk beyond; then each cut is measured from N x N matrices (`audit.kernels.gram`), so that a
convolution's map of any size needs no more.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audit.baselines.device import device_of
from audit.baselines.images import Images
from audit.baselines.patch_net import PatchNet
from audit.checks.dimension.outcomes import Profiled, ProfilePoint
from audit.evidence import untrained
from audit.evidence.columns import Columns, Room
from audit.evidence.context import JobContext
from audit.evidence.fit_null import null_of, restore
from audit.evidence.outputs import needed
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome
from audit.jobs.values import Failed
from audit.kernels.gram import gram, linear_dimension
from audit.kernels.pairwise import CloudId, dimension, refused
from audit.model.network.activations import at_cuts
from audit.model.network.cuts import Cut
from audit.model.network.null_cuts import sibling_cuts

MEMORY = 2**30  # bytes of activations that one network may keep in memory
VALUES = 2**22  # of a batch of images: 1,365 of 32 pixels, 27 of 224
BATCH = 128  # images, at most
PASS = 0.5  # share of the work that is the pass over the images
INPUT = "input"  # name of the point at depth 0: the normalised pixels
NO_CUTS = "it has no stages that can be looked into"
BLOCKS_SEED = 0


def id_profile(
    job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick
) -> Outcome:
    """The profile of the subject, of an untrained network of its kind, or of a trained null.

    Returns:
        The values, and an array `in_blocks`, (points, blocks): log dimensions on the same blocks
        of images; or why nothing can be measured.
    """
    seed, n = job.whole("seed"), job.whole("images")
    index = context.some("eval", n, seed)
    if "null" in job.params:
        fitted = results[job.after[0].key]
        if isinstance(fitted.values, Failed):
            return Outcome(Failed(reason=fitted.values.reason))
        null = null_of(job, context)
        network = restore(job.after[0], fitted, context)
        assert isinstance(network, PatchNet), "only networks have layers"
        network.sampling(
            network.vote._replace(mirrored=False)
        )  # one pass, of the images themselves
        images = context.evaluation(null, results[needed(job, "statistics").key])
        cuts = sibling_cuts(network, (context.setup.channels, *context.setup.null_size(null)))
        parts: Iterator[Images] = iter([images.subset(torch.from_numpy(index))])
        return profile(network, cuts, parts, len(index), tick)
    cuts = tuple(context.all_cuts.values())
    if job.params["untrained"]:
        model = untrained.of_subject(context, job.whole("weights"))
    else:
        own = context.subject.model.eval()
        model = context.placed(own.to(memory_format=torch.channels_last))
    return profile(model, cuts, context.subject_parts("eval", index), len(index), tick)


def profile(
    network: nn.Module,
    cuts: tuple[Cut, ...],
    parts: Iterator[Images],
    n: int,
    tick: Tick,
    memory: int | None = None,
) -> Outcome:
    """Measure a network at its input and at every cut; see `id_profile`.

    Args:
        network: In eval mode.
        cuts: Of it, in order.
        parts: N images, in one part or several.
        n: N.
        tick: Told the share that is done.
        memory: Bytes of activations that are kept in memory; None: `MEMORY`.
    """
    if not cuts:
        return Outcome(Failed(reason=NO_CUTS))
    room = Room(MEMORY if memory is None else memory)
    kept = collect(network, cuts, parts, n, room, lambda share: tick(PASS * share))
    depths = {INPUT: 0.0} | {cut.name: cut.depth for cut in cuts}
    points: list[ProfilePoint] = []
    blocks: list[NDArray[np.float64]] = []
    total, done = sum(columns.width for columns in kept.values()), 0
    for name in [name for name in depths if name in kept]:
        columns = kept.pop(name)
        found, components = measured(columns)
        columns.close()
        one = {key: value for key, value in found._asdict().items() if key != "in_blocks"}
        points.append(
            ProfilePoint(name=name, depth=depths[name], pca=components, width=columns.width, **one)
        )
        blocks.append(found.in_blocks)
        done += columns.width
        tick(PASS + (1 - PASS) * done / total)
    values = Profiled(points=tuple(points), images=n, on_disk=room.on_disk)
    return Outcome(values, {"in_blocks": np.stack(blocks)})


def collect(
    network: nn.Module,
    cuts: tuple[Cut, ...],
    parts: Iterator[Images],
    n: int,
    room: Room,
    tick: Tick,
) -> dict[str, Columns]:
    """Run the network once over all images and keep what it computes, by the name of the cut."""
    kept: dict[str, Columns] = {}
    seen = 0

    def keep(name: str, values: Tensor) -> None:
        if name not in kept:
            kept[name] = Columns.within(room, n, values[0].numel())
        kept[name].add(values)

    given: list[Tensor] = []
    device = device_of(network)
    placed = (x.to(device) for x in remembered(batches(parts), given.append))
    for values in at_cuts(network, cuts, placed):
        x = given.pop()
        keep(INPUT, x)
        for name, value in values.items():
            keep(name, value)
        seen += len(x)
        tick(seen / n)
    return kept


def batches(parts: Iterator[Images]) -> Iterator[Tensor]:
    """Normalised images, (B, C, H, W) each."""
    for images in parts:
        size = max(1, min(BATCH, VALUES // max(1, images.pixels[0].numel())))
        for index in torch.arange(len(images)).split(size):
            yield images.normalised(index)


def remembered(given: Iterator[Tensor], remember: Callable[[Tensor], None]) -> Iterator[Tensor]:
    """Pass batches on, telling someone what they were."""
    for x in given:
        remember(x.clone())  # a network may work in place
        yield x


def measured(columns: Columns) -> tuple[CloudId, float]:
    """TwoNN and the number of principal components at one place; NaN components if refused."""
    if columns.reason:
        return refused(columns.n, columns.reason), float("nan")
    sums = gram(columns.chunks(), columns.n)
    components, _ = linear_dimension(sums.products)
    found = dimension(sums.squared, seed=BLOCKS_SEED)
    return found, float(components) if components else float("nan")
