"""Label order: do the outputs stand for the classes that they are taken for?

What it measures:
    The accuracy that the model would have if its outputs stood in another order. The best order
    is found on one half of the evaluation images (the assignment that makes most of them right)
    and scored on the other, and the reverse; near duplicates stay in one half. It is claimed only
    if the lower end of that accuracy's interval exceeds, by more than a point, the upper end of
    the accuracy as it stands and the best of 199 trials with shuffled labels (one image of each
    group of near duplicates, fixed seed).

Why it matters:
    A list of classes that was sorted otherwise when the model was trained ("10" behind "9",
    capitals first, numbers from 1) makes a good model look like a guessing one. All other numbers
    are then about the wrong question, which is why the limit gates: neither a pass nor a fail of
    such an audit means anything.

How it can mislead:
    - With few images a class a wrong order cannot be shown. "Not shown" is not "right".
    - A model that really mistakes two classes for one another more often than not looks the same.
    - Outputs that are never the largest are not assigned to any class.

References:
    Kuhn (1955), Naval Research Logistics 2:83, doi:10.1002/nav.3800020109 (assignment)
    Phipson & Smyth (2010), arXiv:1603.05766 (p-values of permutation tests)
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.setup import Setup
from audit.jobs.job import Job
from audit.jobs.kind import Kind
from audit.record import About, Finding, Measurement, Quantity, by_quantity, exactly
from audit.reports.document import Cell, Picture, Section
from audit.reports.text import interval, number
from audit.stats.intervals import paired_difference, proportion_interval

NAME = "labels"
SHUFFLES = 199  # p = 1 / 200 where none of them reaches as much
CLEAR = 0.01  # one point beyond what else could explain it
SHOWN = 20  # moved outputs that are named; the rest is counted
Integers = NDArray[np.int64]
KINDS: dict[str, Kind] = {}
NAMES = {
    "accuracy_permuted": About("accuracy with the outputs in the order that fits best"),
    "permutation_claimed": About("1 if another order of the outputs was shown to fit, else 0"),
    "moved.<class>": About("share of the images called <class> that are of another one"),
}
LIMITS = """
  # The order of the outputs: 1 if another one was shown to fit the classes, else 0. A wrong order
  # makes all other numbers meaningless, so it gates.
  label_order:
    measure: "labels.permutation_claimed"
    at_most: 0
    severity: gate
    optional: true
    statement: "no other order of the outputs is shown to fit the classes better"
"""
LEFT_OUT: dict[str, str] = {}


def needs(setup: Setup) -> tuple[Job, ...]:
    """The model's predictions."""
    return (requests.facts(setup), requests.subject_outputs(setup))


def measure(case: Case) -> list[Measurement]:
    """Accuracy in the best order, whether that order is claimed, and which outputs it moves."""
    from audit.kernels.assignment import cross_fitted

    logits = case.rows(case.result(requests.subject_outputs(case.setup)).arrays["logits"])
    predicted, classes = logits.argmax(axis=1), len(case.setup.classes)
    halves = split(case.labels, case.groups, case.setup.seed)
    found = share(cross_fitted(predicted, case.labels, halves, classes), case.groups)
    stands = share(predicted == case.labels, case.groups)
    shuffled = float("nan")
    if found[1] > stands[2] + CLEAR:
        shuffled = best_shuffled(predicted, case.labels, case.groups, halves, case.setup)
    claimed = found[1] > max(stands[2], shuffled) + CLEAR if shuffled == shuffled else False
    n = len(case.labels)
    note = (
        f"of the images are right with the outputs in the best order, "
        f"{number(stands[0], 'fraction')} as they stand"
    )
    measured = [
        Measurement(
            check=NAME,
            quantity="accuracy_permuted",
            value=found[0],
            unit="fraction",
            low=found[1],
            high=found[2],
            n=n,
            note=note,
            detail={"as_is": stands[0], "as_is_low": stands[1], "as_is_high": stands[2]}
            | {"shuffled": shuffled, "classes": classes},
        ),
        exactly(
            Quantity(check=NAME, quantity="permutation_claimed"),
            float(claimed),
            n,
            f"{number(found[0], 'fraction')} {note}; --class-map gives the order"
            if claimed
            else "1 if another order of the outputs explains the predictions, 0 if none was shown "
            "to; a count has no interval",
        ),
    ]
    return measured + (moved(case, predicted) if claimed else [])


