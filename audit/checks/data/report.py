"""The words and charts of the data: its numbers stand in `audit.checks.data`."""

from collections.abc import Sequence

from audit.record import ByQuantity, Finding, Measurement, by_quantity
from audit.reports.document import Cell, Chart, Picture, Section, Series
from audit.reports.text import number

NAME = "data"
SPLITS = {"eval": "evaluation", "train": "training"}
SIZES = ("smallest", "median", "largest")

FILE_KINDS = {  # of files that are named, and the measurement that counts them all
    "leak": ("copy in training", "exact_leaks"),
    "near_leak": ("near duplicate in training", "near_leaks"),
    "conflict": ("one picture, two labels", "label_conflicts"),
    "eval_copy": ("copy among the evaluation images", "eval_copies"),
    "train_copy": ("copy among the training images", "train_copies"),
    "unreadable": ("cannot be read", "unreadable"),
    "skipped": ("left out, no image", "skipped"),
}

CHARTED = 30  # classes that have a row of their own in the chart


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the facts into words; see `audit.checks.Check`."""
    found = by_quantity(measurements, NAME)
    plain = [m for m in found.values() if not m.of]
    return Section(
        name=NAME,
        title="The data",
        verdict=None,
        summary=summary(found),
        rows=(
            *(line(m.note or m.name, number(m.value, m.unit), m.n) for m in plain),
            *size_rows(found),
            *file_rows(measurements, found),
        ),
        charts=class_chart(found),
        pictures=tuple(pictures),
        caveats=(
            "Only copies that look alike are found; the same object photographed twice is not.",
            "Example pictures and the dimension of features use all evaluation images, also those "
            "that are left out of the count.",
            "Very plain images can look like near duplicates although they are not copies.",
        ),
        references=("Barz & Denzler (2020), J. Imaging 6(6), 41, arXiv:1902.00423",),
    )


def summary(found: ByQuantity) -> str:
    """One or two sentences."""
    leaks, near = found.get(("exact_leaks", "")), found.get(("near_leaks", ""))
    if leaks is None or near is None:
        return "The data could not be examined."
    text = (
        f"{leaks.value:.0f} of {leaks.n:,} evaluation images are copies of training images; "
        f"{number(near.value, 'fraction')} have a copy or a near duplicate there."
    )
    repeats = found.get(("eval_duplicates", ""))
    if repeats is not None and repeats.value > 0:
        text += f" {number(repeats.value, 'fraction')} of them repeat another evaluation image."
    return f"{text} {counting(found)}".rstrip()


def counting(found: ByQuantity) -> str:
    """How many evaluation images are left out of the count; empty where that is not known."""
    left_out, counted = found.get(("left_out", "")), found.get(("counted", ""))
    if left_out is None or counted is None:
        return ""
    if not left_out.value:
        return "All of them count."
    return (
        f"{left_out.value:,.0f} copies are left out of every accuracy, gain and interval, and n "
        f"counts the other {counted.value:,.0f} images."
    )


def line(what: str, value: str, n: int) -> dict[str, Cell]:
    """One row of the table."""
    return {"what": what, "value": value, "of": n}


def size_rows(by_name: ByQuantity) -> list[dict[str, Cell]]:
    """Width and height of each split."""
    found = []
    for split, words in SPLITS.items():
        for side in ("width", "height"):
            three = [by_name.get((f"{split}_{side}", size)) for size in SIZES]
            smallest, median, largest = (
                "" if m is None else number(m.value, m.unit) for m in three
            )
            if three[0] is None:
                continue
            span = smallest if smallest == largest else f"{smallest} to {largest}, median {median}"
            found.append(line(f"{side} of the {words} images in pixels", span, three[0].n))
    return found


def file_rows(measurements: Sequence[Measurement], by_name: ByQuantity) -> list[dict[str, Cell]]:
    """The files that are named, and how many there are beside them."""
    found = []
    for kind, (title, counted) in FILE_KINDS.items():
        named = [m for m in measurements if m.quantity == "file" and m.of == kind]
        found += [line(f"{title}: {m.note}", "", m.n) for m in named]
        total = by_name.get((counted, ""))
        if total is None or not named:
            continue
        count = total.value * total.n if total.unit == "fraction" else total.value
        if kind == "near_leak":  # its count holds the exact ones, too
            count -= by_name["exact_leaks", ""].value
        if round(count) > len(named):
            found.append(line(f"{title}: more", f"{round(count) - len(named):,}", total.n))
    return found


def class_chart(by_name: ByQuantity) -> tuple[Chart, ...]:
    """Images a class: a row a class, or two curves over the rank where there are many."""
    counts = {
        split: {m.of: m.value for m in by_name.values() if m.quantity == f"{split}_images"}
        for split in SPLITS
    }
    counts = {split: found for split, found in counts.items() if sum(found.values())}
    if not counts:
        return ()
    many = len(next(iter(counts.values()))) > CHARTED
    series = tuple(
        Series(
            name=f"{SPLITS[split]} images",
            role="subject" if split == "eval" else "control",
            x=tuple(float(i + 1) for i in range(len(found))) if many else tuple(found),
            y=tuple(sorted(found.values(), reverse=True) if many else found.values()),
        )
        for split, found in counts.items()
    )
    return (
        Chart(
            title="Images a class",
            description="How many images each class has"
            + (", the classes by rank, the largest first." if many else ", in each split."),
            kind="line" if many else "interval",
            x_label="rank of the class" if many else "images",
            y_label="images" if many else "class",
            series=series,
        ),
    )
