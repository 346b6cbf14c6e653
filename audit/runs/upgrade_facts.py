"""The facts that a report of schema version 1 states in words, as the fields of version 2.

What cannot be read stays unknown; what has no field keeps its words, by their label.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

Plain = dict[str, Any]
FORGOTTEN = ("time", "time by stage", "jobs", "peak memory")  # no two runs share them
IMAGES = re.compile(r"([\d,]+) training( \(not at hand\))?, ([\d,]+) evaluation")
SIDE = re.compile(r"(\d{1,6}) x ")
MODEL_SIDES = re.compile(r"the model sees (\d{1,6})(?:x(\d{1,6}))?")
PART = re.compile(r"central part, (\d{1,4}) high to (\d{1,4}) wide")
LONGEST = 10_000  # letters of a printed mapping that is read
CACHED = ", but for what came from the cache"  # after a device
VERSION = "version of "


def facts_of(document: object, classes: Sequence[str]) -> Plain:
    """The facts of a report.

    Args:
        document: What readers see, as stored.
        classes: Names of the classes, in label order, as measurements give them; empty if none do.
    """
    known = document if isinstance(document, Mapping) else {}
    subject, data, made = (words(known.get(part)) for part in ("subject", "data", "provenance"))
    facts = {
        "model": about_model(subject),
        "data": about_data(data, classes),
        "audit": about_audit(made),
    }
    stated = subject | data | {key: text for key, text in made.items() if key not in FORGOTTEN}
    return facts | {"stated": stated}


def words(given: object) -> dict[str, str]:
    """Labels and words; empty where there are none."""
    if not isinstance(given, Mapping):
        return {}
    return {str(label): str(text) for label, text in given.items()}


def about_model(subject: dict[str, str]) -> Plain:
    """Take what was audited out of its words."""
    architecture, _, arguments = subject.pop("architecture", "").partition(" (")
    weights, *others = subject.pop("weights", "").split("; ")
    found: Plain = {
        "file": subject.pop("file", ""),
        "architecture": architecture,
        "arguments": {key: repr(value) for key, value in printed(arguments[:-1]).items()},
        "architecture_from": subject.pop("architecture known", ""),
        "container": subject.pop("container", ""),
        "weights": weights,
        "other_weights": others,
        "parameters": counted(subject.pop("parameters", "")),
        "input": subject.pop("input", ""),
        "file_digest": subject.pop("SHA-256 of the file", ""),
        "weights_digest": subject.pop("SHA-256 of the weights", ""),
    }
    return found | pretrained(subject.pop("pre-trained on other data", "unknown"))


def pretrained(text: str) -> Plain:
    """The fields on what the model learned before."""
    answer, said, _ = text.partition(", says the checkpoint")
    if said and answer in ("yes", "no"):
        return {"pretrained": answer, "pretrained_by": "checkpoint"}
    if text == "unknown":
        return {}
    if text == "no":
        return {"pretrained": "no", "pretrained_by": "user"}
    return {"pretrained": "yes", "pretrained_on": text, "pretrained_by": "user"}


def about_data(data: dict[str, str], classes: Sequence[str]) -> Plain:
    """Take the data out of their words."""
    images, text = IMAGES.match(data.pop("images", "")), data.pop("nulls see", "")
    side, sides = SIDE.match(text), MODEL_SIDES.search(text)
    chosen = data.pop("evaluation images were used to choose the model", "unknown")
    left_out = data.pop("left out", "")
    return {
        "source": data.pop("source", ""),
        "digest": data.pop("SHA-256 of the data", ""),
        "eval_digest": data.pop("SHA-256 of the evaluation data", ""),
        "classes": named(data.pop("classes", ""), classes),
        "n_train": counted(images[1]) if images else None,
        "n_eval": counted(images[3]) if images else None,
        "training_images": not images[2] if images else None,
        "grey": {"grey": True, "colour": False}.get(data.pop("channels", "")),
        "left_out": 0 if left_out == "nothing" else counted(left_out.removesuffix(" files")),
        "null_side": int(side[1]) if side else None,
        "frame": frame(text),
        "model_size": (int(sides[1]), int(sides[2] or sides[1])) if sides else None,
        "nulls_reduced": "the model sees" in text if text else None,
        "chose_model": chosen if chosen in ("yes", "no") else "unknown",
    }


def named(text: str, classes: Sequence[str]) -> list[str]:
    """The classes ("2: a, b"), which are listed whole only where they are few; else none."""
    count, _, listed = text.partition(": ")
    for found in (list(classes), listed.split(", ")):
        if str(len(found)) == count:
            return found
    return []


def frame(text: str) -> str:
    """What of an image the nulls see; empty if it is not stated."""
    if "the whole image" in text:
        return "whole"
    part = PART.search(text)
    return f"{part[1]}:{part[2]}" if part else "1:1" if "the central square" in text else ""


def about_audit(made: dict[str, str]) -> Plain:
    """Take how the audit was made out of its words."""
    labels = [label for label in made if label.startswith(VERSION)]
    return {
        "tool_version": made.pop("tool", "").removeprefix("null-audit "),
        "date": made.pop("date", ""),
        "seed": counted(made.pop("seed", "")),
        "profile": printed(made.pop("profile", "")),
        "device": made.pop("device", "").removesuffix(CACHED),
        "versions": {label.removeprefix(VERSION): made.pop(label) for label in labels},
    }


def counted(text: str) -> int | None:
    """A number without its commas; None if it is none."""
    digits = text.replace(",", "")
    return int(digits) if digits.isdecimal() and len(digits) < 20 else None


def printed(text: str) -> Plain:
    """A printed mapping read back, tuples as the lists of version 2; empty if it is none."""
    try:
        found = ast.literal_eval(text) if text.startswith("{") and len(text) < LONGEST else {}
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    mapping = found if isinstance(found, dict) else {}
    return {
        str(key): list(value) if isinstance(value, tuple) else value
        for key, value in mapping.items()
    }