def split(labels: Integers, groups: Integers, seed: int) -> NDArray[np.bool_]:
    """Halves of the images at random, every class divided evenly, groups whole: (n,)."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    chance = np.random.default_rng(seed).random(len(first))
    order = np.lexsort((chance, labels[first]))
    half = np.zeros(len(first), dtype=bool)
    half[order[::2]] = True
    return np.asarray(half[group])


def share(right: NDArray[np.bool_], groups: Integers) -> tuple[float, float, float]:
    """A share of the images with its interval, near duplicates counted once."""
    values = right.astype(np.float64)
    mean, low, high = paired_difference(values, np.zeros_like(values), groups)
    least, most = proportion_interval(values.sum(), len(values))
    return mean, max(0.0, min(low, least)), min(1.0, max(high, most))


def best_shuffled(
    predicted: Integers, labels: Integers, groups: Integers, halves: NDArray[np.bool_], setup: Setup
) -> float:
    """The largest share right in the best order that any trial with shuffled labels reaches."""
    from audit.kernels.assignment import cross_fitted

    first = np.unique(groups, return_index=True)[1]
    predicted, labels, halves = predicted[first], labels[first], halves[first]
    rng, classes = np.random.default_rng(setup.seed), len(setup.classes)
    trials = (
        cross_fitted(predicted, rng.permutation(labels), halves, classes).mean()
        for _ in range(SHUFFLES)
    )
    return float(max(trials))


def moved(case: Case, predicted: Integers) -> list[Measurement]:
    """The outputs that stand for another class in the best order, found on all images."""
    from audit.kernels.assignment import best_permutation

    names, order = case.setup.classes, case.setup.order
    found = []
    best = best_permutation(predicted, case.labels, len(names))
    for taken, meant in enumerate(best.tolist()):
        member = predicted == taken
        n, hits = int(member.sum()), int((case.labels[member] == meant).sum())
        if taken == meant or not hits:
            continue
        low, high = proportion_interval(hits, n)
        found.append(
            Measurement(
                check=NAME,
                quantity="moved",
                of=names[taken],
                value=hits / n,
                unit="fraction",
                low=low,
                high=high,
                n=n,
                note=names[meant],
                detail={"output": float(order[taken] if order else taken)},
            )
        )
    return sorted(found, key=lambda m: m.detail["output"])


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the order of the outputs into words; see `audit.checks.Check`."""
    found = by_quantity(measurements, NAME)
    best, claimed = (found.get((q, "")) for q in ("accuracy_permuted", "permutation_claimed"))
    wrong = [m for m in measurements if m.quantity == "moved"]
    return Section(
        name=NAME,
        title="Do the outputs stand for the classes they are taken for?",
        verdict=None,
        summary=summary(best, claimed, wrong),
        rows=rows(best, wrong),
        pictures=tuple(pictures),
        caveats=(
            "With few images a class a wrong order cannot be shown: 'not shown' is not 'right'.",
            "A model that really mistakes two classes for one another looks the same.",
        ),
        references=("Kuhn (1955), Naval Research Logistics 2:83, doi:10.1002/nav.3800020109",),
    )


def summary(
    best: Measurement | None, claimed: Measurement | None, wrong: Sequence[Measurement]
) -> str:
    """One or two sentences."""
    if best is None or claimed is None:
        return "The order of the outputs could not be examined."
    in_order = f"{number(best.value, 'fraction')} ({interval(best.low, best.high, 'fraction')})"
    stands = number(best.detail["as_is"], "fraction")
    if not claimed.value:
        return (
            f"No other order of the outputs is shown to fit better: the best one is right on "
            f"{in_order} of the images that it was not chosen on, the order as it stands on "
            f"{stands}."
        )
    some = ", ".join(f"{m.of} is {m.note}" for m in wrong[:3])
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return (
        f"The outputs stand in another order than the classes of the data: {some}{more}. In that "
        f"order the model is right on {in_order} of the images, as it stands on {stands}; shuffled "
        f"labels reach {number(best.detail['shuffled'], 'fraction')} at most. All other numbers of "
        "this report are about the wrong order: give the right one with --class-map."
    )


def rows(best: Measurement | None, wrong: Sequence[Measurement]) -> tuple[dict[str, Cell], ...]:
    """The accuracies, then the moved outputs, at most 20 of them."""
    found: list[dict[str, Cell]] = []
    if best is not None:
        d = best.detail
        span = interval(d["as_is_low"], d["as_is_high"], "fraction")
        found = [
            line("accuracy as it stands", number(d["as_is"], "fraction"), span, best.n),
            line(
                "accuracy in the best order, chosen on other images",
                number(best.value, "fraction"),
                interval(best.low, best.high, "fraction"),
                best.n,
            ),
        ]
    for m in wrong[:SHOWN]:
        what = f"output {m.detail['output']:.0f}, taken for {m.of}, is {m.note} on"
        span = interval(m.low, m.high, m.unit)
        found.append(line(what, f"{number(m.value, m.unit)} of its images", span, m.n))
    if len(wrong) > SHOWN:
        found.append(line("outputs moved beside these", str(len(wrong) - SHOWN), "", 0))
    return tuple(found)


def line(what: str, value: str, span: str, n: int) -> dict[str, Cell]:
    """One row of the table."""
    return {"what": what, "value": value, "95 % interval": span, "n": n}
