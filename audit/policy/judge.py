"""Measurements held against the limits of a policy, and summed up in a verdict.

The judge never sees a check: it reads names of measurements. It fails closed: what is missing,
NaN or without an interval is inconclusive, and so is an audit without a gate.
"""

import math
from collections.abc import Sequence

from audit import baselines
from audit.policy.gain_verdict import GainVerdict, fails_early, judge_gain
from audit.policy.headline import headline
from audit.policy.limits import Limit, Policy, load_policy, parse_policy, resolved
from audit.policy.location import nearest
from audit.policy.reasons import Reason, none_trained, nulls_reduced
from audit.policy.vocabulary import fits
from audit.record import (
    BALANCED,
    GAIN,
    GAP,
    Finding,
    Measurement,
    Quantity,
    is_gain,
    is_gap,
    title_of,
)
from audit.reports.document import Severity, Verdict
from audit.reports.text import interval, number, visible
from audit.stats.gain import gain_interval
from audit.stats.paired import Pair, missing_pair

__all__ = [
    "Limit",
    "Policy",
    "headline",
    "judge",
    "load_policy",
    "parse_policy",
    "resolved",
    "verdict",
]

TWIN = "twin_gain"
NEEDED = {"bagnet", "coordconv"}  # kinds of null that a pass needs, trained, at the model's size
EXACT = ("count", "images")  # units of which a value without an interval is the whole truth
WORST_FIRST = ("fail", "inconclusive", "pass")
SIDES = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}


def judge(measurements: Sequence[Measurement], policy: Policy) -> tuple[Finding, ...]:
    """Hold every limit of a policy against the measurements whose names it matches.

    Args:
        measurements: Of all checks.
        policy: From `load_policy`.

    Returns:
        One finding a limit, in the policy's order. The first of its `measurements` is the one
        that decided it. A waiver is noted and changes no verdict here.
    """
    waived = {waiver.limit: waiver.words for waiver in policy.waivers}
    found = []
    for limit in policy.limits:
        place = {"waiver": waived.get(limit.name, ""), "file": limit.file, "line": limit.line}
        found.append(_finding(limit, measurements).model_copy(update=place))
    return tuple(found)


def decided_early(
    measurements: Sequence[Measurement], policy: Policy, alpha: float, best: str = ""
) -> bool:
    """Whether a gate on the gain fails already on the nulls that were measured so far.

    Args:
        measurements: Of the accuracy gap, without the nulls that are still to be trained.
        policy: From `load_policy`.
        alpha: Level of this look.
        best: Name of the null that is right most often on held-out training images.
    """
    waived = {waiver.limit for waiver in policy.waivers}
    for limit in policy.limits:
        from_below = limit.comparator in ("at_least", "above")
        if limit.severity != "gate" or limit.name in waived or not from_below:
            continue
        pairs = _pairs([m for m in measurements if limit.asks_for(m)], GAIN)
        if fails_early([*pairs.values()], limit.bound, alpha, best):
            return True
    return False


def verdict(findings: Sequence[Finding], crashed: Sequence[str] = ()) -> tuple[Verdict, int]:
    """Sum up the gates that are not waived.

    Args:
        findings: From `judge`.
        crashed: Names of checks that did not finish.

    Returns:
        ("fail", 1) if a gate failed; ("inconclusive", 3) if one is undecided, a check crashed
        or there is no gate at all or each is waived; ("pass", 0) if every gate passed.
    """
    gates = [f.verdict for f in findings if f.severity == "gate" and not f.waiver]
    if "fail" in gates:
        return "fail", 1
    if crashed or not gates or any(gate != "pass" for gate in gates):
        return "inconclusive", 3
    return "pass", 0


def _finding(limit: Limit, measurements: Sequence[Measurement]) -> Finding:
    """Judge one limit: gains by their own rules, everything else by its interval."""
    matched = [m for m in measurements if limit.asks_for(m)]
    if not matched:
        return _absent(limit, measurements)
    gains = [m for m in matched if is_gain(m)]
    others = [m for m in matched if m not in gains]
    found = [_interval_finding(limit, _less_training(limit, m, measurements)) for m in others]
    if gains and limit.comparator in ("at_least", "above"):
        found.append(_gain_finding(limit, gains, measurements))
    else:
        found += [_interval_finding(limit, m) for m in gains]
    return _worst(limit, found)


def _less_training(
    limit: Limit, m: Measurement, measurements: Sequence[Measurement]
) -> Measurement:
    """A gap to a null, for a limit from below: lower by what more training might add to the null.

    All of it is open where the null failed or its allowance has no bound.
    """
    from_below = limit.comparator in ("at_least", "above")
    if not is_gap(m, "gap") or baselines.is_linear(m.of) or not from_below:
        return m
    detail = next((o.detail for o in measurements if is_gap(o, GAIN) and o.of == m.of), {})
    allowance = math.inf if detail.get("status", 1.0) else detail.get("allowance", math.inf)
    return m.model_copy(update={"low": max(-1.0, m.low - allowance)}) if m.low > -1 else m


