"""Executor that chooses a null's recipe on held-out training images, and rehearses it.

Rates, training on crops first, and mirror images are tried at an eighth of the budget. After few
images regularisation always loses, so more weight decay and augmentation are tried at the whole
budget, where it overfits. The chosen recipe is rehearsed without the held-out images by as many
networks as the audit has seeds, each finished at a quarter, half and the whole budget: their
accuracies say whether the budget is adequate, and which patches should vote. If it is not, it is
doubled. If a rehearsal diverges, all of them are done once more at a tenth of the
rate, which must then reach what any network of this null had reached. The evaluation images are
never touched here.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from audit import baselines
from audit.baselines.images import Images
from audit.baselines.patch_net import TORUS
from audit.baselines.train import Branches, Diverged, Recipe, accuracy, train
from audit.baselines.trivial import choose_strength
from audit.data.splits import heldout_indices
from audit.evidence.context import JobContext
from audit.evidence.fit_null import build, features_of, null_of
from audit.evidence.outcomes import (
    ChosenLinear,
    ChosenNetwork,
    NotTrained,
    RecipeTrial,
    RecipeValues,
    SolvedRidge,
)
from audit.evidence.recipes import AUGMENTED, crop_side, made, milder, search_grid, trial
from audit.evidence.rehearsals import Rehearsals, patch_sampling
from audit.evidence.setup import Null
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome

START = Recipe(images_seen=0, weight_decay=0.01, optimizer="muon")
TRIAL = 0.125  # share of the budget that a trial of a rate gets
BRANCHES = (0.25, 0.5)
REHEARSAL = 1.4  # budgets that a rehearsal costs, with its branches
OVERFIT = 0.1  # by which training accuracy must exceed held-out accuracy to regularise more
EDGE = "its best learning rate lies at the edge of those tried"
DIVERGED = "its training diverged"


def choose(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Choose a null's recipe on held-out training images, and rehearse it.

    Returns:
        Values: the recipe, trials, curve, status and reason, and the rate at which it diverged, if
        it did, before a tenth of that was taken. Arrays: `heldout` (m,) positions in
        the training split, `heldout_logits` (m, K) of the first network that has not seen them.
    """
    null = null_of(job, context)
    groups = results[job.after[0].key].arrays["train_groups"]
    labels = context.split("train").labels
    if baselines.is_ridge(null.kind):
        return chosen_ridge(null.kind, results[job.after[1].key], labels)
    fit_index, held = heldout_indices(labels, groups, job.whole("seed"))
    if baselines.is_linear(null.kind):
        return choose_trivial(null, context, fit_index, held)
    images = context.images("train", null)
    fit, heldout = (images.subset(torch.from_numpy(i)) for i in (fit_index, held))
    outcome = choose_network(RecipeSearch(null, context, fit, heldout, tick), job)
    outcome.arrays["heldout"] = held
    return outcome


def chosen_ridge(kind: str, solved: Outcome, labels: NDArray[np.int64]) -> Outcome:
    """What leave-one-out chose of a closed form, and its answers on the held-out images."""
    held, logits = solved.arrays["heldout"], solved.arrays[f"{kind}_heldout"]
    reached = float((logits.argmax(axis=1) == labels[held]).mean())
    strength = solved.read(SolvedRidge).readings[kind].strength
    return Outcome(
        ChosenLinear(status="ok", strength=strength, heldout_accuracy=reached),
        {"heldout": held, "heldout_logits": logits},
    )


def choose_trivial(
    null: Null, context: JobContext, fit_index: NDArray[np.int64], held: NDArray[np.int64]
) -> Outcome:
    """Choose the regularisation of a trivial rung."""
    labels, classes = context.split("train").labels, len(context.setup.classes)
    all_features = features_of(null, context, "train")
    fit, features = all_features[fit_index], all_features[held]
    model, _ = choose_strength((fit, labels[fit_index]), (features, labels[held]), classes)
    logits = model.log_probabilities(features)
    reached = float((logits.argmax(axis=1) == labels[held]).mean())
    return Outcome(
        ChosenLinear(status="ok", strength=model.strength, heldout_accuracy=reached),
        {"heldout": held, "heldout_logits": logits.astype(np.float32)},
    )


