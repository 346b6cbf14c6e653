"""The accuracy gap: what the model gets right that no blind model does.

What it measures:
    Errors of the model and of every null on the same evaluation images: the gap in accuracy, the
    gain (the share of a null's errors that the model removes), and the part of the gap that is the
    price of blindness, by a sighted twin of the null's network and recipe.

Why it matters:
    An accuracy that a model blind to arrangement reaches too is no evidence of having learned
    objects. The gain over every claim rung decides the gate.

How it can mislead:
    - A null that was trained badly makes any model look good. A pass is therefore judged against
      the null plus what more training might add to it, and badly trained nulls block a pass.
    - A pass does not exclude shortcuts: a mark on 60 % of the images leaves a large gain. The
      accuracy on the images that the nulls get wrong is reported beside it.
    - A small gap means "explained by evidence local to q pixels", whether colour, texture or local
      shape; it does not say which.
    - Where the subject was pre-trained on other data, the gap shows that too, not arrangement only.

References:
    Brendel & Bethge (2019), ICLR, arXiv:1904.00760
    Liu et al. (2018), NeurIPS, arXiv:1807.03247
    Geirhos et al. (2020), NeurIPS, arXiv:2006.16736 (error consistency)
    Zeiler & Fergus (2014), ECCV, arXiv:1311.2901 (hidden patches in the example images)
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from audit.checks.accuracy_gap.breakdown import halves, per_class, together
from audit.checks.accuracy_gap.jobs import PICTURES, pictures
from audit.checks.accuracy_gap.report import NAME, section
from audit.core.sizes import height_width
from audit.evidence import null_errors as predictions
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.null_errors import Ladder, read_ladder
from audit.evidence.outcomes import ChosenNetwork, FoundInData
from audit.evidence.setup import Null, Setup
from audit.jobs.job import Job
from audit.jobs.kind import by_name
from audit.record import About, Measurement, Unit, title_of
from audit.stats.gain import freedom, gain_interval, gap_interval
from audit.stats.intervals import (
    block_jackknife,
    kappa,
    mcnemar,
    paired_difference,
    proportion_interval,
    quantile,
)
from audit.stats.paired import UNTRAINED, Pair, balanced_weights, needs_balanced, pair

__all__ = ["KINDS", "LEFT_OUT", "LIMITS", "NAME", "NAMES", "measure", "needs", "section"]

COMPARED: dict[str, Unit] = {
    "accuracy": "fraction",
    "gap": "points",
    "gain": "gain",
    "kappa": "ratio",
    "mcnemar": "fraction",
    "allowance": "points",
}

KINDS = by_name(PICTURES)
NAMES = {
    "accuracy.<model>": About("share of the evaluation images that a model gets right"),
    "gap.<null>": About("accuracy of the subject minus that of a null, on the same images"),
    "gain.<null>": About("share of a null's errors that the subject removes"),
    "balanced_gain.<null>": About("the same in balanced accuracy, for uneven classes"),
    "twin_gain.<null>": About("the same of the sighted twin in the subject's place"),
    "twin_minus_null": About("accuracy of the sighted twin minus that of the best null"),
    "kappa.<null>": About("error consistency of the subject and a null"),
    "mcnemar.<null>": About("exact p of McNemar's test against a null"),
    "allowance.<trained>": About("accuracy that more training might add to a null"),
    "heldout.<trained>": About("accuracy of a null on held-out images, by budget", single=False),
    "both_right.<null>": About("share of images that both it and the best null get right"),
    "only_subject_right.<null>": About("share of images that only the subject gets right"),
    "only_null_right.<null>": About("share of images that only the best null gets right"),
    "both_wrong.<null>": About("share of images that neither gets right"),
    "null_wrong.subject": About("accuracy of the subject where the best null is wrong"),
    "null_right.subject": About("accuracy of the subject where the best null is right"),
    "class_accuracy.<class>": About("accuracy of the subject on one class", of_class=True),
    "class_gap.<class>": About("gap over the best null on one class", of_class=True),
}
LIMITS = """
  # The accuracy gap. A gain is the share of a null's errors that the subject removes. Judged by
  # its own rules: against the null plus what more training might add to it, with a correction
  # for several nulls, and only where the null makes enough errors to tell.
  gain:
    measure: "accuracy_gap.gain.*"
    at_least: 0.10
    severity: gate
    statement: "removes at least {limit} of the errors of every model that cannot see objects"
  prior_gap:
    measure: "accuracy_gap.gap.prior"
    above: 0
    severity: gate
    statement: "is more accurate than guessing by class frequency"
  twin:
    measure: "accuracy_gap.twin_minus_null"
    above: 0
    severity: warn
    optional: true
    statement: "a sighted network trained by the same recipe beats the best null"
