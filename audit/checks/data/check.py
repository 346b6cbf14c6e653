"""The data: do the evaluation images deserve the name?

What it measures:
    Exact copies of training images among the evaluation images, near duplicates (a perceptual hash
    finds candidates, pixels confirm them) across and inside the splits, images that stand under
    two labels, files that could not be read or were left out, sizes, and the balance of classes.
    Leaks, copies, conflicts and files left out are named, at most 20 of each. Copies that were
    shifted, mirrored, zoomed or cropped are looked for among the evaluation images.

    Exact and near copies of training images, and exact repeats of an evaluation image, are left out
    of the count of every accuracy, gain and interval; what is measured here is over all images.

Why it matters:
    A leaked image is answered from memory. Every number of an audit counts images, and near
    duplicates make them look like more evidence than they are.

How it can mislead:
    - Only copies that look alike are found: the same object photographed twice is not.
    - Very plain images can look like near duplicates although they are not copies.
    - A moved copy counts only under the label of its original: where classes are left and right,
      a mirror image is another picture. Copies that were turned, or cropped to less than four
      fifths of the side at a corner, are not found.

References:
    Barz & Denzler (2020), J. Imaging 6(6), 41, arXiv:1902.00423 (duplicates in CIFAR)
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audit.checks.data.jobs import LISTING, listing
from audit.checks.data.outcomes import Extent, Listed
from audit.checks.data.report import NAME, SIZES, SPLITS, section
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.outcomes import FoundInData
from audit.evidence.setup import Setup
from audit.jobs.job import Job
from audit.jobs.kind import by_name
from audit.record import About, Measurement, Quantity, exactly
from audit.reports.text import number
from audit.stats.intervals import proportion_interval

__all__ = ["KINDS", "LEFT_OUT", "LIMITS", "NAME", "NAMES", "measure", "needs", "section"]
KINDS = by_name(LISTING)
NAMES = {
    "exact_leaks": About("evaluation images that are training images"),
    "near_leaks": About("share of evaluation images with a copy or near duplicate in training"),
    "near_copies": About("share of evaluation images left out as near copies of training images"),
    "counted": About("evaluation images that count"),
    "left_out": About("evaluation images left out of the count as copies"),
    "label_conflicts": About("pairs of equal or nearly equal images under two labels"),
    "unreadable": About("images that cannot be read"),
    "skipped": About("files that are no images and were left out"),
    "eval_copies": About("evaluation images that repeat another one exactly"),
    "train_copies": About("training images that repeat another one exactly"),
    "eval_duplicates": About("share of evaluation images that repeat another one or nearly"),
    "train_duplicates": About("share of training images that repeat another one or nearly"),
    "groups": About("evaluation images that count, near duplicates counted as one"),
    "smallest_class": About("evaluation images of the smallest class"),
    "largest_class": About("evaluation images of the largest class"),
    "eval_images.<class>": About("evaluation images of one class"),
    "train_images.<class>": About("training images of one class"),
    "eval_width.<size>": About("width of the evaluation images in pixels"),
    "eval_height.<size>": About("height of the evaluation images in pixels"),
    "train_width.<size>": About("width of the training images in pixels"),
    "train_height.<size>": About("height of the training images in pixels"),
    "file.<kind>": About("one for each file that is named", single=False),
}
LIMITS = """
  # The data. Counts over the images that were given: they have no interval. Exact and near copies
  # of training images are left out of every accuracy and gain, and so are exact repeats of an
  # evaluation image. `near_copies` is measured only by audits that leave them out.
  exact_leaks:
    measure: "data.exact_leaks"
    at_most: 0
    severity: gate
    statement: "no more than {limit} training images in the evaluation set"
  near_leaks:
    measure: "data.near_copies"
    at_most: 0.05
    severity: gate
    statement: "at most {limit} of the evaluation images are near copies of training images"
  some_near_leaks:
    measure: "data.near_copies"
    at_most: 0.01
    severity: warn
    optional: true
    statement: "at most {limit} of the evaluation images are near copies of training images"
  label_conflicts:
    measure: "data.label_conflicts"
    at_most: 0
    severity: warn
    statement: "no more than {limit} images stand under two labels"
  eval_duplicates:
    measure: "data.eval_duplicates"
    at_most: 0.01
    severity: warn
    optional: true
    statement: "at most {limit} of the evaluation images repeat another one"
  train_duplicates:
    measure: "data.train_duplicates"
    at_most: 0.05
    severity: warn
    optional: true
    statement: "at most {limit} of the training images repeat another one"
  unreadable:
    measure: "data.unreadable"
    at_most: 0
    severity: warn
    statement: "no more than {limit} images cannot be read"
