"""Intrinsic dimension: on how many directions do the last layer's features really vary?

What it measures:
    The TwoNN estimate on the last hidden layer of the model, of each trained null, and of untrained
    networks of each architecture, on the same evaluation images; the logarithm of the ratio to the
    mean of the own untrained networks, paired; and the model's estimate within each class.

    The untrained control is the paper's: networks with open branches, and with batch norms that are
    estimated on about 1,000 training images (evaluation images where there are none). It is the
    geometric mean of three networks (one in the quick profile), because the ratio is a logarithm.
    The variance of that mean over networks is added to the variance over images. Student's t then
    has between 19 degrees of freedom (images) and 2 (networks), by the share of each in the
    variance.

Why it matters:
    Training compresses: among networks of one family a lower last-layer dimension goes with a
    better accuracy (Ansuini et al.). A model whose dimension is that of untrained networks has left
    its features as it found them.

How it can mislead:
    - It has no side that is good by itself: briefly trained networks and blind nulls show the same
      values. It informs and does not gate.
    - Untrained networks of one architecture differ. With one of them, as in the quick profile, the
      interval leaves that out, and another one may turn the sign.
    - It is biased low where the dimension is high: above about 20 read it as a lower bound.
    - The estimator is the censored maximum likelihood of TwoNN, not the papers' line fit, which is
      at hand as `audit.kernels.estimators.two_nn(..., "fit")` and is not shown.
    - It depends on the number of images: compare models on the same images only, and classes with
      others of about as many images, not with all classes together.
    - Features after a ReLU and features after a layer norm are not comparable in absolute terms.

References:
    Facco et al. (2017), Sci. Rep. 7:12140, doi:10.1038/s41598-017-11873-y
    Ansuini et al. (2019), NeurIPS, arXiv:1905.12784
"""

import math
from collections.abc import Sequence

from audit.checks.dimension.jobs import DIMENSION, dimension
from audit.checks.dimension.outcomes import Estimate, LastLayer
from audit.evidence.case import Case, NotMeasured
from audit.evidence.setup import Setup
from audit.evidence.shared_jobs import norms_note
from audit.jobs.job import Job
from audit.jobs.kind import by_name
from audit.kernels.bias import bias_note
from audit.record import (
    About,
    ByQuantity,
    Finding,
    Measurement,
    Unit,
    by_quantity,
    curve,
    role_of,
    title_of,
)
from audit.reports.document import Cell, Chart, Picture, Role, Section, dot
from audit.reports.text import fixed, interval, number

NAME = "intrinsic_dimension"
MOST_CLASSES = 30  # in a chart
ONE_DRAW = "one untrained network: the interval leaves out how much its draw matters"
KINDS = by_name(DIMENSION)
NAMES = {
    "last_layer.<network>": About("dimension of the last hidden layer"),
    "untrained.<network>": About("the same of untrained networks, their mean"),
    "scale.<network>": About("the same of fewer images", single=False),
    "class.<class>": About("dimension of the subject's last layer within one class", of_class=True),
    "log_ratio.<network>": About("log ratio of the two dimensions"),
}
LIMITS = """
  # Intrinsic dimension. It has no side that is good by itself (nulls that cannot see
  # objects fall, too), so it informs, with a bound that only a network far from a trained one
  # misses: the log of the last layer's dimension over that of untrained networks; 0.7 is twice it.
  id_ratio:
    measure: "intrinsic_dimension.log_ratio.subject"
    at_most: 0.7
    severity: info
    optional: true
    statement: "the last layer has at most about twice the dimension of an untrained twin's"
"""
LEFT_OUT: dict[str, str] = {}


def needs(setup: Setup) -> tuple[Job, ...]:
    """The dimensions of all trained models and their untrained networks."""
    return tuple(jobs(setup).values())


def jobs(setup: Setup) -> dict[str, Job]:
    """By model."""
    trained = [null for null in setup.nulls if null.trained]
    found = {"subject": dimension(setup, None)}
    return found | {null.name: dimension(setup, null) for null in trained}


def measure(case: Case) -> list[Measurement]:
    """Dimension, scale curve and ratio to the untrained networks for each model."""
    found: list[Measurement] = []
    for name, job in jobs(case.setup).items():
        try:
            values = case.values(job, LastLayer)
        except NotMeasured as missing:
            found += not_measured(name, str(missing))
            if name == "subject":
                why = str(missing)
                found += [unknown("class", t, "dimensions", why) for t in case.setup.classes]
            continue
        found += of_model(name, values, norms_note(case.setup))
        if name == "subject":
            by_class = zip(case.setup.classes, values.by_class, strict=True)
            found += [measurement("class", title, own) for title, own in by_class]
    return found


