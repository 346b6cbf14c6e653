"""Which jobs children do, whether they have room, and what they find in memory when they begin.

Jobs of nulls are done aside wherever there may be children: a second thread hardly helps a small
network. Networks of the model's kind, which the transfer curves train, gain less and take more
memory: they are done aside if there are several for every child, for the last rounds are seldom
full, and all children have room at once. Otherwise one after the other takes all threads.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from audit.baselines import TRIVIAL
from audit.baselines.train import Recipe
from audit.checks.transfer.retrain import bytes_per_image, within_memory
from audit.checks.transfer.run_own import chosen
from audit.checks.transfer.run_split import curve_of, half
from audit.core.sizes import area
from audit.core.workers import free_memory
from audit.evidence.context import JobContext
from audit.evidence.features import groups
from audit.evidence.fit_null import null_of
from audit.jobs.job import BASELINE_KINDS, RETRAINING_KINDS, Job
from audit.jobs.store import Outcome

if TYPE_CHECKING:
    from audit.model.spec import ModelSpec

SEVERAL = 3  # copies for each child; with fewer, all threads end sooner

OURS = 3 * 2**30  # bytes that this process takes meanwhile, for read-outs and distances

ALONE = 2**29  # likewise a child, beside what is counted

BEYOND = 1.5  # of what a step keeps: gradients on their way, and room of the kernels


def worker_kinds(jobs: Sequence[Job], context: JobContext, size: int) -> tuple[str, ...]:
    """Kinds of jobs that children do.

    Args:
        jobs: All that are to be done.
        context: Whose model.
        size: How many children there may be.
    """
    if size < 2:
        return ()
    copies = [job for job in jobs if job.kind in RETRAINING_KINDS]
    if len(copies) < SEVERAL * size or free_memory() < OURS + size * room_for_copies(context):
        return BASELINE_KINDS
    return BASELINE_KINDS + RETRAINING_KINDS


def room_for_copies(context: JobContext) -> float:
    """Bytes of memory that one child needs to train a network of the model's kind."""
    setup, view = context.setup, context.subject.preprocessing
    cuts = [context.cuts[cut.name] for cut in setup.cuts]
    most = max(setup.n_train, setup.transfer.n_train if setup.transfer else 0)
    n = within_memory(cuts, min(setup.profile.transfer_images, most))
    stored = n * bytes_per_image(cuts)
    pixels = 2 * n * view.in_chans * area(view.img_size)  # all, and those that a rate is tried on
    return ALONE + stored + pixels + bytes_learning(context.subject.spec, Recipe(0).batch)


def bytes_learning(spec: "ModelSpec", batch: int) -> float:
    """Bytes that a step of AdamW takes: weights four times, and what waits for the way back.

    Counted on a network without values, for two images and for four; infinite where one cannot be
    made or run.
    """
    try:
        network = spec.outline().train()
        two, four = (bytes_kept(network, spec.input_shape, n) for n in (2, 4))
    except Exception:  # whatever a model raises that cannot run without values
        return math.inf
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    return 4 * weights + BEYOND * (two + (batch - 2) * (four - two) / 2)


def bytes_kept(network: nn.Module, shape: tuple[int, int, int], n: int) -> int:
    """Bytes that a forward pass of `n` images keeps for the way back, beside the weights."""
    own = {value.untyped_storage()._cdata for value in network.state_dict().values()}
    kept: dict[int, tuple[int, Tensor]] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes(), value  # held, so that no other takes its place
        return value

    with saved_tensors_hooks(keep, lambda value: value), torch.random.fork_rng(devices=[]):
        network(torch.zeros(n, *shape, device="meta"))
    return sum(size for size, _ in kept.values())


def prepare(job: Job, context: JobContext, results: Mapping[str, Outcome]) -> None:
    """Bring into memory what children of this process would else bring there one by one."""
    if job.kind == "transfer":
        index = chosen(job, context)
        if context.fits(len(index)):
            context.retraining_images(index)
        context.keep_evaluation()
    elif job.kind in RETRAINING_KINDS:
        side = str(job.params.get("side", "b"))
        own = half(job, context, side)
        if context.fits(min(job.whole("images"), len(own.positions(context, "train")))):
            curve_of(job, context, results, side)
        if job.kind == "split_base" and own.of in context.others:
            groups(context, own.of, "eval", own.positions(context, "eval"))
    else:
        null = null_of(job, context)
        if null.kind in TRIVIAL:
            import sklearn.linear_model  # noqa: F401
        context.pixels("eval" if job.kind == "null_outputs" else "train", null.side)
