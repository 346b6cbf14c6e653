"""One sentence for a reader who knows no statistics: why the verdict is what it is.

It says what a blind model can do, never how the subject works: a small gap means that local
evidence explains the accuracy, be it colour, texture or local shape.
"""

import math
from collections.abc import Mapping, Sequence

from audit import baselines
from audit.policy.gain_verdict import solves
from audit.record import Finding, Measurement, is_gain
from audit.reports.text import number, visible
from audit.stats.paired import Pair

NEAR = ("data.near_copies", "data.near_leaks")
LEAKS = ("data.exact_leaks", *NEAR)
ORDER = "labels.permutation_claimed"
INSIDE = {"It": "this model", "The": "the", "More": "more"}  # of a sentence, for its first word


def headline(findings: Sequence[Finding], measurements: Sequence[Measurement]) -> str:
    """Say in one sentence why the gates are passed, failed or undecided.

    Args:
        findings: From `judge`.
        measurements: What was judged; the pair behind the deciding gain is read from there.
    """
    gates = [finding for finding in findings if finding.severity == "gate" and not finding.waiver]
    return _decided(gates, findings, measurements) + waived(findings)


def waived(findings: Sequence[Finding]) -> str:
    """The limits that are excused, until when and why: words that follow a headline."""
    named = [(visible(f.limit, 60), f) for f in findings if f.waiver]
    return "".join(f" {name} ({f.verdict}) is {f.waiver}." for name, f in named)


def _decided(
    gates: Sequence[Finding], findings: Sequence[Finding], measurements: Sequence[Measurement]
) -> str:
    if not gates:
        every = any(finding.severity == "gate" for finding in findings)
        why = "every gate of the policy is waived" if every else "the policy has no gate"
        return f"Nothing was decided: {why}."
    known = {m.name: m for m in measurements}
    for decided in ("fail", "inconclusive"):
        hit = [finding for finding in gates if finding.verdict == decided]
        if hit:
            # Outputs in a wrong order make every number meaningless, a leak every accuracy on
            # these images doubtful: they are named first.
            first = min(hit, key=lambda f: (not _order(f), not _leak(f), not _gain(f, known)))
            if decided == "inconclusive":
                return _undecided(first)
            others = ", ".join(visible(f.limit, 60) for f in hit if f is not first)
            return _failed(first, known) + (f" Failed, too: {others}." if others else "")
    return _passed([finding for finding in gates if _gain(finding, known)], known)


def _order(finding: Finding) -> bool:
    return ORDER in finding.measurements


def _leak(finding: Finding) -> bool:
    return any(name in LEAKS for name in finding.measurements)


def _gain(finding: Finding, known: Mapping[str, Measurement]) -> bool:
    return any(is_gain(known[name]) for name in finding.measurements if name in known)


def blind_model(null: str) -> str:
    """A null in words that need no paper ("sees only 9×9-pixel patches")."""
    known, q = baselines.read_name(null)
    return f"is as blind as the null {null}" if known is None else known.sentence.format(q=q)


def _pair(finding: Finding, known: Mapping[str, Measurement]) -> Pair:
    """The pair that decided a finding on the gain."""
    names = [name for name in finding.measurements if name in known and is_gain(known[name])]
    decided = known[names[0]]
    return Pair.from_detail(decided.of, decided.detail)


def _failed(finding: Finding, known: Mapping[str, Measurement]) -> str:
    if not _gain(finding, known):
        if _order(finding):
            return f"The outputs stand in another order than the classes: {known[ORDER].note}."
        if _leak(finding):
            found = number(finding.value, finding.unit)
            near = any(name in NEAR for name in finding.measurements)
            what = "Near copies of training images" if near else "Training images"
            return f"{what} stand in the evaluation set ({found}): accuracy on it is in doubt."
        return f"A limit is missed: {finding.statement}; measured {_value(finding)}."
    pair = _pair(finding, known)
    blind = blind_model(pair.null)
    if finding.reason == "DATA_LOCAL" and solves(pair):
        right = number(1 - pair.error_null, "fraction")
        return (
            f"A model that {blind} gets {right} of these images right: no accuracy on them can "
            "show that more was learned."
        )
    text = f"A model that {blind} makes as few errors as this one"
    if finding.value >= 0.005:
        text = f"This model makes only {finding.value:.0%} fewer errors than one that {blind}"
    if finding.reason == "DATA_LOCAL":
        text += ", and training a sighted model on these data did not help either"
    return text + "."


def _undecided(finding: Finding) -> str:
    first, _, rest = finding.explanation.partition(" ")
    return f"Undecided: {INSIDE.get(first, first)} {rest}".rstrip()


def _passed(gains: Sequence[Finding], known: Mapping[str, Measurement]) -> str:
    """All gates passed: the closest null, and by the sighted twin what that says of seeing more."""
    judged = [known[name] for f in gains for name in f.measurements if name in known]
    measured = [m for m in judged if not math.isnan(m.value)]
    if not measured:
        return "Every gate is passed; the gain over blind models is not among them."
    closest = min(measured, key=lambda m: m.value)
    blind = blind_model(closest.of)
    text = f"This model makes {closest.value:.0%} fewer errors than one that {blind}"
    twin = known.get("accuracy_gap.twin_minus_null")
    if twin is None or not twin.low > 0:
        return text + "; it beats a local model trained on these data, which is all that is shown."
    return text + ", and training a sighted model on these data helps too."


def _value(finding: Finding) -> str:
    return "nothing" if math.isnan(finding.value) else number(finding.value, finding.unit)
