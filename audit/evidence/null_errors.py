"""Errors of the subject and the nulls on the evaluation images, read from a case.

Several checks need the same things: the errors of each null over its seeds, whether the null was
trained well enough to be believed, and the pairs that the verdict rests on.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audit import baselines
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case, NotMeasured
from audit.evidence.outcomes import ChosenNetwork, TrainedLinear, TrainedNetwork
from audit.evidence.setup import Null, Setup
from audit.jobs.job import Job
from audit.jobs.values import Status
from audit.record import title_of
from audit.stats.adequacy import Adequacy, adequacy, nesting_violations
from audit.stats.intervals import paired_difference
from audit.stats.paired import NullTraining, Pair, missing_pair, pair, pooled_seed_variance

STARVED = 1.6  # standard errors by which a closed form of the same patches may be better
UNLIKE = 0.05  # accuracy that a null may lose from held-out training images to evaluation images
Errors = NDArray[np.float64]


def seeds(setup: Setup, null: Null) -> range:
    """Seeds of a null: those of the profile, or one where nothing is random."""
    return range(setup.profile.seeds if null.trained or null.kind == "stack" else 1)


def needs(setup: Setup) -> tuple[Job, ...]:
    """The predictions of all models on the evaluation images."""
    jobs = [requests.subject_outputs(setup)]
    for null in setup.nulls:
        jobs += [requests.null_outputs(setup, null, s) for s in seeds(setup, null)]
    return tuple(jobs)


@dataclass(frozen=True)
class Ladder:
    """What is known of all nulls of a case.

    Attributes:
        case: Where it was read.
        errors: (S, n) by the null's name; nulls that could not be run are absent.
        broken: Reasons by name, for nulls that were not trained properly or are missing.
        adequacy: By name, for trained nulls.
        seed_variance: Variance over seeds of a trained null's mean error.
    """

    case: Case
    errors: dict[str, Errors]
    unusable: dict[str, str]
    seed_variance: float
    adequacy: dict[str, Adequacy] = field(default_factory=dict)

    @property
    def trained(self) -> int:
        """How many trained nulls the seed variance was pooled over."""
        return sum(null.trained and null.name in self.errors for null in self.case.setup.nulls)

    def allowance(self, null: Null) -> float:
        """U: what more training might have added; the stack takes its worst member's."""
        if null.kind == "stack":
            members = [
                np.inf if n.name in self.unusable else self.adequacy[n.name].allowance
                for n in self.case.setup.nulls
                if n.trained and n.claim and n.name in self.adequacy
            ]
            return max(members, default=0.0)
        return self.adequacy[null.name].allowance if null.trained else 0.0

    def pair(self, null: Null, subject: Errors, weights: NDArray[np.float64] | None = None) -> Pair:
        """The subject's (or a twin's) errors against a null's."""
        if null.name not in self.errors:
            return missing_pair(null.name, claim=null.claim, note=self.unusable[null.name])
        fitted = null.trained or null.kind == "stack"
        return pair(
            null.name,
            subject,
            self.errors[null.name],
            self.case.groups,
            claim=null.claim,
            training=NullTraining(
                allowance=self.allowance(null),
                seed_variance=self.seed_variance if fitted else 0.0,
                pooled_over=max(self.trained, 1),
                failed=null.name in self.unusable,
                note=self.unusable.get(null.name, ""),
            ),
            weights=weights,
        )


def read_ladder(case: Case) -> Ladder:
    """Read all nulls of a case; nothing raises, what is missing is in `broken`."""
    errors: dict[str, Errors] = {}
    unusable: dict[str, str] = {}
    for null in case.setup.nulls:
        try:
            errors[null.name] = null_errors(case, null)
            reason = status(case, null)
            if refuted(case, null):  # it may see too much, so it is no witness for anything
                del errors[null.name]
        except NotMeasured as missing:
            reason = str(missing)
        if reason:
            unusable[null.name] = reason
    trained = [errors[n.name] for n in case.setup.nulls if n.trained and n.name in errors]
    seed_variance = pooled_seed_variance(trained)
    known = {
        n.name: measured_adequacy(case, n, seed_variance) for n in case.setup.nulls if n.trained
    }
    for seeded, spread in ((False, 0.0), (True, seed_variance)):
        order = nesting(case.setup, trained=seeded)
        for violation in nesting_violations(order, errors, case.groups, seed_variance=spread):
            unusable.setdefault(
                violation.upper,
                f"it is {100 * violation.difference:.1f} points worse than the blinder "
                f"{title_of(violation.lower)}: it was not trained properly",
            )
    for null in case.setup.nulls:
        if null.trained and null.name in errors:
            reason = (
                fitted_on_other_data(case, null, errors[null.name], seed_variance)
                or learned_nothing(case, null, errors, seed_variance)
                or below_floor(case, null, known[null.name].allowance)
            )
            if reason:
                unusable.setdefault(null.name, reason)
    return Ladder(case, errors, unusable, seed_variance, known)


