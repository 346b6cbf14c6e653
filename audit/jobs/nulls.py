"""Executors that train nulls: `choose` on held-out images, then `fit` on all of them.

`choose` picks the recipe and rehearses it without the held-out images, at a quarter, half and the
whole budget; the accuracies say whether the budget is adequate. `fit` trains with that recipe on
all training images (a null that sees fewer images flatters the subject) and proves its blindness.
The evaluation images are never touched here.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audit.case import Null
from audit.data import heldout_indices
from audit.jobs.workshop import Tick, Workshop
from audit.stats import Adequacy, adequacy, proportion_interval
from audit.store import Outcome
from audit.work import Job
from baselines import TRIVIAL
from baselines.linear import FEATURES, Linear, choose_strength, fit_linear, fit_prior
from baselines.receptive_field import prove_local, prove_position_blind
from baselines.sibling import STRIDE, TORUS, Sibling, size_rule
from baselines.train import Diverged, Images, Recipe, accuracy, predict, train

TRIAL = 0.125  # share of the budget that a trial of a rate gets
BRANCHES = (0.25, 0.5)
WHILE_TRAINING = 0.004**2  # seed variance assumed when deciding on a larger budget
OVERFIT = 0.1  # by which training accuracy must exceed held-out accuracy to regularise more
AUGMENTED = ("bagnet", "sighted")  # coordinates are of the image as it is: no geometry on a torus
EXTENSIONS = 2  # rates tried beyond the grid while the best lies at its edge


def null_of(job: Job, shop: Workshop) -> Null:
    """The null that a job is about."""
    return next(n for n in shop.setup.nulls if n.name == job.params["null"])


def build(null: Null, shop: Workshop, seed: int) -> Sibling:
    """A fresh network with weights drawn by `seed`, leaving the global generator alone."""
    width, blocks = size_rule(shop.setup.n_train, shop.setup.side)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Sibling(
            null.kind,  # type: ignore[arg-type]
            q=null.q or 0,
            num_classes=len(shop.setup.classes),
            in_chans=shop.setup.channels,
            width=width,
            blocks=blocks,
        )


def choose(job: Job, shop: Workshop, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Choose a null's recipe on held-out training images, and rehearse it.

    Returns:
        Values: the recipe, trials, curve, allowance U, status and reason. Arrays: `heldout` (m,)
        positions in the training split, `heldout_logits` (m, K) of the network that has not seen
        them.
    """
    null = null_of(job, shop)
    groups = results[job.after[0].key].arrays["train_groups"]
    labels = shop.split("train").labels
    fit_index, held = heldout_indices(labels, groups, int(job.params["seed"]))  # type: ignore[arg-type]
    if null.kind in TRIVIAL:
        return choose_trivial(null, shop, fit_index, held)
    return choose_network(job, null, shop, fit_index, held, tick)


def choose_trivial(
    null: Null, shop: Workshop, fit_index: NDArray[np.int64], held: NDArray[np.int64]
) -> Outcome:
    """Choose the regularisation of a trivial rung."""
    labels, classes = shop.split("train").labels, len(shop.setup.classes)
    if null.kind == "prior":
        model, features = fit_prior(labels[fit_index], classes), np.zeros((len(held), 0), "f4")
    else:
        all_features = FEATURES[null.kind](shop.pixels("train", null.side))
        fit, features = all_features[fit_index], all_features[held]
        model, _ = choose_strength((fit, labels[fit_index]), (features, labels[held]), classes)
    logits = model.log_probabilities(features)
    reached = float((logits.argmax(axis=1) == labels[held]).mean())
    return Outcome(
        {"status": "ok", "strength": model.strength, "heldout_accuracy": reached, "allowance": 0.0},
        {"heldout": held, "heldout_logits": logits.astype(np.float32)},
    )


