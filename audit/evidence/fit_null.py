"""Executor that trains nulls on all training images, with the recipe that was chosen for them.

A null that sees fewer images flatters the subject, so nothing is held out here. Every trained null
proves its blindness. The evaluation images are never touched.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from audit import baselines
from audit.baselines.device import PROCESSOR
from audit.baselines.images import Images
from audit.baselines.patch_net import TORUS, PatchNet, PatchSampling, covered, width_and_depth
from audit.baselines.receptive_field import prove_local, prove_position_blind
from audit.baselines.train import Diverged, Recipe, accuracy, train
from audit.baselines.trivial import Linear, fit_linear
from audit.evidence.context import JobContext
from audit.evidence.outcomes import (
    ChosenLinear,
    ChosenNetwork,
    NotTrained,
    ProofValues,
    SolvedRidge,
    TrainedLinear,
    TrainedNetwork,
)
from audit.evidence.setup import Null
from audit.jobs.job import Job, Tick, counter
from audit.jobs.store import Outcome
from audit.jobs.values import Failed

FULL_SIDE = 64  # pixels: beyond it networks become no deeper, for only windows of it are learned


def null_of(job: Job, context: JobContext) -> Null:
    """The null that a job is about."""
    return next(n for n in context.setup.nulls if n.name == job.params["null"])


def build(null: Null, context: JobContext, seed: int) -> PatchNet:
    """A fresh network with weights drawn by `seed`, leaving the global generator alone."""
    size = context.setup.null_size(null)
    width, blocks = width_and_depth(context.setup.n_train, min(*size, FULL_SIDE))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PatchNet(
            null.kind,  # type: ignore[arg-type]
            q=null.q or 0,
            num_classes=len(context.setup.classes),
            in_chans=context.setup.channels,
            width=width,
            blocks=blocks,
        )


def fit(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Train a null on all training images with the chosen recipe, and prove its blindness.

    Returns:
        Values: status, proofs, parameters, training accuracy, speed. Arrays: the weights.
    """
    null, outcome = null_of(job, context), results[job.after[0].key]
    if isinstance(outcome.values, Failed):
        return Outcome(outcome.values)
    if baselines.is_ridge(null.kind):
        solved = results[job.after[1].key].read(SolvedRidge)
        return Outcome(
            TrainedLinear(
                status=solved.status,
                reason=solved.reason,
                strength=solved.readings[null.kind].strength,
                proofs=solved.proofs,
            )
        )
    if baselines.is_linear(null.kind):
        return fit_trivial(null, context, outcome.read(ChosenLinear))
    chosen, seed = outcome.read(ChosenNetwork), job.whole("seed")
    images, recipe = context.images("train", null), Recipe(**chosen.recipe.model_dump())
    count = counter(recipe.images_seen, tick)
    network, keeper = (
        context.placed(build(null, context, seed)),
        context.resume_state.part(recipe, seed),
    )
    try:
        train(network, images, recipe, seed=seed, progress=count, keeper=keeper)
    except Diverged:
        return Outcome(NotTrained(reason="its training diverged"))
    network.to(PROCESSOR)
    network.sampling(PatchSampling(*chosen.vote))
    seconds = context.resume_state.seconds()
    proofs = prove(network, null, images)
    broken = [name for name, proof in proofs.items() if not proof.holds]
    sample = images.subset(torch.arange(0, len(images), max(1, len(images) // 2000)))
    sees = f"it is not as blind as it claims ({', '.join(broken)})"
    values = TrainedNetwork(
        status="failed" if broken else chosen.status,
        reason=sees if broken else chosen.reason,
        proofs=proofs,
        parameters=sum(p.numel() for p in network.parameters()),
        vote=network.vote,
        train_accuracy=accuracy(network, sample),
        images_per_second=recipe.images_seen / seconds,
        seconds=seconds,
        device=str(context.device),
    )
    weights = {name: tensor.contiguous().numpy() for name, tensor in network.state_dict().items()}
    return Outcome(values, weights)


def prove(network: PatchNet, null: Null, images: Images) -> dict[str, ProofValues]:
    """The proofs that a kind of null owes."""
    if null.kind == "sighted":
        return {}
    torus = null.kind in TORUS
    sample = images.normalised(torch.arange(4))
    q, apart = null.q or 0, network.vote.spacing
    found = {"receptive_field": prove_local(network, sample, q=q, stride=apart, torus=torus)}
    if null.kind == "circular":
        whole = covered(sample, torus=True)  # rolling needs a side that the stride divides
        found["position_blind"] = prove_position_blind(network, whole, stride=apart)
    return {name: ProofValues(**dataclasses.asdict(proof)) for name, proof in found.items()}


def fit_trivial(null: Null, context: JobContext, chosen: ChosenLinear) -> Outcome:
    """Refit a trivial rung on all training images."""
    labels, classes = context.split("train").labels, len(context.setup.classes)
    features = features_of(null, context, "train")
    model = fit_linear(features, labels, classes, chosen.strength)
    arrays = {k: v for k, v in dataclasses.asdict(model).items() if isinstance(v, np.ndarray)}
    return Outcome(TrainedLinear(status="ok", strength=model.strength, proofs={}), arrays)


def features_of(null: Null, context: JobContext, split: str) -> NDArray[np.float32]:
    """What a linear null reads of the images of a split: (N, D)."""
    known = baselines.null_kind(null.kind)
    assert known is not None, "only kinds of the table are asked for"
    assert known.features is not None, "only linear nulls have features"
    return known.features()(context.pixels(split, null.scale))


def restore(job: Job, outcome: Outcome, context: JobContext) -> "Linear | PatchNet":
    """The model that a `fit` job trained."""
    null = null_of(job, context)
    if baselines.is_linear(null.kind):
        return Linear(**outcome.arrays, strength=outcome.read(TrainedLinear).strength)
    network = build(null, context, 0)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in outcome.arrays.items()})
    network.sampling(PatchSampling(*outcome.read(TrainedNetwork).vote))
    return network.eval().to(memory_format=torch.channels_last)


def prepare(job: Job, context: JobContext, results: Mapping[str, Outcome]) -> None:
    """Decode the images that nulls learn from or are judged by."""
    null = null_of(job, context)
    if baselines.is_linear(null.kind):
        import sklearn.linear_model  # noqa: F401
    if baselines.is_ridge(null.kind) and not job.kind.startswith("ridge"):
        return  # it only reads what was solved
    context.pixels("eval" if job.kind.endswith("outputs") else "train", null.scale)