"""
LEFT_OUT: dict[str, str] = {}


def needs(setup: Setup) -> tuple[Job, ...]:
    """Predictions of all models, and example pictures where a local null has them."""
    null = setup.null("bagnet")
    drawn = (pictures(setup, null),) if null else ()
    return (*predictions.needs(setup), *drawn)


def measure(case: Case) -> list[Measurement]:
    """Accuracies, gaps, gains, and what may be wrong with the nulls."""
    ladder = read_ladder(case)
    subject = case.errors(requests.subject_outputs(case.setup))
    pairs = {null.name: ladder.pair(null, subject) for null in case.setup.nulls}
    found = [accuracy_of_subject(case, subject)]
    for null in case.setup.nulls:
        found += against(ladder, null, pairs[null.name], subject)
        if null.trained and null.name in ladder.errors:
            found += learning_curve(case, null)
    found += balanced(ladder, subject) + twins(ladder)
    strongest = strongest_null(pairs.values())
    if strongest:
        found += together(case, ladder.errors[strongest.null], subject, strongest.null)
        found += halves(case, ladder.errors[strongest.null][0], subject, strongest.null)
        found += per_class(case, ladder.errors[strongest.null], subject, strongest)
    return found


def accuracy_of_subject(case: Case, errors: NDArray[np.float64]) -> Measurement:
    """Accuracy of the subject with its cluster-robust interval."""
    own = pair("", errors, errors, case.groups, claim=False, training=UNTRAINED)
    half = quantile(max(1.0, min(60.0, own.groups - 1))) * own.var_subject**0.5
    value = 1 - own.error_subject
    low, high = accuracy_interval(value, half, own.groups)
    return Measurement(
        check=NAME,
        quantity="accuracy",
        of="subject",
        value=value,
        unit="fraction",
        low=low,
        high=high,
        n=len(errors),
    )


def accuracy_interval(value: float, half: float, n: int) -> tuple[float, float]:
    """95 % interval of an accuracy: at least that of n independent images, also near 0 and 1.

    Args:
        value: The accuracy, a fraction.
        half: Half of the cluster-robust interval, with the part of the seeds.
        n: Groups of images.
    """
    low, high = proportion_interval(value * n, n)
    return max(0.0, min(low, value - half)), min(1.0, max(high, value + half))


def against(
    ladder: Ladder, null: Null, pair: Pair, subject: NDArray[np.float64]
) -> list[Measurement]:
    """What is measured against one null."""
    note = ladder.unusable.get(null.name, "")
    nan = float("nan")
    if pair.status == "missing":
        return [
            Measurement(
                check=NAME,
                quantity=quantity,
                of=null.name,
                value=nan,
                unit=unit,
                note=note,
                detail=pair.to_detail() if quantity == "gain" else {},
            )
            for quantity, unit in COMPARED.items()
            if null.trained or quantity != "allowance"
        ]
    error = pair.error_null
    seed = pair.seed_variance / pair.seeds
    half = quantile(freedom(pair, pair.var_null, seed)) * (pair.var_null + seed) ** 0.5
    allowance = ladder.allowance(null)
    gap, share = gap_interval(pair), gain_interval(pair)
    errors = ladder.errors[null.name]
    agreement = kappa_interval(subject, errors[0], ladder.case.groups)
    rows: list[tuple[str, float, Unit, float, float]] = [
        ("accuracy", 1 - error, "fraction", *accuracy_interval(1 - error, half, pair.groups)),
        ("gap", gap[0], "points", gap[1], gap[2]),
        ("gain", share[0], "gain", share[1], share[2]),
        ("kappa", agreement[0], "ratio", agreement[1], agreement[2]),
        ("mcnemar", mcnemar(subject, errors[0]), "fraction", nan, nan),
    ]
    if null.trained:
        rows.append(("allowance", allowance, "points", 0.0, allowance))
    return [
        Measurement(
            check=NAME,
            quantity=quantity,
            of=null.name,
            value=value,
            unit=unit,
            low=low,
            high=high,
            n=pair.groups,
            note=note or pair.note if quantity in ("accuracy", "gain", "allowance") else "",
            detail=pair.to_detail() | view(ladder.case.setup, null) if quantity == "gain" else {},
        )
        for quantity, value, unit, low, high in rows
    ]


def kappa_interval(
    subject: NDArray[np.float64], null: NDArray[np.float64], groups: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Error consistency of two models with its 95 % interval, by a block jackknife over groups."""
    value, se = block_jackknife(
        lambda index: kappa(subject[index], null[index]), len(subject), groups=groups
    )
    half = quantile(19) * se
    return value, max(-1.0, value - half), min(1.0, value + half)


