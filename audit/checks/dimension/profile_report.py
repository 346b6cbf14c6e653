"""The ID profile in words, tables and charts, from measurements alone."""

from collections.abc import Sequence

from audit.checks.dimension.jobs import TWIN
from audit.record import Measurement, by_quantity, role_of, title_of
from audit.reports.document import Cell, Chart, Role, Series
from audit.reports.text import fixed, interval, number
from audit.stats.curve_shape import FLAT

NAME = "id_profile"
NAN = float("nan")

MEANING = {
    "hunchback": "it rises and then falls, as in trained networks",
    "flat": f"it stays within a factor of {FLAT:g} of the input, as in untrained networks",
    "falling": "it ends below the input, without a rise that is more than noise",
    "rising": "it ends above the input, without a fall that is more than noise",
    "neither": "its ends cannot be told apart, and it neither stays flat nor rises and then falls",
}

CAVEATS = (
    "It does not establish that the model generalises: the fall of the last layers goes with "
    "accuracy among networks of one family, and nulls that cannot see objects show it too.",
    "Untrained networks can rise and fall too, above all where they pool: only a shape that the "
    "untrained twin lacks says something about training.",
    "A limit on the last layer over the peak can be met by a network that throws away all but the "
    "class, right or wrong, and missed by a good one with few stages.",
    "Above about 20 dimensions the estimate is biased low, so the peak is understated and the "
    "last layer over the peak overstated.",
    "The estimator is the censored maximum likelihood of TwoNN, not the papers' line fit, so "
    "values differ a little from published ones; the fit is not shown.",
    "The untrained twin has open branches and batch norms that are estimated on images. It is the "
    "mean of several networks, whose spread is part of its intervals; with one network, they leave "
    "its draw out.",
    "Curves are comparable within one report only: the estimate depends on the number of images.",
    "A network is looked into at the ends of its stages; a peak between two of them is missed.",
    "All classes are mixed here; the paper's own hunchback figure has images of one class.",
    "Features after a ReLU, a sum or a layer norm differ in more than their depth.",
)


def title(name: str) -> str:
    """What a network is called."""
    return "untrained twin" if name == TWIN else title_of(name)


def found_for(measurements: Sequence[Measurement], kind: str, name: str) -> Measurement | None:
    """One number of a network."""
    return by_quantity(measurements, NAME).get((kind, name))


def curve(measurements: Sequence[Measurement], kind: str, name: str) -> list[Measurement]:
    """The points of one network, in order of depth."""
    own = (m for m in measurements if m.quantity == kind and m.of == name)
    return [m for m in own if m.at is not None]


def sentence(measurements: Sequence[Measurement], name: str) -> str:
    """What one network's curve does."""
    shape = found_for(measurements, "hunchback", name)
    peak = found_for(measurements, "peak_depth", name)
    called = title(name)
    called = f"the {called}" if name == TWIN else called
    if shape is None or peak is None:
        return ""
    if shape.value != shape.value:
        return f"{called[0].upper()}{called[1:]} has no profile: {shape.clause}."
    points = curve(measurements, "dimension", name)
    kind = shape.category
    first, last, largest = (
        fixed(v, 1) for v in (points[0].value, points[-1].value, peak.detail["dimension"])
    )
    ends = f"{first} at the input, {last} at the last layer"
    most = f"at most {largest} at relative depth {fixed(peak.value, 2)}"
    return f"{called[0].upper()}{called[1:]}: {kind} ({ends}, {most}); {MEANING.get(kind, '')}."


def alike(measurements: Sequence[Measurement]) -> str:
    """A warning where the shape is no work of training."""
    both = [found_for(measurements, "hunchback", name) for name in ("subject", TWIN)]
    known = [m for m in both if m is not None and m.value == m.value]
    if len(known) < 2:
        return ""
    own, twin = known
    if own.category == twin.category:
        return "Both have the same shape, so on these images it says nothing about training."
    alone = int(twin.detail.get(own.category, 0))
    if not alone:
        return ""
    return (
        f"Of {int(sum(twin.detail.values()))} untrained networks {alone} by itself "
        + ("has" if alone == 1 else "have")
        + " the model's shape, so on these images it says little about training."
    )


def row(measurements: Sequence[Measurement], name: str) -> dict[str, Cell]:
    """One network's line of the table."""
    points = curve(measurements, "dimension", name)
    shape = found_for(measurements, "hunchback", name)
    peak = found_for(measurements, "peak_depth", name)
    last = found_for(measurements, "last_over_peak", name)
    refused = [f"{m.layer}: {m.note}" for m in points if m.value != m.value]
    known = shape is not None and shape.value == shape.value
    why = [shape.note] if shape is not None and not known else []
    return {
        "network": title(name),
        "shape": shape.category if shape is not None and known else None,
        "peak": number(peak.detail.get("dimension", NAN), "dimensions") if peak else None,
        "its relative depth": fixed(peak.value, 2) if peak else None,
        "between": f"{fixed(peak.low, 2)} to {fixed(peak.high, 2)}" if known and peak else None,
        "last layer": number(points[-1].value, "dimensions") if points else None,
        "95 % interval": interval(points[-1].low, points[-1].high, "dimensions")
        if points
        else None,
        "last over peak": number(last.value, "ratio") if last else None,
        "its interval": interval(last.low, last.high, "ratio") if last else None,
        "n": last.n if last else None,
        "note": " ".join([*why, *refused]),
    }


def chart(measurements: Sequence[Measurement], kind: str, networks: Sequence[str]) -> Chart:
    """One curve a network."""
    linear = kind == "pca"
    return Chart(
        title="Principal components for 90 % of the variance, by depth"
        if linear
        else "Intrinsic dimension, by depth",
        description="Each curve is a network on the same images, from the pixels (0) to the last "
        + (
            "hidden layer (1). Trained and untrained networks often look alike here: the number of "
            "components does not see curved surfaces."
            if linear
            else "hidden layer (1): the TwoNN estimate at the end of every stage, with its 95 % "
            "interval. Trained networks tend to rise and fall, untrained ones to stay flat."
        ),
        kind="line",
        x_label="relative depth (share of multiply-adds before the point)",
        y_label="components" if linear else "dimensions",
        series=tuple(
            series(name, points)
            for name in networks
            for points in [curve(measurements, kind, name)]
            if points
        ),
    )


def series(name: str, points: Sequence[Measurement]) -> Series:
    """One network's curve."""
    role: Role = "untrained" if name == TWIN else role_of(name)
    bars = any(m.low == m.low for m in points)
    return Series(
        name=title(name),
        role=role,
        x=tuple(round(m.at or 0.0, 4) for m in points),
        y=tuple(m.value for m in points),
        low=tuple(m.low for m in points) if bars else (),
        high=tuple(m.high for m in points) if bars else (),
    )