"""
LEFT_OUT: dict[str, str] = {}


def needs(setup: Setup) -> tuple[Job, ...]:
    """The search for duplicates, and the names of files."""
    return (requests.facts(setup), listing(setup))


def measure(case: Case) -> list[Measurement]:
    """Counts over all images that were given; a count of all has no interval."""
    facts = case.values(requests.facts(case.setup), FoundInData)
    listed = case.values(listing(case.setup), Listed)
    return [
        *counts(case, facts, listed.skipped),
        *shares(case, facts),
        *sizes(case.setup, listed.sizes),
        *classes(case.setup, facts),
        *files(case.setup, listed.files),
    ]


def of(quantity: str, name: str = "") -> Quantity:
    """What a count of this check is about."""
    return Quantity(check=NAME, quantity=quantity, of=name)


def counts(case: Case, facts: FoundInData, skipped: int) -> list[Measurement]:
    """How many images leak, contradict, repeat, or could not be read."""
    setup, n = case.setup, case.setup.n_eval
    smallest, largest = min(facts.eval_counts), max(facts.eval_counts)
    conflicts = "pairs of equal or nearly equal images under two labels"
    found = [
        ("exact_leaks", len(facts.leaked), n, "evaluation images that are training images"),
        ("label_conflicts", facts.label_conflicts, n, conflicts),
        ("eval_copies", len(facts.eval_copies), n, "evaluation images that repeat another"),
        ("train_copies", len(facts.train_copies), setup.n_train, "training images likewise"),
        ("unreadable", setup.unreadable, n, "images that could not be read"),
        ("skipped", skipped, n, "files that are no images and were left out"),
        ("counted", int(case.counted.sum()), n, "evaluation images that count: the others are left "
         "out of every accuracy, gain and interval"),
        ("left_out", len(case.left_out), n, reasons(facts)),
        ("groups", len(np.unique(case.groups)), n,
         "evaluation images that count, near duplicates as one"),
        ("smallest_class", smallest, n, "evaluation images of the smallest class"),
        ("largest_class", largest, n, "evaluation images of the largest class"),
    ]  # fmt: skip
    return [exactly(of(name), float(value), total, note) for name, value, total, note in found]


def reasons(facts: FoundInData) -> str:
    """Why evaluation images are left out of the count, each image under its first reason."""
    repeats = facts.left_out - facts.leaked - facts.near_copies
    return (
        f"evaluation images left out of the count: {len(facts.leaked):,} are copies of training "
        f"images, {len(facts.near_copies):,} are near copies of them, {len(repeats):,} repeat "
        "another evaluation image exactly"
    )


def shares(case: Case, facts: FoundInData) -> list[Measurement]:
    """Shares of images with a copy or near duplicate in training, or in their own split."""
    setup = case.setup
    near = len(facts.near_copies)
    repeated = "share of the {} images that an exact copy or near duplicate stands for already"
    rows = (
        ("near_leaks", near + len(facts.leaked), setup.n_eval,
         "share of evaluation images with a copy or near duplicate in training"),
        ("near_copies", near, setup.n_eval,
         "share of evaluation images that are near copies of training images and left out of the "
         "count"),
        ("eval_duplicates", setup.n_eval - len(np.unique(case.given_groups)), setup.n_eval,
         repeated.format("evaluation")),
        ("train_duplicates", setup.n_train - facts.train_groups, setup.n_train,
         repeated.format("training")),
    )  # fmt: skip
    found = []
    for name, count, n, note in rows:
        span = (number(end, "fraction") for end in proportion_interval(count, n))
        value = count / n
        found.append(
            Measurement(
                check=NAME,
                quantity=name,
                value=value,
                unit="fraction",
                low=value,
                high=value,
                n=n,
                note=f"{note}; as a sample of others like them: {' to '.join(span)}",
            )
        )
    return found


def sizes(setup: Setup, extents: Mapping[str, tuple[Extent, Extent]]) -> list[Measurement]:
    """Smallest, median and largest width and height of each split, in pixels."""
    found = []
    for split, words in SPLITS.items():
        n = setup.n_eval if split == "eval" else setup.n_train
        known = extents.get(split)
        for which, side in enumerate(("width", "height")):
            for rank, size in enumerate(SIZES):
                note = f"{side} of {words} images in pixels, {size}"
                if known is None:
                    value, note = float("nan"), f"the {words} images are not at hand"
                else:
                    value = known[which][rank]
                found.append(exactly(of(f"{split}_{side}", size), value, n, note))
    return found


def classes(setup: Setup, facts: FoundInData) -> list[Measurement]:
    """Images a class of each split."""
    found, counts = [], {"train": facts.train_counts, "eval": facts.eval_counts}
    for split, words in SPLITS.items():
        n = setup.n_eval if split == "eval" else setup.n_train
        for title, count in zip(setup.classes, counts[split], strict=True):
            note = f"{words} images of this class"
            found.append(exactly(of(f"{split}_images", title), float(count), n, note))
    return found


def files(setup: Setup, listed: Mapping[str, Sequence[str]]) -> list[Measurement]:
    """One for each file or pair that is named: the name is the note."""
    return [
        exactly(of("file", kind), 1.0, setup.n_eval, line, float(place))
        for kind, lines in listed.items()
        for place, line in enumerate(lines)
    ]