def view(setup: Setup, null: Null) -> dict[str, float]:
    """What a patch null sees at a time: q in its own pixels and in the subject's, and q / side.

    Of a rectangle along its shorter side, so that no claim is too large. The two sides say whether
    the null saw the subject's own pixels; the judge lets nothing pass unless trained ones did.
    """
    if null.q is None:
        return {}
    short, long = setup.subject_sides
    scale = short / setup.input.side
    seen = max(height_width(setup.input.size)) / null.scale
    return {
        "q": null.q,
        "q_subject": null.extent * scale,
        "q_share": null.extent / setup.input.side,
        "side": seen,
        "subject_side": long,
        "trained": float(null.trained),
    }


def learning_curve(case: Case, null: Null) -> list[Measurement]:
    """Finished accuracies on held-out training images, by training images seen."""
    outcome = case.result(requests.choose(case.setup, null))
    n, found = len(outcome.arrays["heldout"]), []
    for point in outcome.read(ChosenNetwork).curve:
        low, high = proportion_interval(point.accuracy * n, n)
        found.append(
            Measurement(
                check=NAME,
                quantity="heldout",
                of=null.name,
                value=point.accuracy,
                unit="fraction",
                low=low,
                high=high,
                n=n,
                at=point.images_seen,
            )
        )
    return found


def balanced(ladder: Ladder, subject: NDArray[np.float64]) -> list[Measurement]:
    """The gain in balanced accuracy where classes are uneven; the nulls lose their log prior."""
    case = ladder.case
    if not needs_balanced(case.labels, len(case.setup.classes)):
        return []
    facts = case.values(requests.facts(case.setup), FoundInData)
    counts = np.array(facts.train_counts, dtype=float)
    prior = np.log((counts + 1) / (counts + 1).sum())
    found = []
    for null in (n for n in case.setup.nulls if n.claim and n.name in ladder.errors):
        rows = []
        for seed in predictions.seeds(case.setup, null):
            job = requests.null_outputs(case.setup, null, seed)
            logits = case.rows(case.result(job).arrays["logits"])
            rows.append(((logits - prior).argmax(axis=1) != case.labels).astype(np.float64))
        shifted = Ladder(
            case,
            ladder.errors | {null.name: np.stack(rows)},
            ladder.unusable,
            ladder.seed_variance,
            ladder.adequacy,
        )
        pair = shifted.pair(null, subject, balanced_weights(case.labels))
        value, low, high = gain_interval(pair)
        found.append(
            Measurement(
                check=NAME,
                quantity="balanced_gain",
                of=null.name,
                value=value,
                unit="gain",
                low=low,
                high=high,
                n=pair.groups,
                detail=pair.to_detail(),
            )
        )
    return found


def twins(ladder: Ladder) -> list[Measurement]:
    """The sighted twin in the subject's place: does the price of blindness exist on these data?"""
    setup = ladder.case.setup
    twin = setup.null("sighted")
    if twin is None:
        return []
    if twin.name in ladder.unusable:
        return [
            Measurement(
                check=NAME,
                quantity="twin_minus_null",
                value=float("nan"),
                unit="points",
                note=ladder.unusable[twin.name],
            )
        ]
    errors = ladder.errors[twin.name].mean(axis=0)
    own = ladder.seed_variance / len(ladder.errors[twin.name])
    pairs = [ladder.pair(n, errors) for n in setup.nulls if n.claim]
    pairs = [p.model_copy(update={"var_subject": p.var_subject + own}) for p in pairs]
    found = [
        Measurement(
            check=NAME,
            quantity="twin_gain",
            of=p.null,
            value=gain_interval(p)[0],
            unit="gain",
            low=gain_interval(p)[1],
            high=gain_interval(p)[2],
            n=p.groups,
            detail=p.to_detail(),
        )
        for p in pairs
    ]
    strongest = strongest_null(pairs)
    if strongest:
        extra = ladder.seed_variance * (1 / len(ladder.errors[twin.name]) + 1 / strongest.seeds)
        value, low, high = paired_difference(
            ladder.errors[strongest.null], errors, ladder.case.groups, extra_variance=extra
        )
        found.append(
            Measurement(
                check=NAME,
                quantity="twin_minus_null",
                value=value,
                unit="points",
                low=low,
                high=high,
                n=strongest.groups,
                note=f"{twin.title} against {title_of(strongest.null)}",
                detail={"q": float(twin.q or 0), "scale": float(twin.scale)},
            )
        )
    return found


def strongest_null(pairs: Iterable[Pair]) -> Pair | None:
    """The claim null with the fewest errors; for display only, it decides nothing."""
    claims = [p for p in pairs if p.claim and p.status != "missing"]
    return min(claims, key=lambda p: p.error_null, default=None)