def _absent(limit: Limit, measurements: Sequence[Measurement]) -> Finding:
    """Nothing was measured: never a pass; only an optional limit stops gating."""
    why = "No measurement of this audit has the name that this limit asks for"
    hint = "this profile does not measure it" if limit.optional else "see the log of the audit"
    if limit.of_class:
        known = [m.of for m in measurements if fits(limit.target, m.name)]
        why = f"No class named '{visible(limit.of_class, 60)}' was measured"
        near = nearest(limit.of_class, known)
        hint = f"the nearest is '{visible(near, 60)}'" if near else hint
    return Finding(
        limit=limit.name,
        statement=_statement(limit, ""),
        measurements=(),
        verdict="inconclusive",
        severity="warn" if limit.optional and limit.severity == "gate" else _unmeasured(limit),
        reason="NOT_MEASURED",
        explanation=f"{why}: {hint}.",
    )


def _unmeasured(limit: Limit) -> Severity:
    """Severity of a limit on what could not be measured: an optional warning only informs."""
    return "info" if limit.optional and limit.severity == "warn" else limit.severity


def _worst(limit: Limit, found: Sequence[Finding]) -> Finding:
    """The worst of several findings on one limit, with the names of all that were judged."""
    sign = 1.0 if limit.comparator in ("at_least", "above") else -1.0

    def badness(finding: Finding) -> tuple[int, float]:
        value = sign * finding.value
        return WORST_FIRST.index(finding.verdict), -math.inf if math.isnan(value) else value

    worst = min(found, key=badness)
    names = [*worst.measurements, *(name for finding in found for name in finding.measurements)]
    return worst.model_copy(update={"measurements": tuple(dict.fromkeys(names))})


def _interval_finding(limit: Limit, m: Measurement) -> Finding:
    """Step 8: the whole interval has to lie on the right side, or on the wrong one."""
    low, high = m.low, m.high
    exact = m.unit in EXACT or (m.check == "data" and not m.minus_reference)
    if exact and math.isnan(low) and math.isnan(high):
        low = high = m.value
    reason = ""
    if not math.isfinite(m.value) or not low <= high:  # false for NaN, too
        decided: Verdict = "inconclusive"
        reason = "NOT_MEASURED" if not math.isfinite(m.value) else "NO_INTERVAL"
    elif _meets(limit, low) and _meets(limit, high):
        decided = "pass"
    elif _meets(limit, low) or _meets(limit, high):
        decided, reason = "inconclusive", "UNDECIDED"
    else:
        decided = "fail"
    return Finding(
        limit=limit.name,
        statement=_statement(limit, m.unit),
        measurements=(m.name,),
        verdict=decided,
        severity=_unmeasured(limit) if reason == "NOT_MEASURED" else limit.severity,
        reason=reason,
        explanation=_explanation(limit, m, low, high, decided, reason),
        value=m.value,
        low=low,
        high=high,
        n=m.n,
        unit=m.unit,
    )


def _meets(limit: Limit, value: float) -> bool:
    """Whether one number meets the limit; false for NaN."""
    return {
        "at_least": value >= limit.bound,
        "at_most": value <= limit.bound,
        "above": value > limit.bound,
        "below": value < limit.bound,
    }[limit.comparator]


def _explanation(
    limit: Limit, m: Measurement, low: float, high: float, decided: Verdict, reason: str
) -> str:
    """One sentence: the number, its interval, the limit."""
    name = visible(m.name)  # it may end in the name of a class
    if reason == "NOT_MEASURED":
        return f"{name} was not measured" + (f": {m.note}" if m.note else ".")
    if reason == "NO_INTERVAL":
        return f"{name} is {number(m.value, m.unit)}, but has no interval to be judged by."
    words = number(m.value, m.unit)
    if low != high:
        words += f" ({interval(low, high, m.unit)})"
    place = "" if m.at is None else f" at {m.at:.2f}"
    if f"{m.check}.{m.quantity}." in limit.by_class:
        place = f" for class '{visible(m.of, 60)}'"
    asked = f"{SIDES[limit.comparator]} {number(limit.bound, m.unit)} asked"
    if m.note and (m.unit == "count" or m.minus_reference):
        asked += f" ({m.note})"
    if decided == "inconclusive":
        return f"{words}{place}, {asked}: the interval holds the limit, so nothing is shown."
    return f"{words}{place}, {asked}."


