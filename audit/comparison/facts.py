"""What two runs say differently of themselves: model, data, tool, settings, policy."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from audit.record.facts import Facts
from audit.reports.text import visible
from audit.runs.finished import FinishedRun
from audit.runs.upgrade_facts import FORGOTTEN, VERSION

VOLATILE = frozenset(  # fields that no two runs share
    (
        "date",
        "jobs",
        "reused",
        "workers",
        "seconds",
        "audit_seconds",
        "stage_seconds",
        "peak_memory",
        "reference",
    )
)

TOOL = "null-audit"  # among the versions; it stands there twice
UNSHARED = (*FORGOTTEN, "date", "profile", VERSION + TOOL)  # the profile is compared by field
LONGEST = 160  # characters of one value


def different(before: FinishedRun, after: FinishedRun) -> tuple[dict[str, str], ...]:
    """A row for each fact that differs: what, A, B; the data first, then the model."""
    early = before.report.facts.stated or after.report.facts.stated
    first, second = map(in_words if early else stated, (before, after))
    return tuple(
        {"what": label, "A": short(a), "B": short(b)}
        for label in dict.fromkeys([*first, *second])
        for a, b in [(first.get(label, "not stated"), second.get(label, "not stated"))]
        if a != b
    )


def stated(run: FinishedRun) -> dict[str, str]:
    """All that a run says of itself, by label; its policy is part of it."""
    facts = run.report.facts
    parts = (facts.data, facts.model, facts.audit)
    found = {label: text for part in parts for label, text in fields("", part)}
    limits = {f"limit {name}": text for name, text in limits_of(run).items()}
    return found | limits


def in_words(run: FinishedRun) -> dict[str, str]:
    """The same in the words of the report: an early one has fields for a part of them only."""
    told, facts = run.report.document, run.report.facts
    made = {label: text for label, text in told.provenance.items() if label not in UNSHARED}
    profile = dict(spelled("profile", facts.audit.profile))
    limits = {f"limit {name}": text for name, text in limits_of(run).items()}
    return told.data | told.subject | made | profile | limits


def fields(prefix: str, record: BaseModel) -> Iterator[tuple[str, str]]:
    """Label and words of every field that is known."""
    for name, about in type(record).model_fields.items():
        if name not in VOLATILE:
            label = about.title or name.replace("_", " ")
            yield from spelled(prefix + label, getattr(record, name))


def spelled(label: str, value: object) -> Iterator[tuple[str, str]]:
    """A value by its label; of what has parts, each of them."""
    if isinstance(value, BaseModel):
        yield from fields(f"{label}: ", value)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if key != TOOL:
                yield from spelled(f"{label}: {key}", part)
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        for part in value:
            yield from fields(f"{label}: {getattr(part, 'title', '')}: ", part)
    elif isinstance(value, tuple) and value:
        yield label, ", ".join(map(str, value))
    elif value not in (None, "", ()):
        yield label, str(value)


def agreement(before: FinishedRun, after: FinishedRun) -> str:
    """One sentence: which of data, model, tool, profile, seed and policy are the same."""
    same: list[str] = []
    other: list[str] = []
    unknown: list[str] = []
    first, second = (main(run.report.facts) for run in (before, after))
    for word, a in first.items():
        b = second[word]
        if is_known(a) or is_known(b):
            both = is_known(a) and is_known(b)
            (unknown if not both else same if a == b else other).append(word)
    (same if same_policy(before, after) else other).append("policy")
    told = (("The same in both", same), ("different", other), ("not stated in both", unknown))
    text = "; ".join(f"{word}: {', '.join(names)}" for word, names in told if names)
    return f"{text[0].upper()}{text[1:]}."


def main(facts: Facts) -> dict[str, object]:
    """What a reader asks first."""
    return {
        "data": facts.data.digest,
        "evaluation data": facts.data.eval_digest,
        "model": facts.model.weights_digest,
        "tool": facts.audit.tool_version,
        "profile": facts.audit.profile,
        "seed": facts.audit.seed,
    }


def is_known(value: object) -> bool:
    """Whether a fact is stated: a seed of 0 is."""
    return value not in (None, "", {})


def same_policy(before: FinishedRun, after: FinishedRun) -> bool:
    """Whether both runs were judged by the same limits."""
    return limits_of(before) == limits_of(after)


def short(value: str) -> str:
    """A value to be shown in a table; of a digest the first 12 digits."""
    if len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return value[:12]
    return visible(value, LONGEST)


def limits_of(run: FinishedRun) -> dict[str, str]:
    """The limits of a resolved policy in a line each, their fields in one order."""
    limits = run.report.policy.get("limits")
    if not isinstance(limits, Mapping):
        return {}
    return {
        str(name): ", ".join(
            f"{key} {value}" for key, value in sorted(limit.items()) if key != "statement"
        )
        if isinstance(limit, Mapping)
        else str(limit)
        for name, limit in limits.items()
    }
