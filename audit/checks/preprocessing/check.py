"""Preprocessing: is the model given the images as it was trained on them?

What it measures:
    Accuracy on at most 1,000 training images (stratified), as the model is given them and under the
    usual alternatives, one factor at a time: mean and std of ImageNet, of CIFAR-10, 0.5 and none;
    channels in the reverse order; crop 0.875, 0.95 and 1; bilinear and bicubic. The differences
    are paired, and their intervals are Holm's: an alternative is clearly better if the lower end
    of its interval exceeds one point and all with stronger evidence are clearly better too.

Why it matters:
    A checkpoint rarely says all of its preprocessing. A wrong mean or reversed channels cost points
    in silence, and the audit then judges a handicapped model.

How it can mislead:
    - The training images may be known by heart: accuracies are high, and differences small.
    - Training crops and mirrors at random, so crop and interpolation hardly show.
    - Where two factors are wrong together, neither alone may help.
    - It never changes what the audit measures: it warns.

References:
    Holm (1979), Scandinavian Journal of Statistics 6:65
    Parmar, Zhang & Zhu (2022), CVPR, arXiv:2104.11222 (how much resizing alone changes)
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audit.checks.preprocessing.jobs import PREPROCESSING, preprocessing
from audit.checks.preprocessing.outcomes import Tried
from audit.evidence.case import Case
from audit.evidence.setup import Setup
from audit.jobs.job import Job
from audit.jobs.kind import by_name
from audit.record import About, Finding, Measurement, Quantity, by_quantity, exactly
from audit.reports.document import Chart, Picture, Section, dot
from audit.reports.text import interval, number
from audit.stats.intervals import paired_difference, simultaneous_quantile

NAME = "preprocessing"
BETTER = Quantity(check=NAME, quantity="better")
LIMIT = 0.01  # one point
NOT_ASKED = "it is measured only with --check-preprocessing"
NO_TRAINING = "it needs the training images, which were not given"
Errors = NDArray[np.float64]
KINDS = by_name(PREPROCESSING)
NAMES = {
    "better": About("alternatives of preprocessing that are clearly better"),
    "accuracy.<view>": About("accuracy on training images under an alternative"),
    "gain.<view>": About("what an alternative gains there"),
}
LIMITS = """
  # Preprocessing: how many usual alternatives are clearly better on training images; asked for by
  # --check-preprocessing.
  preprocessing:
    measure: "preprocessing.better"
    at_most: 0
    severity: warn
    optional: true
    statement: "no usual alternative of preprocessing is clearly better than the model's own"