def not_measured(name: str, reason: str) -> list[Measurement]:
    """No number under every name that a limit may ask for, and why."""
    units: dict[str, Unit] = {
        "last_layer": "dimensions",
        "untrained": "dimensions",
        "log_ratio": "nats",
    }
    return [unknown(quantity, name, unit, reason) for quantity, unit in units.items()]


def unknown(quantity: str, of: str, unit: Unit, reason: str) -> Measurement:
    """No number, and why."""
    note = f"not measured: {reason}"
    return Measurement(check=NAME, quantity=quantity, of=of, value=math.nan, unit=unit, note=note)


def of_model(name: str, values: LastLayer, norms: str = "") -> list[Measurement]:
    """All measurements of one model, from what its job found.

    Args:
        name: The model.
        values: What its job found.
        norms: What to know of the images that norms were estimated on.
    """
    twin = measurement("untrained", name, values.untrained)
    draws = "; ".join(part for part in (drawn_words(values.drawn), norms) if part)
    note = f"{draws}; {twin.note}" if twin.note else draws
    detail = twin.detail | {"draws": float(len(values.drawn))}
    found = [
        measurement("last_layer", name, values.trained),
        twin.model_copy(update={"note": note, "detail": detail}),
    ]
    found += [
        Measurement(
            check=NAME,
            quantity="scale",
            of=name,
            value=value,
            unit="dimensions",
            low=low,
            high=high,
            n=n,
            at=float(n),
        )
        for n, value, low, high in values.trained.curve
    ]
    value, low, high = values.log_ratio
    ratio = Measurement(
        check=NAME,
        quantity="log_ratio",
        of=name,
        value=value,
        unit="nats",
        low=low,
        high=high,
        n=values.n,
        note=draws if value == value else refusal(values),
        detail={"draws": float(len(values.drawn))},
    )
    return [*found, ratio]


def refusal(values: LastLayer) -> str:
    """Why a model has no ratio."""
    return f"not measured: {values.trained.reason or values.untrained.reason}"


def drawn_words(drawn: Sequence[float]) -> str:
    """How many untrained networks there are, and the dimension of each."""
    if len(drawn) == 1:
        return ONE_DRAW
    each = ", ".join(fixed(value, 1) for value in drawn)
    return f"mean of {len(drawn)} untrained networks ({each})"


def measurement(quantity: str, of: str, e: Estimate) -> Measurement:
    """An estimate of `run_last_layer.estimate` with what is to be said of it."""
    merged = f"{e.duplicates} duplicates merged" if e.duplicates else ""
    parts = [e.reason] if e.reason else [bias_note(e.value, e.n), merged]
    return Measurement(
        check=NAME,
        quantity=quantity,
        of=of,
        value=e.value,
        unit="dimensions",
        low=e.low,
        high=e.high,
        n=e.n,
        note="; ".join(part for part in parts if part),
        detail={"second_estimator": e.second} if math.isfinite(e.second) else {},
    )


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the dimensions into words; see `audit.checks.Check`."""
    found = by_quantity(measurements, NAME)
    names = [of for quantity, of in found if quantity == "last_layer"]
    subject = found.get(("last_layer", "subject"))
    twin = found.get(("untrained", "subject"))
    if subject is None or subject.value != subject.value:
        summary = "The dimension of the model's last layer could not be measured."
    else:
        summary = (
            f"The last layer's features vary along about {fixed(subject.value, 1)} directions "
            f"(95 % interval {fixed(subject.low, 1)} to {fixed(subject.high, 1)}"
            + (f"; {twin_words(twin)})." if twin is not None else ").")
            + within_words(found)
            + " This informs; by itself it is neither good nor bad."
        )
    return Section(
        name=NAME,
        title="Intrinsic dimension of the last layer",
        verdict=None,
        summary=summary,
        rows=tuple(row(found, name) for name in names),
        charts=(dimension_chart(found, names), *scale_chart(measurements), *class_chart(found)),
        pictures=tuple(pictures),
        caveats=(
            "It has no good side by itself: blind nulls and the model often show the same values.",
            "The untrained control has open branches and batch norms that are estimated on images. "
            "It is the mean of several networks, whose spread is part of the interval of the log "
            "ratio; with one network, the interval leaves its draw out.",
            "Above about 20 the estimate is biased low: read it as a lower bound. (2,000 points of "
            "Gaussian clouds of 20, 50 and 100 dimensions read 17, 32 and 49.)",
            "The estimator is the censored maximum likelihood of TwoNN, not the papers' line fit, "
            "so values differ a little from published ones; the fit is not shown.",
            "The second estimator (GRIDE on neighbours 2 and 4) looks at a larger scale: where the "
            "two differ, the dimension depends on the scale. It has no interval of its own.",
            "It depends on the number of images: compare models on the same images only, and a "
            "class with others of about as many images, not with all classes together. Each "
            "class's interval holds by itself: among many classes some miss.",
            "Features after a ReLU and after a layer norm are not comparable in absolute terms.",
        ),
        references=(
            "Facco et al. (2017), Sci. Rep. 7:12140",
            "Ansuini et al. (2019), NeurIPS, arXiv:1905.12784",
        ),
    )


def row(found: ByQuantity, name: str) -> dict[str, Cell]:
    """One model's line of the table."""
    own, twin = found["last_layer", name], found.get(("untrained", name))
    ratio = found.get(("log_ratio", name))
    notes = [own.note, ratio.note if ratio and ratio.value == ratio.value else ""]
    return {
        "model": title_of(name),
        "dimension": number(own.value, "dimensions"),
        "95 % interval": interval(own.low, own.high, "dimensions"),
        "second estimator": number(own.detail.get("second_estimator", float("nan")), "dimensions"),
        "untrained twin": number(twin.value, "dimensions") if twin else None,
        "log ratio to it": number(ratio.value, "nats") if ratio else None,
        "ratio interval": interval(ratio.low, ratio.high, "nats") if ratio else None,
        "n": own.n,
        "note": "; ".join(note for note in notes if note),
    }