@dataclass
class RecipeSearch:
    """Where trials and rehearsals of one null are trained.

    Attributes:
        null: Which.
        context: Data.
        fit: Images to train on.
        heldout: Images that choose.
        tick: Told the share that is done.
        expected: Training images that all trials together are expected to see.
        seen: Training images seen so far.
        runs: Trainings begun so far.
        best: The highest accuracy on the held-out images of any network so far.
    """

    null: Null
    context: JobContext
    fit: Images
    heldout: Images
    tick: Tick
    expected: float = 1.0
    seen: float = 0.0
    runs: int = 0
    best: float = 0.0

    def run(self, recipe: Recipe, seed: int, branches: Branches | None = None) -> nn.Module:
        """Train a fresh network, of which patches `STRIDE` apart vote."""
        self.runs += 1
        shares = branches.shares if branches else None
        keeper = self.context.resume_state.part(self.runs, recipe, seed, shares)
        network = self.context.placed(build(self.null, self.context, seed))
        return train(
            network,
            self.fit,
            recipe,
            seed=seed,
            branches=branches,
            progress=self.count,
            keeper=keeper,
        )

    def note(self, reached: float) -> float:
        """Remember the best accuracy."""
        self.best = max(self.best, reached)
        return reached

    def count(self, n: float) -> None:
        """Report progress."""
        self.seen += n
        self.tick(min(1.0, self.seen / self.expected))

    def overfit(self, network: nn.Module, reached: float) -> float:
        """By how much the accuracy on training images exceeds the held-out one."""
        sample = self.fit.subset(torch.arange(0, len(self.fit), max(1, len(self.fit) // 2000)))
        return accuracy(network, sample) - reached


def choose_network(bench: RecipeSearch, job: Job) -> Outcome:
    """Choose the recipe of a trained null, and rehearse it over seeds.

    Returns:
        As `choose`, without the array `heldout`.
    """
    budget, first = job.whole("images_seen"), job.whole("seed")
    seeds = range(first, first + job.whole("rehearsals"))
    rates: list[float] = list(job.params["rates"])  # type: ignore[arg-type]
    bench.expected = budget * (TRIAL * (len(rates) + 2) + REHEARSAL * len(seeds) + 0.1)
    start = dataclasses.replace(START, precision=str(job.params.get("precision", "float32")))
    recipe, trials, edge = choose_early(bench, first, budget, rates, start)
    reason, diverged_at, reached = EDGE if edge else "", 0.0, 0.0
    try:
        try:
            recipe, found = rehearse_all(bench, recipe, seeds, trials, job)
        except Diverged:
            if not bench.best:
                raise  # at every rate: nothing says which tenth to take
            diverged_at, reached = recipe.rate, bench.best
            bench.expected += REHEARSAL * budget * len(seeds)
            recipe = dataclasses.replace(recipe, rate=recipe.rate / 10)
            recipe, found = rehearse_all(bench, recipe, seeds, trials, job)
    except Diverged:
        return Outcome(NotTrained(reason=DIVERGED, trials=tuple(trials)))
    accuracy_reached = found.curve[-1].accuracy
    if accuracy_reached < reached:
        reason = f"{DIVERGED}, and a tenth of its rate learns less than it had before"
    values = ChosenNetwork(
        status="failed" if reason else "ok",
        reason=reason,
        recipe=RecipeValues(**dataclasses.asdict(recipe)),
        trials=tuple(trials),
        diverged_at=diverged_at,
        vote=found.best,
        curve=found.curve,
        rehearsals=len(seeds),
        doublings=round(math.log2(recipe.images_seen / budget)),
        discordance=found.discordance,
        heldout_accuracy=accuracy_reached,
        seconds=bench.context.resume_state.seconds(),
    )
    return Outcome(values, {"heldout_logits": found.logits[max(found.logits)][0].numpy()})


def rehearse_all(
    bench: RecipeSearch,
    recipe: Recipe,
    seeds: Sequence[int],
    trials: list[RecipeTrial],
    job: Job,
) -> tuple[Recipe, Rehearsals]:
    """Rehearse a recipe over seeds, with budgets doubled until they are adequate or too many.

    Raises:
        Diverged: If one of the networks does.
    """
    recipe, found = regularise(bench, recipe, seeds[0], trials)
    for seed in seeds[1:]:
        rehearse(bench, recipe, seed, found)
    largest = recipe.images_seen * 2 ** job.whole("doublings")
    while not found.adequacy.adequate and recipe.images_seen < largest:
        recipe = dataclasses.replace(recipe, images_seen=2 * recipe.images_seen)
        bench.expected += recipe.images_seen * len(seeds)
        for seed in seeds:
            votes = patch_sampling(bench.run(recipe, seed), bench.heldout, recipe)
            bench.note(found.add(recipe.images_seen, votes))
    return recipe, found


def rehearse(
    bench: RecipeSearch, recipe: Recipe, seed: int, found: Rehearsals
) -> tuple[nn.Module, float]:
    """Train at the whole budget with finished branches, and add them to `found`.

    Returns:
        The network and its held-out accuracy.
    """

    def keep(share: float, network: nn.Module) -> None:
        votes = patch_sampling(network, bench.heldout, recipe)
        bench.note(found.add(round(share * recipe.images_seen), votes))

    network = bench.run(recipe, seed, Branches(BRANCHES, keep))
    votes = patch_sampling(network, bench.heldout, recipe)
    return network, bench.note(found.add(recipe.images_seen, votes))


def regularise(
    bench: RecipeSearch, recipe: Recipe, seed: int, trials: list[RecipeTrial]
) -> tuple[Recipe, Rehearsals]:
    """Rehearse a recipe, and where it overfits milder ones; the best on held-out images stays.

    Raises:
        Diverged: If the recipe itself diverges.
    """
    best = recipe, Rehearsals(bench.heldout.labels)
    network, reached = rehearse(bench, recipe, seed, best[1])
    milder_ones = milder(recipe, bench.null) if bench.overfit(network, reached) > OVERFIT else []
    bench.expected += REHEARSAL * recipe.images_seen * len(milder_ones)
    for other in milder_ones:
        found = Rehearsals(bench.heldout.labels)
        try:
            _, score = rehearse(bench, other, seed, found)
        except Diverged:
            score = 0.0
        trials.append(trial(other, score))
        if score > reached:
            best, reached = (other, found), score
    return best


def windows(bench: RecipeSearch) -> dict[str, Any]:
    """The part of the recipe that says whether a network learns from windows of large images.

    On a torus windows reach over the border, as its patches will.
    """
    if not bench.context.setup.learns_from_windows(bench.null):
        return {}
    return {
        "window": baselines.window_side(bench.null.q or 0),
        "wraps": bench.null.kind in TORUS,
    }


def choose_early(
    bench: RecipeSearch, seed: int, budget: int, rates: Sequence[float], start: Recipe = START
) -> tuple[Recipe, list[RecipeTrial], bool]:
    """Try rates at a share of the budget, then the best without crops, then with mirror images.

    Args:
        bench: Where.
        seed: Of every network.
        budget: Training images seen at the full budget.
        rates: To begin with.
        start: The rest of the recipe.

    Returns:
        The recipe at the full budget, all trials, and whether the best rate lies at the edge of
        those tried and beats the next by more than the interval of their difference.
    """
    trials: list[RecipeTrial] = []
    start, crop = dataclasses.replace(start, **windows(bench)), 0
    if not start.window:
        crop = crop_side(bench.null.q or 0, min(bench.fit.size))

    def attempt(rate: float, crop: int = crop, augment: str = "none") -> float:
        recipe = made(start, round(budget * TRIAL), rate, crop, augment)
        try:
            reached = bench.note(accuracy(bench.run(recipe, seed), bench.heldout))
        except Diverged:
            reached = 0.0
        trials.append(trial(recipe, reached))
        return reached

    scores, edge = search_grid(attempt, rates, len(bench.heldout))
    best = max(scores, key=scores.__getitem__)
    reached = attempt(best, 0) if crop else scores[best]
    if crop and reached <= scores[best]:
        reached = scores[best]
    else:
        crop = 0
    mirrored = bench.null.kind in AUGMENTED and attempt(best, crop, "mirror") > reached
    augment = "mirror" if mirrored else "none"
    return made(start, budget, best, crop, augment), trials, edge