def fitted_on_other_data(case: Case, null: Null, errors: Errors, seed_variance: float) -> str:
    """Whether a null does far worse here than on held-out training images: not the same data.

    So it is with a folder of nulls that was fitted on other data, and after a refit that failed.
    Noise in the training labels lowers the held-out accuracy, and does no harm.

    Returns:
        Why, or nothing. By more than 5 points and the 95 % interval; also where the accuracy on
        held-out training images is not known, so that a null is not believed unchecked.
    """
    try:
        outcome = case.result(requests.choose(case.setup, null))
    except NotMeasured as missing:
        return f"its accuracy on held-out training images is not known: {missing}"
    held, n = outcome.read(ChosenNetwork).curve[-1].accuracy, len(outcome.arrays["heldout"])
    here = 1 - float(errors.mean())
    _, _, high = paired_difference(
        errors, np.zeros_like(errors), case.groups, extra_variance=seed_variance
    )
    half = high - float(errors.mean())  # of the accuracy here
    spread = np.hypot(half, 1.96 * np.sqrt(held * (1 - held) / max(n, 1)))
    if not held - here - spread > UNLIKE:  # nothing is shown, either, where it is NaN
        return ""
    return (
        f"it is right on {100 * held:.0f} % of held-out training images, but on {100 * here:.0f} % "
        "here: it was fitted on other data than these evaluation images, or its fit failed"
    )


def learned_nothing(case: Case, null: Null, errors: dict[str, Errors], seed_variance: float) -> str:
    """Whether training is not shown to have taught a null anything: its curve is flat too early.

    A null may learn nothing because nothing local is there to be learned. Then its sighted twin,
    with the same recipe and budget, learns; if neither is better than the best trivial rung, nor
    leaves out half of the prior's errors, the budget may just have been too small for either.

    Returns:
        Why, or nothing.
    """
    rungs = [n for n in case.setup.nulls if baselines.is_linear(n.kind) and n.name in errors]
    twins = [n for n in case.setup.nulls if n.kind == "sighted" and n.name in errors]
    if not null.claim or not rungs:
        return ""  # a missing rung lets nothing pass by itself
    best = min(rungs, key=lambda n: float(errors[n.name].mean()))
    for one in (null, *twins):
        own = errors[one.name]
        if 2 * own.mean() <= errors.get("prior", np.zeros(1)).mean():
            return ""  # the trivial rung may leave nothing to be better at
        extra = seed_variance / len(own)
        _, low, _ = paired_difference(errors[best.name], own, case.groups, extra_variance=extra)
        if low > 0:
            return ""
    others = "".join(
        f", nor {twin.title}, which sees all by the same recipe" for twin in twins[-1:]
    )
    return (
        f"it is no better than {best.title}{others}: its training is not shown to have taught it "
        "anything"
    )


FLOORS = {"bagnet": "patches", "coordconv": "cells"}  # closed forms of the same patches, by kind