"""
LEFT_OUT: dict[str, str] = {}


def needs(setup: Setup) -> tuple[Job, ...]:
    """The model on training images, if it was asked for."""
    wanted = setup.check_preprocessing and setup.training_images
    return (preprocessing(setup),) if wanted else ()


def measure(case: Case) -> list[Measurement]:
    """Accuracy of every alternative, what it gains, and how many are clearly better."""
    if not case.setup.check_preprocessing or not case.setup.training_images:
        asked = case.setup.check_preprocessing
        return [exactly(BETTER, float("nan"), 0, NO_TRAINING if asked else NOT_ASKED)]
    outcome = case.result(preprocessing(case.setup))
    tried = outcome.read(Tried)
    words = dict(zip(tried.names, tried.words, strict=True))
    groups = outcome.arrays["groups"]
    own, *others = 1.0 - outcome.arrays["right"].astype(np.float64)
    errors = dict(zip(words, others, strict=True))
    gains = stepdown(own, errors, groups)
    n = len(groups)
    found = [accuracy("as_is", own, groups, "as it is given")]
    for name, (gain, low, high, clearly) in gains.items():
        found.append(accuracy(name, errors[name], groups, words[name]))
        found.append(
            Measurement(
                check=NAME,
                quantity="gain",
                of=name,
                value=gain,
                unit="points",
                low=low,
                high=high,
                n=n,
                note=words[name],
                detail={"clearly_better": float(clearly)},
            )
        )
    better = [words[name] for name, (*_, clearly) in gains.items() if clearly]
    text = f"clearly better on {n:,} training images: {', '.join(better)}" if better else ""
    return [*found, exactly(BETTER, float(len(better)), n, text)]


def stepdown(
    own: Errors, others: dict[str, Errors], groups: NDArray[np.int64]
) -> dict[str, tuple[float, float, float, bool]]:
    """Gains over the own errors with Holm's intervals, and whether each is clearly better.

    Args:
        own: (n,) errors as the model is given the images.
        others: (n,) by alternative.
        groups: (n,) of near duplicates.

    Returns:
        Gain, low, high, and whether low exceeds one point here and for all before; by
        alternative, the strongest evidence first.
    """
    plain = {name: paired_difference(own, errors, groups) for name, errors in others.items()}

    def evidence(name: str) -> float:
        gain, low, _ = plain[name]
        return (gain - LIMIT) / max(gain - low, 1e-12)

    found, clearly = {}, True
    for rank, name in enumerate(sorted(plain, key=evidence, reverse=True)):
        t = simultaneous_quantile(len(plain) - rank, min(60.0, len(np.unique(groups)) - 1))
        gain, low, high = paired_difference(own, others[name], groups, t=t)
        clearly = clearly and low > LIMIT
        found[name] = (gain, low, high, clearly)
    return found


def accuracy(name: str, errors: Errors, groups: NDArray[np.int64], note: str) -> Measurement:
    """Share of the training images that are right."""
    lost, low, high = paired_difference(errors, np.zeros_like(errors), groups)
    return Measurement(
        check=NAME,
        quantity="accuracy",
        of=name,
        value=1 - lost,
        unit="fraction",
        low=max(0.0, 1 - high),
        high=min(1.0, 1 - low),
        n=len(errors),
        note=note,
    )


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the alternatives into words; see `audit.checks.Check`."""
    found = by_quantity(measurements, NAME)
    gains = [m for m in measurements if m.quantity == "gain"]
    return Section(
        name=NAME,
        title="Is the model given the images as it was trained on them?",
        verdict=None,
        summary=summary(found.get(("better", "")), found.get(("accuracy", "as_is")), gains),
        rows=tuple(
            {
                "what": m.note,
                "accuracy": number(found["accuracy", m.of].value, "fraction"),
                "gain": number(m.value, m.unit),
                "95 % interval": interval(m.low, m.high, m.unit),
                "n": m.n,
            }
            for m in gains
        ),
        charts=chart(gains),
        pictures=tuple(pictures),
        caveats=(
            "The training images may be known by heart, which makes all differences small.",
            "Crop and interpolation hardly show where training varied them at random.",
            "Where two factors are wrong together, neither alone may help.",
        ),
        references=("Holm (1979), Scandinavian Journal of Statistics 6:65",),
    )


def summary(
    better: Measurement | None, own: Measurement | None, gains: Sequence[Measurement]
) -> str:
    """One or two sentences."""
    if better is None or own is None or not gains:
        why = better.note if better is not None else "it crashed"
        return f"Not measured: {why}."
    best, names = max(gains, key=lambda m: m.value), better_ones(gains)
    reach = (
        f"As it is given them, the model is right on {number(own.value, 'fraction')} of "
        f"{own.n:,} training images"
    )
    if better.value:
        return (
            f"{reach}; {names} would be clearly better (up to "
            f"{number(best.value, 'points')}). The audit judges the model as it is given the "
            "images: if that is not how it was trained, set --mean, --std, --crop-pct or "
            "--interpolation."
        )
    return f"{reach}. No usual alternative is clearly better; the best is {best.note}: " + (
        f"{number(best.value, 'points')} ({interval(best.low, best.high, 'points')})."
    )


def better_ones(gains: Sequence[Measurement]) -> str:
    """The alternatives that are clearly better, in words."""
    return ", ".join(m.note for m in gains if m.detail.get("clearly_better"))


def chart(gains: Sequence[Measurement]) -> tuple[Chart, ...]:
    """What each alternative gains."""
    if not gains:
        return ()
    return (
        Chart(
            title="What another preprocessing would gain",
            description="Each row is an alternative: accuracy with it minus accuracy as the model "
            "is given the images, on the same training images, with Holm's 95 % intervals.",
            kind="interval",
            x_label="gain in points",
            y_label="alternative",
            series=tuple(dot(m.note, "subject", m.value, m.low, m.high) for m in gains),
            limits=((LIMIT, "1 point"),),
            points=True,
        ),
    )
