"""Reports of earlier versions as ones of now: the only place that takes words apart.

Schema version 1 states what a number is of in its dotted name alone, and most facts in words alone.
Early reports of version 2 lack some fields of measurements and of the document.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from audit.runs.upgrade_facts import facts_of

Plain = dict[str, Any]
BY_LAYER = ("id_profile.dimension.", "id_profile.pca.")  # the network, then its layer
NO_SHAPE = "not measured: "  # begins the note of a curve without a shape
SHAPES = ("id_profile.hunchback.", "id_profile.flat.")  # the note begins with the kind of shape


def upgraded(raw: Plain) -> Plain:
    """The content of a `report.yaml` of version 1 as version 2 would have stored it.

    Args:
        raw: As read. What is damaged stays as it is, for the record to refuse.
    """
    measurements = raw.get("measurements")
    if not isinstance(measurements, Sequence) or not all(map(is_named, measurements)):
        return raw
    reduced = is_reduced(raw)
    better: Mapping[str, Any] = next(
        (m for m in measurements if m["name"] == "preprocessing.better"), {}
    )
    made = [one(m, reduced, str(better.get("note", ""))) for m in measurements]
    facts = facts_of(raw.get("document"), classes_in(made))
    return completed(raw | {"schema_version": 2, "facts": facts, "measurements": made})


def completed(raw: Plain) -> Plain:
    """The content of a `report.yaml` of version 2, with the fields that were added to it since.

    Args:
        raw: As read. What is damaged stays as it is, for the record to refuse.
    """
    document, facts, measurements = (raw.get(k) for k in ("document", "facts", "measurements"))
    made = dict(raw)
    data = facts.get("data") if isinstance(facts, Mapping) else None
    if isinstance(document, Mapping) and isinstance(data, Mapping):
        known = {f"data_{key}": data[key] for key in ("source", "digest") if key in data}
        made["document"] = known | dict(document)
    if isinstance(measurements, Sequence) and all(map(is_named, measurements)):
        made["measurements"] = [{"clause": clause(m)} | dict(m) for m in measurements]
    return made


def clause(m: Mapping[str, Any]) -> str:
    """The part of a measurement's note that its check's summary uses; empty if it uses none."""
    name, note = m["name"], str(m.get("note", ""))
    measured = m.get("value") == m.get("value")  # not NaN
    if name == "split_transfer.base" and measured:
        return note.rpartition(";")[0]
    if name.startswith("id_profile.") and m.get("at") is None and note.startswith(NO_SHAPE):
        return note.removeprefix(NO_SHAPE).removesuffix(".")
    return ""


def classes_in(measurements: Sequence[Plain]) -> list[str]:
    """Names of the classes in label order, as the data's own check counts their images."""
    own = (m for m in measurements if m["check"] == "data" and not m["minus_reference"])
    return [m["of"] for m in own if m["quantity"] == "eval_images"]


def is_named(m: object) -> bool:
    """Whether it has what a measurement of version 1 has at least."""
    return isinstance(m, Mapping) and isinstance(m.get("name"), str)


def one(m: Mapping[str, Any], reduced: bool, better: str) -> Plain:
    """One measurement.

    Args:
        m: Of version 1.
        reduced: Whether the nulls saw smaller images than the model.
        better: Note of the measurement that names the clearly better ways of preprocessing.
    """
    name, note, detail = m["name"], str(m.get("note", "")), m.get("detail", {})
    made = {key: value for key, value in m.items() if key != "name"} | quantity(name)
    made["clause"] = clause(m)
    if name.startswith(SHAPES) and m.get("value") == m.get("value"):
        made["category"] = note.partition(":")[0]
    if isinstance(detail, Mapping):
        detail = with_sides(detail, reduced)
        if name == "accuracy_gap.twin_minus_null" and " against " in note:
            detail = detail | size_of_twin(note)
        if name.startswith("preprocessing.gain."):
            detail = detail | {"clearly_better": float(note in better.partition(": ")[2])}
        made["detail"] = detail
    return made


def quantity(name: str) -> Plain:
    """What a measurement is of, by its name: classes and layers may contain dots, nulls do not."""
    bare = name.removeprefix("reference.")
    check, _, rest = bare.partition(".")
    kind, _, of = rest.partition(".")
    layer = ""
    if bare.startswith(BY_LAYER):
        of, _, layer = of.partition(".")
    fields = {"check": check, "quantity": kind, "of": of, "layer": layer}
    return fields | {"minus_reference": bare != name}


def size_of_twin(note: str) -> dict[str, float]:
    """The receptive field of the sighted twin that "SightedTwin-9 against BagNet-9" is about."""
    digits = note.split(" against ")[0].rpartition("-")[2]
    return {"q": float(digits)} if digits.isdecimal() else {}


def is_reduced(raw: Plain) -> bool:
    """Whether the report says in words that its nulls saw smaller images than the model."""
    document = raw.get("document")
    data = document.get("data") if isinstance(document, Mapping) else None
    return isinstance(data, Mapping) and "the model sees" in str(data.get("nulls see", ""))


def with_sides(detail: Mapping[str, Any], reduced: bool) -> Plain:
    """A measurement's detail, with the sides of null and model, which the judge asks for.

    Early reports give q in the null's own pixels and in the model's, along its shorter side, which
    tells the sides apart for squares. That a longer side was reduced stands only in words. Where
    they cannot be told nothing is added, and no gain passes.

    Args:
        detail: Of version 1.
        reduced: From `is_reduced`.
    """
    known = dict(detail)
    given = [known.get(key) for key in ("q", "q_subject", "q_share")]
    if "subject_side" in known or not all(map(is_length, given)):
        return known
    q, q_subject, q_share = (float(str(number)) for number in given)
    side, seen = round(q / q_share), round(q_subject / q_share)
    return known | {"side": side, "subject_side": max(seen, side + reduced)}


def is_length(given: object) -> bool:
    """Whether something is a finite number above 0."""
    return isinstance(given, int | float) and math.isfinite(given) and given > 0
