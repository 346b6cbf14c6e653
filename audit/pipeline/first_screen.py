"""What a reviewer reads before anything else, beside verdict and numbers: what, when, how sure."""

import math
from collections.abc import Sequence

from audit.checks.accuracy_gap.report import NAME as GAP
from audit.checks.accuracy_gap.report import strongest
from audit.checks.data.report import NAME as DATA
from audit.evidence.setup import Setup
from audit.pipeline.provenance import architecture, classes, images, tool
from audit.record import Measurement, by_quantity, title_of
from audit.record.facts import Facts
from audit.reports.document import KeyNumber
from audit.reports.text import interval, number


def audited(facts: Facts) -> dict[str, str]:
    """The few facts that say which audit this is; the others stand at the end of the report."""
    return {
        "Model": facts.model.file,
        "Architecture": architecture(facts.model),
        "SHA-256 of the weights": facts.model.weights_digest,
        "Data": facts.data.source,
        "Images": images(facts.data),
        "Classes": classes(facts.data),
        "SHA-256 of the data": facts.data.digest,
        "Date": facts.audit.date,
        "Tool": tool(facts.audit),
    }


def certainty(setup: Setup, measurements: Sequence[Measurement]) -> str:
    """How sure the numbers are: over how many images and seeds, and how ripe the nulls are."""
    seeds = setup.profile.seeds
    told = (
        f"{seeds} seeds of each null"
        if seeds > 1
        else "one seed of each null, whose spread is assumed to be 1 point"
    )
    data = by_quantity(measurements, DATA)
    counted, left_out = data.get(("counted", "")), data.get(("left_out", ""))
    n = setup.n_eval if counted is None else int(counted.value)
    text = f"Intervals are 95 % intervals, over {n:,} evaluation images and {told}."
    if left_out is not None and left_out.value:
        text += f" {left_out.value:,.0f} more images are left out of the count: they are copies."
    return f"{text} {ripeness(measurements)}".strip()


def ripeness(measurements: Sequence[Measurement]) -> str:
    """What more training might add to the null that has most to gain; empty if none was trained."""
    found = by_quantity(measurements, GAP)
    claims = {of for (kind, of), m in found.items() if kind == "gain" and m.detail.get("claim")}
    allowances = {
        of: m.value for (kind, of), m in found.items() if kind == "allowance" and of in claims
    }
    if not allowances:
        return ""
    name = max(allowances, key=lambda key: (math.isnan(allowances[key]), allowances[key]))
    if not math.isfinite(allowances[name]):
        return f"How much more training would lift {title_of(name)} is not known."
    lift = number(allowances[name], "points")
    return f"More training might lift a null by up to {lift} ({title_of(name)})."


def watermark(setup: Setup) -> str:
    """What a reader must know before the verdict."""
    profile = setup.profile
    if profile.seeds == 1:
        return (
            f"{profile.name} profile: one seed of each null, its spread over seeds is assumed to "
            "be 1 point"
        )
    return "" if profile.name in ("default", "full") else f"{profile.name} profile"


def key_numbers(measurements: Sequence[Measurement]) -> tuple[KeyNumber, ...]:
    """The numbers of the first screen: accuracy, strongest null, gain over the closest one."""
    known, found = by_quantity(measurements, GAP), []
    subject = known.get(("accuracy", "subject"))
    if subject is not None:
        found.append(key_number("Accuracy of this model", subject, "accuracy"))
    name = strongest(known)
    if name:
        accuracy, closest = known["accuracy", name], known["gain", name]
        label = f"Accuracy of {title_of(name)}, the strongest blind model"
        found.append(key_number(label, accuracy, "blind_accuracy"))
        found.append(gain_number(title_of(name), closest))
    return tuple(found)


def gain_number(null: str, gain: Measurement) -> KeyNumber:
    """The gain, in words that stay true where the null is the better model."""
    label = f"Share of the errors of {null} removed"
    if math.isnan(gain.value):
        return KeyNumber(label=label, value="it makes none", interval="", n=gain.n)
    if gain.value >= 0:
        return key_number(label, gain, "gain_over_blind")
    turned = {"value": -gain.value, "low": -gain.high, "high": -gain.low}
    return key_number(f"More errors than {null}, by", gain.model_copy(update=turned), "")


def key_number(label: str, m: Measurement, metric: str) -> KeyNumber:
    """One card; a gain is shown as a share."""
    unit = "fraction" if m.unit == "gain" else m.unit
    return KeyNumber(
        label=label,
        value=number(m.value, unit),
        interval=interval(m.low, m.high, unit),
        n=m.n,
        metric=metric,
        estimate=m.value,
    )


def marks(facts: Facts, setup: Setup) -> str:
    """The flags of the report's first lines; empty for a whole audit of a model that is one."""
    same = f"this model gives the same outputs for all {setup.n_eval:,} images"
    found = (same if facts.model.same_outputs else "", watermark(setup), facts.audit.left_out)
    return "; ".join(mark for mark in found if mark)