def _statement(limit: Limit, unit: str) -> str:
    """The limit in words."""
    bound = number(limit.bound, "fraction" if unit == "gain" else unit)
    if limit.statement:
        return limit.statement.replace("{limit}", bound)
    of = f" of class '{visible(limit.of_class, 60)}'" if limit.of_class else ""
    other = {"": "", "reference": " less that of the reference run"}.get(
        limit.relative_to, f" less that of {title_of(limit.relative_to)}"
    )
    measure = limit.measure.removesuffix(".*") if of else limit.measure
    return f"{visible(measure)}{of}{other} is {SIDES[limit.comparator]} {bound}"


def _gain_finding(
    limit: Limit, gains: Sequence[Measurement], measurements: Sequence[Measurement]
) -> Finding:
    """Steps 2 to 7: plain accuracy and, where it was measured, balanced accuracy."""
    plain = _pairs(gains, GAIN)
    measured = _pairs(measurements, BALANCED)
    wanted = (plain or _pairs(gains, BALANCED)) if measured else {}
    balanced = {  # a null that the balanced accuracy lacks was not measured there
        name: measured.get(name, missing_pair(name, claim=pair.claim))
        for name, pair in wanted.items()
    }
    twins = [*_pairs(measurements, TWIN).values()]
    found = [
        _gain_words(limit, kind, pairs, judge_gain([*pairs.values()], limit.bound, twins=twins))
        for kind, pairs in ((GAIN, plain), (BALANCED, balanced))
        if pairs
    ]
    worst = min(found, key=lambda finding: WORST_FIRST.index(finding.verdict))
    reason = _reduced(measurements)
    if worst.verdict != "pass" or reason is None:
        return worst
    return worst.model_copy(
        update={"verdict": "inconclusive", "reason": reason.code, "explanation": reason.text}
    )


def _reduced(measurements: Sequence[Measurement]) -> Reason | None:
    """Why no gain may pass: of a claim, no trained null saw the model's own pixels.

    Both claims need one: a bag of patches, and patches told where they are. Colours, thumbnails,
    nulls of reduced images and closed forms (exact, but small) never stand in for it, whichever of
    them a limit asks for. None if there are both.
    """
    claims = [m for m in measurements if is_gain(m) and m.detail.get("claim")]
    learned = [m for m in claims if m.detail.get("trained", 1.0)]
    known = [m for m in learned if {"side", "subject_side"} <= m.detail.keys()]
    own = {kind_of(m.of) for m in known if m.detail["side"] >= m.detail["subject_side"]}
    told = any("trained" in m.detail for m in claims)  # before, every patch null was trained
    if own >= NEEDED or (own and not told):
        return None
    if told and not learned_kinds(claims):
        return none_trained()
    seen = [(m.detail["side"], m.detail["subject_side"]) for m in known if kind_of(m.of) not in own]
    return nulls_reduced(*max(seen, default=(math.nan, math.nan)))


def learned_kinds(claims: Sequence[Measurement]) -> set[str]:
    """Kinds of the trained patch nulls among the gains."""
    return {kind_of(m.of) for m in claims if m.detail.get("trained")} & NEEDED


def kind_of(name: str) -> str:
    """Kind of a null by its name; empty if there is no such null."""
    null, _, _ = baselines.read_name(name)
    return "" if null is None else null.kind


def _pairs(measurements: Sequence[Measurement], quantity: str) -> dict[str, Pair]:
    """The pairs behind the measurements of one quantity, by the null's name; NaN is missing."""
    pairs = {}
    for m in (m for m in measurements if is_gap(m, quantity)):
        found = Pair.from_detail(m.of, m.detail)
        broken = math.isnan(m.value) and found.error_null != 0
        pairs[m.of] = missing_pair(m.of, claim=found.claim, note=m.note) if broken else found
    return pairs


def _gain_words(limit: Limit, kind: str, pairs: dict[str, Pair], judged: GainVerdict) -> Finding:
    """A verdict on the gain as a finding."""
    names = [pair.null for pair in pairs.values() if pair.claim]
    names.sort(key=lambda name: name != judged.null)
    decider = pairs.get(judged.null)
    value, low, high = gain_interval(decider) if decider else (math.nan,) * 3
    return Finding(
        limit=limit.name,
        statement=_statement(limit, "gain") + (" (balanced)" if kind == BALANCED else ""),
        measurements=tuple(Quantity(check=GAP, quantity=kind, of=name).name for name in names),
        verdict=judged.verdict,
        severity=limit.severity,
        reason=judged.reason,
        explanation=judged.explanation,
        value=value,
        low=low,
        high=high,
        n=decider.n if decider else 0,
        unit="gain",
    )
