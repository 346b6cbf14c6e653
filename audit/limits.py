"""Limits of a policy: plain records, read from YAML and checked before anything is measured."""

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast

from audit.record import AuditError
from reports import yaml
from reports.text import visible
from reports.words import Severity, Word

Comparator = Literal["at_least", "at_most", "above", "below"]
COMPARATORS: tuple[Comparator, ...] = ("at_least", "at_most", "above", "below")
SEVERITIES: tuple[Severity, ...] = ("gate", "warn", "info")
FIELDS = ("measure", *COMPARATORS, "severity", "optional", "statement")
GAIN_PREFIXES = ("accuracy_gap.gain.", "accuracy_gap.balanced_gain.")
DEFAULT = Path(__file__).with_name("policy.yaml")


class Limit(Word):
    """One limit.

    Attributes:
        name: The policy's key.
        measure: Pattern over names of measurements; * stands for anything.
        comparator: On which side of the bound the whole interval has to lie.
        bound: In the measurement's unit.
        severity: Only "gate" decides the exit code.
        optional: Whether some profiles do not measure it; without a measurement it then warns
            at most.
        statement: In words; {limit} stands for the bound.
    """

    name: str
    measure: str
    comparator: Comparator
    bound: float
    severity: Severity
    optional: bool = False
    statement: str = ""


class Policy(Word):
    """All limits, in the order in which they are judged and shown."""

    version: int = 1
    limits: tuple[Limit, ...]


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file; its limits change or extend the default ones.

    Args:
        path: YAML with `limits` and, if you like, `version`. None: the default policy.

    Raises:
        AuditError: POLICY_INVALID, with the file and, where known, the line.
    """
    default = parse_policy(yaml.load(DEFAULT.read_text(encoding="utf-8")), base=None)
    if path is None:
        return default
    source = visible(str(path))
    try:
        if not path.is_file():
            raise _refusal(source, "is no file; give the path of a YAML file with `limits`")
        text = path.read_text(encoding="utf-8")
        raw = yaml.load(text)
    except (OSError, UnicodeDecodeError):
        raise _refusal(source, "cannot be read as UTF-8 text; check the path and rights") from None
    except ValueError as error:
        raise _refusal(source, f"is not valid: {error}") from None
    return parse_policy(raw, base=default, source=source, text=text)


def parse_policy(
    raw: Mapping[str, Any], *, base: Policy | None, source: str = "the policy", text: str = ""
) -> Policy:
    """Check a policy that is already plain data.

    Args:
        raw: {"version": 1, "limits": {name: {measure, at_least | …, severity, …}}}.
        base: Policy whose limits are changed and extended; None: `raw` stands alone.
        source: File name for messages.
        text: The file's text, to find lines for messages.

    Raises:
        AuditError: POLICY_INVALID.
    """
    where = _Where(source=source, text=text)
    for key in raw:
        if key not in ("version", "limits"):
            raise where.refusal((key,), _unknown(key, ("version", "limits")))
    version = raw.get("version", 1)
    if version != 1 or isinstance(version, bool):
        raise where.refusal(("version",), "has a `version` other than 1, which is unknown here")
    given = raw.get("limits")
    if not isinstance(given, Mapping) and not (given is None and base is not None):
        raise where.refusal(("limits",), "needs `limits`, a mapping of names to limits")
    limits = {limit.name: limit for limit in (base.limits if base else ())}
    for name, fields in (given or {}).items():
        limits[name] = _limit(name, fields, limits, where)
    return Policy(limits=tuple(limits.values()))


def resolved(policy: Policy) -> dict[str, object]:
    """The policy as plain data that `parse_policy` reads back."""
    limits = {}
    for limit in policy.limits:
        fields: dict[str, object] = {"measure": limit.measure, limit.comparator: limit.bound}
        fields |= {"severity": limit.severity, "optional": limit.optional}
        limits[limit.name] = fields | ({"statement": limit.statement} if limit.statement else {})
    return {"version": policy.version, "limits": limits}


def _limit(name: object, given: object, known: Mapping[str, Limit], where: "_Where") -> Limit:
    """One limit, over the one of the same name."""
    if not isinstance(name, str) or not name:
        raise where.refusal(("limits",), f"has a limit named {name!r}; a name must be a word")
    shown = visible(name, 60)
    if not isinstance(given, Mapping):
        raise where.refusal(
            ("limits", name), f"needs a mapping for the limit `{shown}`, such as {{at_most: 0.1}}"
        )
    for key, value in given.items():
        if key not in FIELDS:
            raise where.refusal(("limits", name, str(key)), _unknown(str(key), FIELDS))
        problem = _problem(key, value)
        if problem:
            raise where.refusal(("limits", name, key), f"needs {problem} for `{shown}.{key}`")
    fields = _merged(name, given, known, where)
    limit = Limit.model_validate(fields)
    gains = limit.measure.startswith(GAIN_PREFIXES)
    if gains and (limit.comparator not in ("at_least", "above") or limit.bound >= 1):
        raise where.refusal(
            ("limits", name), f"needs `at_least` with a number below 1 for the gain in `{shown}`"
        )
    return limit


def _merged(
    name: str, given: Mapping[str, Any], known: Mapping[str, Limit], where: "_Where"
) -> dict[str, object]:
    """All fields of a limit: those given, over those of the limit of the same name."""
    shown = visible(name, 60)
    sides = [key for key in COMPARATORS if key in given]
    if len(sides) > 1:
        text = f"gives `{shown}` both `{sides[0]}` and `{sides[1]}`; make it two limits"
        raise where.refusal(("limits", name, sides[1]), text)
    fields: dict[str, object] = known[name].model_dump() if name in known else {"name": name}
    fields |= {key: given[key] for key in given if key not in COMPARATORS}
    if sides:
        fields |= {"comparator": sides[0], "bound": float(given[sides[0]])}
    for key, words in (
        ("measure", "`measure`"),
        ("comparator", "one of `at_least`, `at_most`, `above`, `below`"),
        ("severity", "`severity`"),
    ):
        if key not in fields:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean the limit `{near[0]}`?" if near else ""
            raise where.refusal(("limits", name), f"needs {words} for the limit `{shown}`{hint}")
    return fields


def _problem(key: str, value: object) -> str:
    """What a field should have been, or nothing."""
    if key in COMPARATORS:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        finite = number and abs(cast(float, value)) < 1e300 and math.isfinite(cast(float, value))
        return "" if finite else "a finite number"
    if key == "severity":
        return "" if value in SEVERITIES else "one of gate, warn, info"
    if key == "optional":
        return "" if isinstance(value, bool) else "true or false"
    return "" if isinstance(value, str) and value else "some text"


def _unknown(key: str, known: tuple[str, ...]) -> str:
    nearest = get_close_matches(key, known, n=1, cutoff=0.0)
    return f"has the unknown key `{visible(key, 60)}`; the nearest known key is `{nearest[0]}`"


class _Where(Word):
    """A file, and a guess at the line of a key."""

    source: str
    text: str

    def refusal(self, keys: tuple[str, ...], problem: str) -> AuditError:
        """The error for the value under nested keys."""
        start, line = 0, 0
        for key in keys:
            found = re.compile(rf"(?<![\w.-])[\"']?{re.escape(key)}[\"']?\s*:").search(
                self.text, start
            )
            if found is None:
                break
            start, line = found.end(), self.text.count("\n", 0, found.start()) + 1
        return _refusal(f"{self.source}, line {line}," if line else self.source, problem)


def _refusal(source: str, problem: str) -> AuditError:
    return AuditError("POLICY_INVALID", f"{source} {problem}.")
