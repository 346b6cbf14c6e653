"""The data: do the evaluation images deserve the name?

What it measures:
    Exact copies of training images among the evaluation images, near duplicates (a perceptual hash
    finds candidates, pixels confirm them), images that stand under two labels, images that could
    not be read, and the balance of classes.

Why it matters:
    A leaked image is answered from memory. Every number of an audit counts images, and near
    duplicates make them look like more evidence than they are.

How it can mislead:
    - Only copies that look alike are found: the same object photographed twice is not.
    - Very plain images can look like near duplicates although they are not copies.

References:
    Barz & Denzler (2020), J. Imaging 6(6), 41, arXiv:1902.00423 (duplicates in CIFAR)
"""

from collections.abc import Sequence

import numpy as np

from audit import requests
from audit.case import Case, Setup
from audit.record import Finding, Measurement
from audit.stats import proportion_interval
from audit.work import Job
from reports.text import number
from reports.words import Picture, Section

NAME = "data"


def needs(setup: Setup) -> tuple[Job, ...]:
    """The search for duplicates."""
    return (requests.facts(setup),)


def measure(case: Case) -> list[Measurement]:
    """Counts over all images that were given; a count of all has no interval."""
    facts = case.result(requests.facts(case.setup))
    n = case.setup.n_eval
    near = len({pair[0] for pair in facts.values["near_leaks"]} | leaked(facts.values))
    smallest, largest = min(facts.values["eval_counts"]), max(facts.values["eval_counts"])
    counts = (
        ("exact_leaks", len(leaked(facts.values)), n, "evaluation images that are training images"),
        (
            "label_conflicts",
            facts.values["label_conflicts"],
            n,
            "pairs of equal or nearly equal images under two labels",
        ),
        ("unreadable", case.setup.unreadable, n, "images that could not be read"),
        ("groups", len(np.unique(case.groups)), n, "evaluation images, near duplicates as one"),
        ("smallest_class", smallest, n, "evaluation images of the smallest class"),
        ("largest_class", largest, n, "evaluation images of the largest class"),
    )
    found = [
        Measurement(
            name=f"{NAME}.{name}",
            value=float(value),
            unit="count",
            low=float(value),
            high=float(value),
            n=of,
            note=note,
        )
        for name, value, of, note in counts
    ]
    return [
        *found,
        Measurement(
            name=f"{NAME}.near_leaks",
            value=near / n,
            unit="fraction",
            low=near / n,
            high=near / n,
            n=n,
            note="share of evaluation images with a copy or near duplicate in training; as a "
            "sample of others like them: "
            + " to ".join(number(end, "fraction") for end in proportion_interval(near, n)),
        ),
    ]


def leaked(values: dict[str, list[list[int]]]) -> set[int]:
    """Evaluation images with an exact copy among the training images."""
    return {pair[0] for pair in values["exact_leaks"]}


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the facts into words; see `audit.checks.Check`."""
    by_name = {m.name.removeprefix(f"{NAME}."): m for m in measurements}
    leaks, near = by_name.get("exact_leaks"), by_name.get("near_leaks")
    summary = "The data could not be examined."
    if leaks is not None and near is not None:
        summary = (
            f"{leaks.value:.0f} of {leaks.n:,} evaluation images are copies of training images; "
            f"{number(near.value, 'fraction')} have a copy or a near duplicate there."
        )
    return Section(
        name=NAME,
        title="The data",
        verdict=None,
        summary=summary,
        rows=tuple(
            {"what": m.note or m.name, "value": number(m.value, m.unit), "of": m.n}
            for m in measurements
        ),
        pictures=tuple(pictures),
        caveats=(
            "Only copies that look alike are found; the same object photographed twice is not.",
            "Very plain images can look like near duplicates although they are not copies.",
        ),
        references=("Barz & Denzler (2020), J. Imaging 6(6), 41, arXiv:1902.00423",),
    )