def choose_network(
    job: Job,
    null: Null,
    shop: Workshop,
    fit_index: NDArray[np.int64],
    held: NDArray[np.int64],
    tick: Tick,
) -> Outcome:
    """Choose the rate of a trained null, and rehearse at three budgets.

    After few images regularisation always loses, so more weight decay and augmentation are tried
    where the whole budget overfits, and kept if the held-out accuracy is better.
    """
    started = time.monotonic()
    images = shop.images("train", null)
    fit, heldout = (images.subset(torch.from_numpy(i)) for i in (fit_index, held))
    seed, budget = int(job.params["seed"]), int(job.params["images_seen"])  # type: ignore[arg-type]
    rates: list[float] = list(job.params["rates"])  # type: ignore[arg-type]
    seen = 0

    def count(n: int) -> None:
        nonlocal seen
        seen += n
        tick(seen / (budget * 1.75))

    def run(recipe: Recipe, **branch: Any) -> nn.Module:
        return train(build(null, shop, seed), fit, recipe, seed=seed, progress=count, **branch)

    recipe, trials, edge = choose_rate(run, heldout, budget, rates)
    curve: list[dict[str, float]] = []
    logits: dict[float, Tensor] = {}

    def keep(share: float, network: nn.Module) -> None:
        logits[share] = predict(network, heldout)
        reached = float((logits[share].argmax(1) == heldout.labels).double().mean())
        curve.append({"images_seen": share * recipe.images_seen, "accuracy": reached})

    def rehearse() -> float:
        curve.clear()
        network = run(recipe, branches=BRANCHES, on_branch=keep)
        keep(1.0, network)
        sample = fit.subset(torch.arange(0, len(fit), max(1, len(fit) // 2000)))
        return accuracy(network, sample) - curve[-1]["accuracy"]

    status, reason = "ok", ""
    doublings = 0
    try:
        overfit = rehearse()
        best = recipe, list(curve), dict(logits)
        for other in milder(recipe, null) if overfit > OVERFIT else ():
            recipe = other
            try:
                rehearse()
            except Diverged:
                continue
            trials.append(trial(recipe, curve[-1]["accuracy"]))
            if curve[-1]["accuracy"] > best[1][-1]["accuracy"]:
                best = recipe, list(curve), dict(logits)
        recipe, curve, logits = best
        quality = measure_adequacy(curve, logits, heldout)
        while not quality.adequate and doublings < int(job.params["doublings"]):  # type: ignore[arg-type]
            doublings += 1
            recipe = dataclasses.replace(recipe, images_seen=2 * recipe.images_seen)
            logits[0.5] = logits[1.0]
            keep(1.0, run(recipe))
            quality = measure_adequacy(curve, logits, heldout)
    except Diverged:
        return Outcome({"status": "failed", "reason": "its training diverged", "trials": trials})
    if edge:
        status, reason = "failed", "its best learning rate lies at the edge of those tried"
    return Outcome(
        {
            "status": status,
            "reason": reason,
            "recipe": dataclasses.asdict(recipe),
            "trials": trials,
            "curve": curve,
            "doublings": doublings,
            "discordant": discordant_share(logits, heldout.labels),
            "heldout_accuracy": curve[-1]["accuracy"],
            "seconds": time.monotonic() - started,
        },
        {"heldout": held, "heldout_logits": logits[1.0].numpy()},
    )


def milder(recipe: Recipe, null: Null) -> list[Recipe]:
    """Recipes that overfit less: more weight decay, or augmentation where the null allows it."""
    found = [dataclasses.replace(recipe, weight_decay=10 * recipe.weight_decay)]
    if null.kind in AUGMENTED:
        found.append(dataclasses.replace(recipe, augment="mirror-crop"))
    return found


def trial(recipe: Recipe, reached: float) -> dict[str, Any]:
    """What was tried and what it reached, as plain data."""
    return dataclasses.asdict(recipe) | {"heldout_accuracy": reached}


def choose_rate(
    run: Any, heldout: Images, budget: int, rates: list[float]
) -> tuple[Recipe, list[dict[str, Any]], bool]:
    """Try rates at a share of the budget, without augmentation.

    Returns:
        The recipe at the full budget, all trials, and whether the best rate lies at the edge of
        those tried and beats the next by more than the interval of their difference.
    """
    trials: list[dict[str, Any]] = []

    def attempt(rate: float) -> float:
        recipe = Recipe(images_seen=round(budget * TRIAL), rate=rate)
        try:
            reached = accuracy(run(recipe), heldout)
        except Diverged:
            reached = 0.0
        trials.append(trial(recipe, reached))
        return reached

    scores = {rate: attempt(rate) for rate in rates}
    for _ in range(EXTENSIONS):
        best, grid = max(scores, key=scores.__getitem__), sorted(scores)
        if best not in (grid[0], grid[-1]) or not beats_next(scores, best, len(heldout)):
            break
        beyond = best / 2 if best == grid[0] else best * 2
        scores[beyond] = attempt(beyond)
    best, grid = max(scores, key=scores.__getitem__), sorted(scores)
    edge = best in (grid[0], grid[-1]) and beats_next(scores, best, len(heldout))
    return Recipe(images_seen=budget, rate=best), trials, edge


def beats_next(scores: dict[float, float], best: float, n: int) -> bool:
    """Whether the best rate beats its neighbour by more than their (unpaired) 95 % interval."""
    grid = sorted(scores)
    place = grid.index(best)
    near = grid[1] if place == 0 else grid[place - 1]
    low, _ = proportion_interval(round(scores[best] * n), n)
    _, high = proportion_interval(round(scores[near] * n), n)
    return low > high


def discordant_share(logits: dict[float, Tensor], labels: Tensor) -> float:
    """Share of held-out images that only one of half and whole budget gets right."""
    half, whole = (logits[share].argmax(1) == labels for share in (0.5, 1.0))
    return float((half != whole).double().mean())


def measure_adequacy(
    curve: list[dict[str, float]], logits: dict[float, Tensor], heldout: Images
) -> Adequacy:
    """Adequacy by what is known while training: one run, an assumed spread over seeds."""
    quarter, half, full = [point["accuracy"] for point in curve[-3:]]
    share = discordant_share(logits, heldout.labels)
    return adequacy(quarter, half, full, share, len(heldout), WHILE_TRAINING, 1)


def fit(job: Job, shop: Workshop, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Train a null on all training images with the chosen recipe, and prove its blindness.

    Returns:
        Values: status, proofs, parameters, training accuracy, speed. Arrays: the weights.
    """
    null, chosen = null_of(job, shop), results[job.after[0].key]
    if null.kind in TRIVIAL:
        return fit_trivial(null, shop, chosen)
    if "recipe" not in chosen.values:
        return Outcome(dict(chosen.values))
    started, seed = time.monotonic(), int(job.params["seed"])  # type: ignore[arg-type]
    images, recipe = shop.images("train", null), Recipe(**chosen.values["recipe"])
    seen = 0

    def count(n: int) -> None:
        nonlocal seen
        seen += n
        tick(seen / recipe.images_seen)

    network = build(null, shop, seed)
    try:
        train(network, images, recipe, seed=seed, progress=count)
    except Diverged:
        return Outcome({"status": "failed", "reason": "its training diverged"})
    seconds = time.monotonic() - started
    proofs = prove(network, null, images)
    broken = [name for name, proof in proofs.items() if not proof["holds"]]
    sample = images.subset(torch.arange(0, len(images), max(1, len(images) // 2000)))
    values = {
        "status": "failed" if broken else chosen.values["status"],
        "reason": f"it is not as blind as it claims ({', '.join(broken)})"
        if broken
        else chosen.values["reason"],
        "proofs": proofs,
        "parameters": sum(p.numel() for p in network.parameters()),
        "train_accuracy": accuracy(network, sample),
        "images_per_second": recipe.images_seen / seconds,
        "seconds": seconds,
    }
    weights = {name: tensor.contiguous().numpy() for name, tensor in network.state_dict().items()}
    return Outcome(values, weights)


def prove(network: Sibling, null: Null, images: Images) -> dict[str, dict[str, Any]]:
    """The proofs that a kind of null owes."""
    if null.kind == "sighted":
        return {}
    torus = null.kind in TORUS
    sample = images.normalised(torch.arange(4))
    q = null.q or 0
    found = {"receptive_field": prove_local(network, sample, q=q, stride=STRIDE, torus=torus)}
    if null.kind == "circular":
        found["position_blind"] = prove_position_blind(network, sample, stride=STRIDE)
    return {name: dataclasses.asdict(proof) for name, proof in found.items()}


def fit_trivial(null: Null, shop: Workshop, chosen: Outcome) -> Outcome:
    """Refit a trivial rung on all training images."""
    labels, classes = shop.split("train").labels, len(shop.setup.classes)
    if null.kind == "prior":
        model = fit_prior(labels, classes)
    else:
        features = FEATURES[null.kind](shop.pixels("train", null.side))
        model = fit_linear(features, labels, classes, chosen.values["strength"])
    arrays = {k: v for k, v in dataclasses.asdict(model).items() if isinstance(v, np.ndarray)}
    return Outcome({"status": "ok", "strength": model.strength, "proofs": {}}, arrays)


def restore(job: Job, outcome: Outcome, shop: Workshop) -> "Linear | Sibling":
    """The model that a `fit` job trained."""
    null = null_of(job, shop)
    if null.kind in TRIVIAL:
        return Linear(**outcome.arrays, strength=outcome.values["strength"])
    network = build(null, shop, 0)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in outcome.arrays.items()})
    return network.eval().to(memory_format=torch.channels_last)
