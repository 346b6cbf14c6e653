"""The words and charts of the accuracy gap: its numbers stand in `audit.checks.accuracy_gap`."""

from collections.abc import Sequence

from audit import baselines
from audit.record import (
    ByQuantity,
    Finding,
    Measurement,
    by_quantity,
    curve,
    role_of,
    title_of,
)
from audit.reports.document import Cell, Chart, Picture, Section, Series, dot
from audit.reports.text import interval, number

NAME = "accuracy_gap"


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the gap into words; see `audit.checks.Check`."""
    found = by_quantity(measurements, NAME)
    curves = [m for m in measurements if m.at is not None]
    return Section(
        name=NAME,
        title="What blind models reach on the same images",
        verdict=None,
        summary=summary(found),
        rows=tuple(row(found, name) for name in models(found)),
        charts=(
            ladder_chart(found),
            *together_chart(found),
            *curve_chart(curves),
            *class_chart(found),
        ),
        pictures=tuple(pictures),
        caveats=(
            "A pass does not exclude shortcuts: a mark on 60 % of the images leaves a large gain. "
            "Compare the accuracy on the images that the null gets wrong.",
            "A small gap means that evidence local to q pixels explains the accuracy, be it "
            "colour, texture or local shape. It does not say which of them the model uses.",
            "The gap over a null is two gaps: model minus sighted twin is recipe, budget, capacity "
            "or pre-training; only sighted twin minus null is the price of blindness.",
            "A null can be under-trained. Allowance is the accuracy that more training might add "
            "to it, and a pass is judged against the null with its allowance.",
            "In each example the left panel is the image as the null sees it; the next shows what "
            "speaks for (orange) and against (blue) the class that the null names.",
            "The right panel is the image as the model sees it: orange where hiding a patch, as "
            "large as the null's and in the mean colour, costs the model's own class some of its "
            "lead over the mean of the classes, blue where it adds to it. Each panel has a colour "
            "scale of its own: compare places, and take amounts from the line below. It is left "
            "out where the model is too slow or cannot be run on such images.",
            "The right panel shows how one output reacts to patches of one colour, which the model "
            "never met: on a plain ground such a patch hides nothing and is itself a new thing. It "
            "does not show what was learned. What an image says twice, or only by how its parts "
            "lie together, stays invisible where one patch is hidden at a time.",
        ),
        references=(
            "Brendel & Bethge (2019), ICLR, arXiv:1904.00760",
            "Liu et al. (2018), NeurIPS, arXiv:1807.03247",
            "Geirhos et al. (2020), NeurIPS, arXiv:2006.16736",
            "Zeiler & Fergus (2014), ECCV, arXiv:1311.2901 (hidden patches)",
        ),
    )


def models(found: ByQuantity) -> list[str]:
    """Names of all models with a gain or an accuracy, in ladder order, the subject last."""
    names = [of for quantity, of in found if quantity in ("gain", "accuracy")]
    ordered = [n for n in dict.fromkeys(names) if n != "subject"]
    return [*ordered, "subject"] if "subject" in names else ordered


def summary(found: ByQuantity) -> str:
    """One or two sentences, for a reader who knows no statistics."""
    subject, name = found.get(("accuracy", "subject")), strongest(found)
    if subject is None or not name:
        return "The model could not be compared with any null."
    closest = found["gain", name]
    text = (
        f"The model is right on {number(subject.value, 'fraction')} of {subject.n:,} images. The "
        f"strongest blind model, {title_of(name)}, reaches "
        f"{number(found['accuracy', name].value, 'fraction')}: {share_of_errors(closest)}."
    )
    twin = found.get(("twin_minus_null", ""))
    if twin is None or twin.value != twin.value:
        return text
    beyond = found["gap", name_in(twin)]
    text += (
        f" The model differs by {number(beyond.value, 'points')} "
        f"({interval(beyond.low, beyond.high, 'points')}) from a sighted network trained the "
        f"null's way (recipe, budget, capacity), and seeing gains that network "
        f"{number(twin.value, 'points')} ({interval(twin.low, twin.high, 'points')})."
    )
    if twin.low <= 0 < closest.low:
        text += (
            " Since that is not clearly above zero, the gap says: it beats a local model trained "
            "on these data, no more."
        )
    return text


def strongest(found: ByQuantity) -> str:
    """The most accurate null that the verdict rests on, by name; empty if none was measured."""
    claims = [of for (kind, of), m in found.items() if kind == "gain" and m.detail.get("claim")]
    known = {name: found["accuracy", name].value for name in claims if ("accuracy", name) in found}
    measured = {name: value for name, value in known.items() if value == value}
    return max(measured, key=measured.__getitem__, default="")


def share_of_errors(gain: Measurement) -> str:
    """A gain in words, also where the null is the better model, or makes no error at all."""
    if gain.value != gain.value:
        return "it makes no error that the model could remove"
    if gain.value >= 0:
        span = interval(gain.low, gain.high, "fraction")
        return f"the model removes {number(gain.value, 'fraction')} of its errors ({span})"
    span = interval(-gain.high, -gain.low, "fraction")
    return f"the model makes {number(-gain.value, 'fraction')} more errors than it ({span})"


def name_in(twin: Measurement) -> str:
    """The name of the sighted twin that a comparison is about."""
    known = baselines.null_kind("sighted")
    assert known is not None
    return known.name(round(twin.detail["q"]), round(twin.detail.get("scale", 1)))


def row(found: ByQuantity, name: str) -> dict[str, Cell]:
    """One model's line of the table."""

    def cell(quantity: str) -> Cell:
        m = found.get((quantity, name))
        return None if m is None else number(m.value, m.unit)

    def span(quantity: str) -> Cell:
        m = found.get((quantity, name))
        return None if m is None else interval(m.low, m.high, m.unit)

    gain = found.get(("gain", name))
    return {
        "model": title_of(name),
        "q": sight(gain, "q"),
        "q in the model's pixels": sight(gain, "q_subject"),
        "q / side": sight(gain, "q_share"),
        "accuracy": cell("accuracy"),
        "95 % interval": span("accuracy"),
        "gap": cell("gap"),
        "gap interval": span("gap"),
        "gain": cell("gain"),
        "gain interval": span("gain"),
        "allowance": cell("allowance"),
        "McNemar p": cell("mcnemar"),
        "kappa": cell("kappa"),
        "counts for the verdict": "yes" if gain and gain.detail.get("claim") else "no",
        "n": (found.get(("accuracy", name)) or found["gain", name]).n,
        "note": gain.note if gain else "",
    }