def below_floor(case: Case, null: Null, allowance: float) -> str:
    """Whether a closed form of the same patches does clearly better than a trained null.

    Both are asked about the held-out training images. Then a better local function exists than the
    one that training found, whatever its learning curve looks like.

    Args:
        case: The evidence.
        null: A trained null.
        allowance: What more training might add to it.

    Returns:
        Why it is not to be trusted, or nothing.
    """
    same = (n for n in case.setup.nulls if (n.q, n.scale) == (null.q, null.scale))
    floor = next((n for n in same if n.kind == FLOORS.get(null.kind)), None)
    if floor is None:
        return ""
    try:
        found = [case.result(requests.choose(case.setup, n)).arrays for n in (null, floor)]
        labels = case.result(requests.train_facts(case.setup)).arrays["labels"]
    except NotMeasured:
        return ""  # what is missing lets nothing pass by itself
    if not np.array_equal(found[0]["heldout"], found[1]["heldout"]):
        return ""
    truth = labels[found[0]["heldout"]]
    right, better = (f["heldout_logits"].argmax(axis=1) == truth for f in found)
    lead = better.astype(float) - right
    error = float(lead.std()) / max(len(lead), 1) ** 0.5
    if not float(lead.mean()) - allowance > STARVED * error:
        return ""
    return (
        f"it is right on {100 * right.mean():.0f} % of held-out training images, and "
        f"{floor.title}, solved in closed form, on {100 * better.mean():.0f} %: its training fell "
        "short of what the same patches show"
    )


def null_errors(case: Case, null: Null) -> Errors:
    """(S, n), one row a seed.

    Raises:
        NotMeasured: If a seed is missing.
    """
    rows = []
    for seed in seeds(case.setup, null):
        job = requests.null_outputs(case.setup, null, seed)
        rows.append(case.errors(job))
    return np.stack(rows)


def status(case: Case, null: Null) -> str:
    """Why a null that gave predictions is not to be trusted; empty if it is."""
    jobs = (
        [requests.stack(case.setup, s) for s in seeds(case.setup, null)]
        if null.kind == "stack"
        else [requests.fit(case.setup, null, s) for s in seeds(case.setup, null)]
    )
    for job in jobs:
        values = case.values(job, Status)
        if values.status != "ok":
            return values.reason
    return ""


def refuted(case: Case, null: Null) -> bool:
    """Whether a proof that a null is as blind as it claims did not hold."""
    if null.kind == "stack":
        members = (n for n in case.setup.nulls if n.claim and n.kind != "stack")
        return any(refuted(case, n) for n in members)
    for seed in seeds(case.setup, null):
        try:
            values = case.result(requests.fit(case.setup, null, seed)).values
        except NotMeasured:
            continue  # what is missing is said elsewhere
        proofs = values.proofs if isinstance(values, (TrainedNetwork, TrainedLinear)) else {}
        if not all(proof.holds for proof in proofs.values()):
            return True
    return False


def measured_adequacy(case: Case, null: Null, seed_variance: float) -> Adequacy:
    """Adequacy of a trained null, from its rehearsals on held-out training images."""
    try:
        outcome = case.result(requests.choose(case.setup, null))
    except NotMeasured:
        return adequacy(np.nan, np.nan, np.nan, np.nan, 0, seed_variance, 1)
    chosen, n = outcome.read(ChosenNetwork), len(outcome.arrays["heldout"])
    quarter, half, full = (point.accuracy for point in chosen.curve[-3:])
    return adequacy(quarter, half, full, chosen.discordance, n, seed_variance, chosen.rehearsals)


def nesting(setup: Setup, *, trained: bool) -> list[tuple[str, str]]:
    """(blinder, less blind): BagNet-q <= larger q <= sighted twin, and so on.

    Args:
        setup: Whose nulls.
        trained: Whether the less blind one is a network with seeds, or a linear model.
    """
    order = []
    for null in setup.nulls:
        known = baselines.null_kind(null.kind)
        if known is None or null.trained != trained:
            continue
        for kind in known.contains:
            order += [(low, null.name) for low in blinder(setup, null, kind)]
    return order


def blinder(setup: Setup, null: Null, kind: str) -> list[str]:
    """Names of the nulls of a kind that a null can do at least as well as."""
    same = [n for n in setup.nulls if n.kind == kind and n.name != null.name]
    if kind == null.kind:
        smaller = [n for n in same if (n.q or 0) < (null.q or 0)]
        return [max(smaller, key=lambda n: n.q or 0).name] if smaller else []
    return [n.name for n in same if n.q in (None, null.q)]


def stacked(case: Case, null: Null, *, relocated: bool) -> Errors:
    """(S, n) errors of a trained null on relocated images.

    Raises:
        NotMeasured: If a seed is missing.
    """
    return np.stack(
        [
            case.errors(requests.null_outputs(case.setup, null, seed, relocated=relocated))
            for seed in seeds(case.setup, null)
        ]
    )
