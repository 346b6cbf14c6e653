"""Limits of a policy: plain records, read from YAML and checked before anything is measured."""

import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast

from audit.policy.location import SourceFile, line_of, nearest, suggestion, unknown_key
from audit.policy.vocabulary import REFERENCE, Vocabulary, fits
from audit.policy.waivers import Waiver, parse_waivers
from audit.record import Measurement
from audit.reports import yaml
from audit.reports.document import FrozenModel, Severity
from audit.reports.text import visible

Comparator = Literal["at_least", "at_most", "above", "below"]
COMPARATORS: tuple[Comparator, ...] = ("at_least", "at_most", "above", "below")
SEVERITIES: tuple[Severity, ...] = ("gate", "warn", "info")
TEXTS = {"measure": "measure", "relative_to": "relative_to", "class": "of_class"}
FIELDS = (*TEXTS, *COMPARATORS, "severity", "optional", "statement")
MOST_BYTES = 1_000_000  # of a policy or a configuration; far more than anybody writes by hand
KEYS = ("version", "reference", "limits", "waivers")
GAIN_PREFIXES = ("accuracy_gap.gain.", "accuracy_gap.balanced_gain.")
ACCURACY, GAP = "accuracy_gap.accuracy.subject", "accuracy_gap.gap."


class Limit(FrozenModel):
    """Requirement of a policy.

    Attributes:
        name: Key in the policy.
        measure: Pattern over names of measurements; * matches anything.
        relative_to: Origin of the differences that are judged: "reference" for the reference run,
            the name of a null for its accuracy; empty for the measurement itself.
        of_class: Name of the one class whose measurement is judged, matched literally; empty for
            all classes.
        comparator: Side of the bound on which the whole interval must be.
        bound: Bound in the measurement's unit.
        severity: Severity; only "gate" decides the exit code.
        optional: Whether some profiles do not measure it; without a measurement it then warns
            at most.
        statement: Requirement in words; {limit} is replaced by the bound.
        file: File of the user that sets it; empty for a default limit.
        line: Line in that file; 0 if unknown.
        by_class: Beginnings of the names that end in a class, for messages.
    """

    name: str
    measure: str
    relative_to: str = ""
    of_class: str = ""
    comparator: Comparator
    bound: float
    severity: Severity
    optional: bool = False
    statement: str = ""
    file: str = ""
    line: int = 0
    by_class: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Return the pattern over names of the measurements that are judged."""
        if self.relative_to == "reference":
            return REFERENCE + self.measure
        return GAP + self.relative_to if self.relative_to else self.measure

    def asks_for(self, m: Measurement) -> bool:
        """Tell whether a measurement is judged by this limit."""
        if self.of_class and m.of != self.of_class:
            return False
        if m.minus_reference and not self.target.startswith(REFERENCE):
            return False  # "*" means what this audit measured, not what changed
        return fits(self.target, m.name)


class Policy(FrozenModel):
    """Limits, in the order in which they are judged and shown.

    Attributes:
        version: Version of the file's format.
        limits: Limits in order.
        waivers: Limits that are excused for a while.
        reference: Path of the run that limits may be relative to, or empty.
        reference_place: File and line that name the reference, for messages.
    """

    version: int = 1
    limits: tuple[Limit, ...]
    waivers: tuple[Waiver, ...] = ()
    reference: str = ""
    reference_place: str = ""

    @property
    def needs_reference(self) -> str:
        """Return the name of the first limit relative to a reference run; empty if none is."""
        relative = (lim.name for lim in self.limits if lim.target.startswith(REFERENCE))
        return next(relative, "")


def load_policy(
    path: Path | None = None, *, vocabulary: Vocabulary, today: date | None = None
) -> Policy:
    """Read a policy file; its limits change or extend the default ones.

    Args:
        path: YAML file with `limits` and, optionally, `waivers`, `reference` (a path relative to
            the file) and `version`; None for the default policy.
        vocabulary: Names that a limit can ask for, and the default limits.
        today: Day by which waivers expire; None for today in UTC.

    Raises:
        AuditError: POLICY_INVALID or POLICY_WAIVER_EXPIRED, with the file and the line.
    """
    default = default_policy(vocabulary)
    if path is None:
        return default
    where = SourceFile(source=visible(str(path)))
    try:
        if not path.is_file():
            raise where.refusal((), "is no file; give the path of a YAML file with `limits`")
        if path.stat().st_size > MOST_BYTES:
            raise where.refusal((), "is larger than a megabyte")
        text = path.read_text(encoding="utf-8")
        raw = yaml.load(text)
    except (OSError, UnicodeDecodeError):
        problem = "cannot be read as UTF-8 text; check the path and rights"
        raise where.refusal((), problem) from None
    except ValueError as error:
        raise where.refusal((), f"is not valid: {error}") from None
    where = SourceFile(source=where.source, text=text)
    policy = parse_policy(raw, vocabulary, base=default, where=where, today=today)
    if not policy.reference:
        return policy
    return policy.model_copy(
        update={
            "reference": str(path.parent / policy.reference),
            "reference_place": where.location(("reference",)),
        }
    )


def default_policy(vocabulary: Vocabulary) -> Policy:
    """The limits that apply unless a user changes them."""
    return parse_policy(yaml.load(f"limits:\n{vocabulary.limits}"), vocabulary, base=None)


def parse_policy(
    raw: Mapping[str, Any],
    vocabulary: Vocabulary,
    *,
    base: Policy | None,
    where: SourceFile | None = None,
    today: date | None = None,
) -> Policy:
    """Check a policy that is already plain data.

    Args:
        raw: Plain data {"version": 1, "limits": {name: {measure, at_least | …, severity, …}},
            "waivers": {name: {reason, until}}, "reference": path}.
        vocabulary: Names that a limit can ask for.
        base: Policy whose limits are changed and extended; None if `raw` is complete.
        where: File and text, for messages.
        today: Day by which waivers expire; None for today in UTC.

    Raises:
        AuditError: POLICY_INVALID or POLICY_WAIVER_EXPIRED.
    """
    where = where or SourceFile(source="the policy")
    for key in raw:
        if key not in KEYS:
            raise where.refusal((key,), unknown_key(key, KEYS))
    version, reference = raw.get("version", 1), raw.get("reference")
    if version != 1 or isinstance(version, bool):
        raise where.refusal(("version",), "has a `version` other than 1, which is unknown here")
    if reference is not None and not (isinstance(reference, str) and reference):
        raise where.refusal(("reference",), "needs `reference` to be the path of a stored run")
    given = raw.get("limits")
    if not isinstance(given, Mapping) and not (given is None and base is not None):
        raise where.refusal(("limits",), "needs `limits`, a mapping of names to limits")
    limits = {limit.name: limit for limit in (base.limits if base else ())}
    for name, fields in (given or {}).items():
        line = line_of(where.text, ("limits", name))
        found = _limit(name, fields, limits, where)
        key, problem = _contradiction(found, vocabulary)
        if problem:
            raise where.refusal(("limits", name, key), problem)
        place = {"file": where.source if line else "", "line": line}
        limits[name] = found.model_copy(update={**place, "by_class": vocabulary.by_class})
    return Policy(
        limits=tuple(limits.values()),
        waivers=parse_waivers(raw.get("waivers"), tuple(limits), where, today),
        reference=reference or "",
    )


def resolved(policy: Policy) -> dict[str, object]:
    """Convert the policy to plain data that `parse_policy` reads back."""
    limits = {}
    for limit in policy.limits:
        texts = {key: getattr(limit, own) for key, own in TEXTS.items() if getattr(limit, own)}
        fields: dict[str, object] = texts | {limit.comparator: limit.bound}
        fields |= {"severity": limit.severity, "optional": limit.optional}
        limits[limit.name] = fields | ({"statement": limit.statement} if limit.statement else {})
    waivers = {
        waiver.limit: {"reason": waiver.reason, "until": str(waiver.until)}
        | ({"by": waiver.by} if waiver.by else {})
        for waiver in policy.waivers
    }
    found: dict[str, object] = {"version": policy.version, "limits": limits}
    found |= {"waivers": waivers} if waivers else {}
    return found | ({"reference": policy.reference} if policy.reference else {})


def _limit(name: object, given: object, known: Mapping[str, Limit], where: SourceFile) -> Limit:
    """Check one limit, merged with the known one of the same name."""
    if not isinstance(name, str) or not name:
        raise where.refusal(("limits",), f"has a limit named {name!r}; a name must be a word")
    shown, keys = visible(name, 60), ("limits", name)
    if not isinstance(given, Mapping):
        problem = f"needs a mapping for the limit `{shown}`, such as {{at_most: 0.1}}"
        raise where.refusal(keys, problem)
    for key, value in given.items():
        if key not in FIELDS:
            raise where.refusal((*keys, str(key)), unknown_key(key, FIELDS))
        problem = _problem(key, value)
        if problem:
            raise where.refusal((*keys, key), f"needs {problem} for `{shown}.{key}`")
    return Limit.model_validate(_merged(name, given, known, where))


def _merged(
    name: str, given: Mapping[str, Any], known: Mapping[str, Limit], where: SourceFile
) -> dict[str, object]:
    """Merge the given fields of a limit with those of the known one of the same name."""
    shown = visible(name, 60)
    sides = [key for key in COMPARATORS if key in given]
    if len(sides) > 1:
        text = f"gives `{shown}` both `{sides[0]}` and `{sides[1]}`; make it two limits"
        raise where.refusal(("limits", name, sides[1]), text)
    fields: dict[str, object] = known[name].model_dump() if name in known else {"name": name}
    if any(_changes(key, value, fields) for key, value in given.items()):
        fields.pop("statement", None)  # it spoke of what was asked before
    fields |= {TEXTS.get(key, key): given[key] for key in given if key not in COMPARATORS}
    if sides:
        fields |= {"comparator": sides[0], "bound": float(given[sides[0]])}
    for key, words in (
        ("measure", "`measure`"),
        ("comparator", "a number: one of `at_least`, `at_most`, `above`, `below`"),
        ("severity", "`severity`"),
    ):
        if key not in fields:
            near = nearest(name, [*known]) if name not in known else ""
            hint = f"; the nearest limit is `{visible(near, 60)}`" if near else ""
            raise where.refusal(("limits", name), f"needs {words} for the limit `{shown}`{hint}")
    return fields


def _changes(key: str, value: object, fields: Mapping[str, object]) -> bool:
    """Tell whether a field makes the limit require something else, not only more or less."""
    if key in COMPARATORS:
        return fields.get("comparator", key) != key
    return key in TEXTS and fields.get(TEXTS[key], value) != value


def _problem(key: str, value: object) -> str:
    """Say what a field should have been; empty if it is valid."""
    if key in COMPARATORS:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        finite = number and abs(cast(float, value)) < 1e300 and math.isfinite(cast(float, value))
        return "" if finite else "a finite number"
    if key == "severity":
        return "" if value in SEVERITIES else "one of gate, warn, info"
    if key == "optional":
        return "" if isinstance(value, bool) else "true or false"
    return "" if isinstance(value, str) and value else "some text"


def _contradiction(limit: Limit, known: Vocabulary) -> tuple[str, str]:
    """Name the field that requires what no check makes, and say why; empty if there is none."""
    shown, relative = visible(limit.name, 60), limit.relative_to
    if relative and relative not in ("reference", *known.nulls):
        hint = suggestion(relative, ("reference", *known.nulls), "of them")
        return "relative_to", (
            f"sets `{shown}` relative to `{visible(relative, 60)}`, which is neither `reference` "
            f"nor a null; {hint}"
        )
    if relative in known.nulls and limit.measure != ACCURACY:
        return "relative_to", f"can set only `{ACCURACY}` relative to a null, for `{shown}`"
    if not known.is_made(limit.target):
        near = known.nearest_name(limit.target).removeprefix(REFERENCE if relative else "")
        hint = f"the nearest known name is `{near}`" if near else "`audit init` lists all names"
        return "measure", (
            f"asks in `{shown}` for the measurement `{visible(limit.measure, 80)}`, which no check "
            f"makes{' as one number' if relative else ''}; {hint}"
        )
    by_class = [f"{prefix}*" for prefix in known.by_class]
    if limit.of_class and limit.measure.removeprefix(REFERENCE) not in by_class:
        names = " or ".join(f"`{name}`" for name in by_class)
        return "class", f"can ask for a class only of {names}, for `{shown}`"
    gains = limit.target.startswith(GAIN_PREFIXES)
    if gains and (limit.comparator not in ("at_least", "above") or limit.bound >= 1):
        text = f"needs `at_least` with a number below 1 for the gain in `{shown}`"
        return limit.comparator, text
    return "", ""