def sight(gain: Measurement | None, key: str) -> Cell:
    """One of the numbers of `view`; None for models without a receptive field."""
    return None if gain is None or key not in gain.detail else round(gain.detail[key], 2)


def curve_chart(curves: Sequence[Measurement]) -> tuple[Chart, ...]:
    """Was each null trained long enough? Finished accuracies at three budgets."""
    by_null: dict[str, list[Measurement]] = {}
    for m in curves:
        by_null.setdefault(m.of, []).append(m)
    if not by_null:
        return ()
    return (
        Chart(
            title="Were the nulls trained long enough?",
            description="Finished accuracies of each null on held-out training images at a "
            "quarter, half and the whole of its budget, with 95 % intervals. A curve that still "
            "climbs means that more training would make the null stronger.",
            kind="line",
            x_label="training images seen",
            y_label="accuracy on held-out images",
            series=tuple(
                curve(title_of(name), role_of(name), points) for name, points in by_null.items()
            ),
            percent=True,
        ),
    )


def ladder_chart(found: ByQuantity) -> Chart:
    """Accuracy of every rung, the subject last."""
    series = []
    for name in models(found):
        m = found.get(("accuracy", name))
        value, low, high = (m.value, m.low, m.high) if m else (float("nan"),) * 3
        series.append(dot(title_of(name), role_of(name), value, low, high))
    return Chart(
        title="Accuracy of the model and of models that cannot see objects",
        description="Each row is a model; the dot is its accuracy on the same evaluation images, "
        "the bar its 95 % interval. Rows are ordered from the most to the least blind.",
        kind="interval",
        x_label="accuracy",
        y_label="model",
        series=tuple(series),
        percent=True,
    )


def together_chart(found: ByQuantity) -> tuple[Chart, ...]:
    """Subject against the strongest null: which images do both, one or neither get right?"""
    name = next((of for quantity, of in found if quantity == "both_right"), "")
    if not name:
        return ()
    null, kinds = title_of(name), (("right", ("both_right", "only_subject_right")),
                                   ("wrong", ("only_null_right", "both_wrong")))  # fmt: skip
    series = []
    for word, quantities in kinds:
        cells = [found[quantity, name] for quantity in quantities]
        series.append(
            Series(
                name=f"this model {word}",
                role="subject",
                x=(f"{null} right", f"{null} wrong"),
                y=tuple(m.value for m in cells),
                low=tuple(m.low for m in cells),
                high=tuple(m.high for m in cells),
            )
        )
    return (
        Chart(
            title=f"Right and wrong together: this model and {null}",
            description="Shares of all evaluation images. Where both are right, local evidence "
            "was enough; only the field 'this model right' and 'wrong' for the other holds what "
            "the model adds.",
            kind="grid",
            x_label=null,
            y_label="share of the images",
            series=tuple(series),
            percent=True,
        ),
    )


def class_chart(found: ByQuantity) -> tuple[Chart, ...]:
    """Gap over the strongest null by class, at most 30 classes."""
    classes = [m for m in found.values() if m.quantity == "class_gap"]
    if not classes:
        return ()
    shown = sorted(classes, key=lambda m: (m.value != m.value, m.value))[:30]  # NaN last
    return (
        Chart(
            title="Gap over the strongest null, class by class"
            + (f" (the 30 smallest of {len(classes)})" if len(classes) > 30 else ""),
            description="Each row is a class: accuracy of the model minus that of the strongest "
            "null on its images, with intervals that hold for all classes together (95 %). Zero "
            "means that the null does as well.",
            kind="interval",
            x_label="gap in points",
            y_label="class",
            series=tuple(dot(m.of, "subject", m.value, m.low, m.high) for m in shown),
            limits=((0.0, "no gap"),),
            points=True,
        ),
    )
