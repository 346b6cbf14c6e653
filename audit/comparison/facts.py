"""What two runs say differently of themselves: model, data, tool, settings, policy."""

import ast
from collections.abc import Iterator, Mapping

from audit.comparison.change import EVALUATION
from audit.reports.text import visible
from audit.runs.finished import FinishedRun

VOLATILE = frozenset(
    ("date", "time", "time by stage", "jobs", "peak memory", "version of null-audit")
)

DATA, WEIGHTS = "SHA-256 of the data", "SHA-256 of the weights"

MAIN = {  # what a reader asks first: (part of the report, key)
    "data": ("data", DATA),
    "evaluation data": ("data", EVALUATION),
    "model": ("subject", WEIGHTS),
    "tool": ("provenance", "tool"),
    "profile": ("provenance", "profile"),
    "seed": ("provenance", "seed"),
}

LONGEST = 160  # characters of one value


def stated(run: FinishedRun) -> dict[str, dict[str, str]]:
    """All that a report says of itself, by part; its policy is one of them."""
    document = run.report.document
    return {
        "data": document.data,
        "subject": document.subject,
        "provenance": {k: v for k, v in document.provenance.items() if k not in VOLATILE},
        "policy": _limits(run.report.policy),
    }


def different(before: FinishedRun, after: FinishedRun) -> tuple[dict[str, str], ...]:
    """A row for each fact that differs: what, A, B; the data first, then the model."""
    rows = []
    for part, first in stated(before).items():
        second = stated(after)[part]
        for key in dict.fromkeys([*first, *second]):
            a, b = first.get(key, "not stated"), second.get(key, "not stated")
            if a != b:
                prefix = "" if part != "policy" else "limit "
                rows += [
                    {"what": f"{prefix}{key}{name}", "A": short(x), "B": short(y)}
                    for name, x, y in _parts(a, b)
                ]
    return tuple(rows)


def agreement(before: FinishedRun, after: FinishedRun) -> str:
    """One sentence: which of data, model, tool, profile, seed and policy are the same."""
    same: list[str] = []
    other: list[str] = []
    unknown: list[str] = []
    first, second = stated(before), stated(after)
    for word, (part, key) in MAIN.items():
        a, b = first[part].get(key), second[part].get(key)
        if a is None and b is None:
            continue
        (unknown if a is None or b is None else same if a == b else other).append(word)
    (same if first["policy"] == second["policy"] else other).append("policy")
    told = (("The same in both", same), ("different", other), ("not stated in both", unknown))
    text = "; ".join(f"{word}: {', '.join(names)}" for word, names in told if names)
    return f"{text[0].upper()}{text[1:]}."


def same_policy(before: FinishedRun, after: FinishedRun) -> bool:
    """Whether both runs were judged by the same limits."""
    return stated(before)["policy"] == stated(after)["policy"]


def short(value: str) -> str:
    """A value to be shown in a table; of a digest the first 12 digits."""
    if len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return value[:12]
    return visible(value, LONGEST)


def _limits(policy: Mapping[str, object]) -> dict[str, str]:
    """The limits of a resolved policy in a line each."""
    limits = policy.get("limits")
    if not isinstance(limits, Mapping):
        return {}
    return {
        str(name): ", ".join(
            f"{key} {value}" for key, value in fields.items() if key != "statement"
        )
        if isinstance(fields, Mapping)
        else str(fields)
        for name, fields in limits.items()
    }


def _parts(a: str, b: str) -> Iterator[tuple[str, str, str]]:
    """What differs within two long values: keys of a mapping, items of a list; else the whole."""
    first, second = _mapping(a), _mapping(b)
    if first and second:
        for key in dict.fromkeys([*first, *second]):
            x, y = (str(found.get(key, "not stated")) for found in (first, second))
            if x != y:
                yield f": {key}", x, y
        return
    one, two = ({frozenset(i.split(", ")): i for i in text.split("; ")} for text in (a, b))
    if one.keys() == two.keys():
        return  # the same in another order
    if len(one) > 1 or len(two) > 1:
        a = "; ".join(item for key, item in one.items() if key not in two) or "–"
        b = "; ".join(item for key, item in two.items() if key not in one) or "–"
    yield "", a, b


def _mapping(text: str) -> dict[str, object]:
    """A printed mapping read back; empty if it is none."""
    try:
        found = ast.literal_eval(text) if text.startswith("{") and len(text) < 10_000 else {}
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
