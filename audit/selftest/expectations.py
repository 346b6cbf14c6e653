"""What an audit of a planted fault must find: a verdict, its reason, and who gave it away."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from audit.policy.judge import verdict
from audit.record import Finding, Measurement
from audit.reports.document import Verdict
from audit.reports.text import number

Seen = tuple[bool, str]  # whether it is as expected, and what was found instead


@dataclass(frozen=True)
class SelftestResult:
    """What one audit found.

    Attributes:
        findings: By limit.
        measurements: Of all checks.
        verdict: Of all gates together.
        crashed: Reasons by check.
    """

    findings: Mapping[str, Finding]
    measurements: Sequence[Measurement]
    verdict: Verdict
    crashed: Mapping[str, str]

    @classmethod
    def of(
        cls,
        findings: Sequence[Finding],
        measurements: Sequence[Measurement],
        crashed: Mapping[str, str],
    ) -> "SelftestResult":
        """Sum up findings as the command line does."""
        decided, _ = verdict(findings, list(crashed))
        return cls({f.limit: f for f in findings}, measurements, decided, crashed)


@dataclass(frozen=True)
class Expectation:
    """One thing that must be found.

    Attributes:
        words: What is expected.
        look: Says whether a result is so, and what it shows.
    """

    words: str
    look: Callable[[SelftestResult], Seen]


def overall(expected: Verdict) -> Expectation:
    """The verdict of all gates together, with no check crashed."""

    def look(result: SelftestResult) -> Seen:
        found = "".join(f", {name} crashed ({why})" for name, why in result.crashed.items())
        return result.verdict == expected and not result.crashed, f"{result.verdict}{found}"

    return Expectation(str(expected), look)


def judged(limit: str, expected: Verdict, reason: str = "", by: Sequence[str] = ()) -> Expectation:
    """The verdict on one limit.

    Args:
        limit: Its name in the policy.
        expected: The only right verdict.
        reason: The only right reason; empty: any.
        by: Kinds of nulls, or last parts of names of measurements, of which one must decide it;
            empty: any.
    """

    def look(result: SelftestResult) -> Seen:
        finding = result.findings.get(limit)
        if finding is None:
            return False, f"{limit} is no limit of the policy"
        names = finding.measurements[:1]
        decider = next((m.of or m.quantity for m in result.measurements if m.name in names), "")
        kind = decider.partition("-")[0]
        right = (
            finding.verdict == expected
            and reason in ("", finding.reason)
            and (not by or kind in by)
        )
        return right, said(limit, finding.verdict, finding.reason, decider if by else "")

    return Expectation(said(limit, expected, reason, " or ".join(by)), look)


def said(limit: str, decided: str, reason: str, decider: str) -> str:
    """A verdict in a few words: "gain fail, DATA_LOCAL, by colour"."""
    parts = [f"{limit} {decided}", reason, f"by {decider}" if decider else ""]
    return ", ".join(part for part in parts if part)


def measured(
    pattern: str, words: str, *, at_least: float = -float("inf"), at_most: float = float("inf")
) -> Expectation:
    """Measurements within bounds; there must be one, and all that match must be.

    Args:
        pattern: Over their names; * stands for anything.
        words: What it is a measurement of, for people.
        at_least: Smallest right value, in the measurement's unit.
        at_most: Largest right value.
    """

    def look(result: SelftestResult) -> Seen:
        found = [m for m in result.measurements if fnmatchcase(m.name, pattern)]
        values = ", ".join(number(m.value, m.unit) for m in found)
        right = bool(found) and all(at_least <= m.value <= at_most for m in found)
        return right, f"{words} {values or 'not measured'}"

    sides = [f"at least {at_least:.0%}"] if at_least > -float("inf") else []
    sides += [f"at most {at_most:.0%}"] if at_most < float("inf") else []
    return Expectation(f"{words} {' and '.join(sides)}", look)