def twin_words(twin: Measurement) -> str:
    """The dimension of the untrained networks, in words."""
    draws = int(twin.detail.get("draws", 1))
    many = f"mean of {draws} untrained networks" if draws > 1 else "untrained twin"
    return f"{many} {fixed(twin.value, 1)}"


def classes_in(found: ByQuantity) -> list[Measurement]:
    """Of the subject within one class, where measured; largest first."""
    classes = [m for m in found.values() if m.quantity == "class" and m.value == m.value]
    return sorted(classes, key=lambda m: -m.value)


def within_words(by_name: ByQuantity) -> str:
    """The range over the classes, and on how many images it rests; empty where none is measured."""
    found = classes_in(by_name)
    if len(found) < 2:
        return ""
    least, most = sorted(m.n for m in found)[:: len(found) - 1]
    images = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return (
        f" Within a single class they vary along {fixed(found[-1].value, 1)} to "
        f"{fixed(found[0].value, 1)} ({len(found)} classes of {images} images)."
    )


def class_chart(by_name: ByQuantity) -> tuple[Chart, ...]:
    """The subject's dimension within each class, at most `MOST_CLASSES` of them."""
    found = classes_in(by_name)
    if not found:
        return ()
    more = f" (the {MOST_CLASSES} largest of {len(found)})" if len(found) > MOST_CLASSES else ""
    return (
        Chart(
            title=f"The model's dimension within each class{more}",
            description="Each row is a class: the TwoNN estimate on its images alone, with its "
            "95 % interval. Fewer images give another estimate, so compare classes of like size.",
            kind="interval",
            x_label="dimensions",
            y_label="class",
            series=tuple(
                dot(m.of, "subject", m.value, m.low, m.high) for m in found[:MOST_CLASSES]
            ),
        ),
    )


def dimension_chart(found: ByQuantity, names: Sequence[str]) -> Chart:
    """Every model beside its untrained networks."""
    series = []
    for name in names:
        for kind, suffix in (("last_layer", ""), ("untrained", ", untrained")):
            m = found.get((kind, name))
            if m is None:
                continue
            title = title_of(name) + suffix
            role: Role = "untrained" if suffix else role_of(name)
            series.append(dot(title, role, m.value, m.low, m.high))
    return Chart(
        title="Intrinsic dimension of the last hidden layer",
        description="Each row is a network, trained or with fresh weights, on the same images; the "
        "dot is the TwoNN estimate, the bar its 95 % interval. Of several untrained networks it is "
        "the mean.",
        kind="interval",
        x_label="dimensions",
        y_label="network",
        series=tuple(series),
    )


def scale_chart(measurements: Sequence[Measurement]) -> tuple[Chart, ...]:
    """The estimate against the number of images it rests on."""
    by_model: dict[str, list[Measurement]] = {}
    for m in measurements:
        if m.at is not None and m.quantity == "scale":
            by_model.setdefault(m.of, []).append(m)
    if not by_model:
        return ()
    return (
        Chart(
            title="The same estimate on fewer images",
            description="A flat curve means that the estimate does not depend on the scale at "
            "which it is taken; a falling one means that it is inflated by noise at small scales.",
            kind="line",
            x_label="images",
            y_label="dimensions",
            series=tuple(
                curve(title_of(name), role_of(name), points)
                for name, found in by_model.items()
                for points in [sorted(found, key=lambda m: m.n)]
            ),
        ),
    )
