"""Read-outs of the layers in words: the summary, the table and the charts."""

from collections.abc import Sequence

from audit.record import Measurement, curve
from audit.reports.document import Cell, Chart, Role, Series
from audit.reports.text import interval, number

OTHER = "other_"  # what quantities on the other data begin with
STEMS = {"": "its own task", OTHER: "the other data"}

CURVES: dict[str, tuple[str, Role]] = {
    "linear": ("linear read-out", "subject"),
    "svm": ("SVM", "control"),
    "untrained": ("untrained twin", "untrained"),
}

TITLES = {
    "linear": "linear",
    "svm": "SVM",
    "untrained": "linear, of the untrained twin",
    "gain": "linear minus that of the untrained twin",
    "pixels": "linear, of the pixels",
    "last_minus_middle": "linear, the last cut minus the middle",
}

LEFT_OUT = "the profile leaves it out"
ENDS = {"least": "smallest", "greatest": "largest"}
ONE_AT_EDGE = "of a read-out behind it, the best C is the last that was tried: others may read more"

CAVEATS = (
    "What can be read out is there; it is not shown that the network uses it.",
    "An untrained network and the pixels can be read out, too: only what exceeds them was learned.",
    "Layers differ in width: with many training images wide ones are read out more easily, with "
    "few narrow ones.",
    "The network was trained on the images that the read-outs of its own task learn from: its last "
    "layers may know them by heart, which makes their read-outs worse on fresh images.",
    "A fall from the middle to the last layers is common on other data: they serve the task that "
    "the network was trained for. On its own task it says that the last layers lose something.",
    "The SVM is one of each class against the rest with the squared hinge loss, not the pairs of "
    "classes that vote or the plain hinge of the papers.",
    "C, how freely a read-out may fit, is searched by factors of ten on training images set aside; "
    "where the best is the last that was tried, the note says so, and a read-out may be better.",
    "The untrained twin has open branches and batch norms that are estimated on images. It is the "
    "mean of several networks, whose variation is part of the intervals; with one network, they "
    "leave its draw out.",
    "Averaging over positions removes where things are; accuracy counts every image alike, of "
    "whatever class.",
    "One draw of training images: the intervals leave its part of the variance out. Each is for "
    "its cut alone.",
)


def fitted(width: int, strength: float, edge: str) -> str:
    """What a read-out is, and whether its strength is the last that was tried."""
    text = f"{width} features, C {strength:g}"
    return f"{text}, the {ENDS[edge]} that was tried: others may read more" if edge else text


def chosen(
    measurements: Sequence[Measurement], stem: str, quantity: str, *, known: bool = True
) -> list[Measurement]:
    """The measurements of one quantity on one data set; `known`: without those that are NaN."""
    own = [m for m in measurements if m.quantity == stem + quantity]
    return [m for m in own if m.value == m.value] if known else own


def summary(measurements: Sequence[Measurement]) -> str:
    """One or two sentences a data set."""
    said = [about(measurements, stem) for stem in STEMS]
    if not any(said):
        crashed = next((m.note for m in measurements if m.note), LEFT_OUT)
        return f"Not measured: {crashed}."
    return " ".join(part for part in said if part)


def about(measurements: Sequence[Measurement], stem: str) -> str:
    """What is said of one data set; empty if nothing was to be measured on it."""
    last = next(iter(chosen(measurements, stem, "last_minus_middle", known=False)), None)
    linear = chosen(measurements, stem, "linear")
    where = STEMS[stem]
    if last is None:
        return ""
    if not linear:
        return f"On {where}: not measured: {last.note}."
    best, end = max(linear, key=lambda m: m.value), linear[-1]
    text = (
        f"On {where} a linear model reads {number(end.value, 'fraction')} "
        f"({interval(end.low, end.high, 'fraction')}) off the last layers"
    )
    if best.value > end.value:
        text += f", at most {number(best.value, 'fraction')} off {best.of}"
    gains = {m.of: m for m in chosen(measurements, stem, "gain")}
    gain = gains.get(end.of)
    if gain is not None:
        text += (
            f"; {number(gain.value, 'points')} ({interval(gain.low, gain.high, 'points')}) more "
            "than off an untrained network"
        )
    if last.value != last.value:
        return f"{text}. Last layers beside the middle: not measured, {last.note}."
    return (
        f"{text}. The last layers beside the middle ones: {number(last.value, 'points')} "
        f"({interval(last.low, last.high, 'points')})."
    )


def named(quantity: str) -> tuple[str, str]:
    """The stem of a quantity and what it is called in the table; one not known there as it is."""
    known = {stem + name: (stem, title) for stem in STEMS for name, title in TITLES.items()}
    return known.get(quantity, ("", quantity))


def rows(measurements: Sequence[Measurement]) -> tuple[dict[str, Cell], ...]:
    """The table."""
    found: list[dict[str, Cell]] = []
    for m in measurements:
        stem, title = named(m.quantity)
        found.append(
            {
                "data": STEMS[stem],
                "read-out": title,
                "cut": m.of or None,
                "relative depth": None if m.at is None else round(m.at, 3),
                "value": number(m.value, m.unit),
                "95 % interval": interval(m.low, m.high, m.unit),
                "n": m.n,
                "note": m.note,
            }
        )
    return tuple(found)


def charts(measurements: Sequence[Measurement]) -> tuple[Chart, ...]:
    """Accuracy against depth, one chart a data set."""
    return tuple(chart(measurements, stem) for stem in STEMS if curves(measurements, stem))


def curves(measurements: Sequence[Measurement], stem: str) -> tuple[Series, ...]:
    """One curve a kind of read-out, if any of its points was measured."""
    return tuple(
        curve(title, role, points)
        for quantity, (title, role) in CURVES.items()
        if chosen(measurements, stem, quantity)
        for points in [chosen(measurements, stem, quantity, known=False)]
    )


def chart(measurements: Sequence[Measurement], stem: str) -> Chart:
    """The curves of one data set, with the pixels as a line to exceed."""
    pixels = chosen(measurements, stem, "pixels")
    return Chart(
        title=f"What a linear model reads off the layers, on {STEMS[stem]}",
        description="For each cut, by the share of computation before it: accuracy on the "
        "evaluation images of a linear model that learned from its features, for the model and for "
        "a network of the same architecture with fresh weights.",
        kind="line",
        x_label="depth of the cut (share of multiply-adds before it)",
        y_label="accuracy",
        series=curves(measurements, stem),
        limits=tuple((m.value, "the pixels") for m in pixels),
        percent=True,
    )
