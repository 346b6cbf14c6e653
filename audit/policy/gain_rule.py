"""The gain rule: pass, fail or inconclusive, from the current states of all gating nulls.

Not in use yet: `audit.policy.gain_verdict` decides. The limit g (0.10 by default) is on the gain,
the share of a null's errors that the subject removes. The rule reads plain records only:
`audit.stats.states` makes them, `audit.stats.contrasts` has the tests, `audit.policy.gain_plan` the
shares. How often the rule is right: benchmarks/gain_rule.md.

1. **Plan.** Before any prediction on evaluation images is read, a `GainPlan` fixes the number of
   nulls, of budgets J and of looks. Every audit replays its states from the first look on and calls
   `judge_states` at each look, until there is a pass or a fail, or nothing grows.
2. **Fail, of the null in hand**: p at or below a fixed share of 0.025. A null with one state
   (linear, closed form, imported) has 0.010 / Kc, a trained one 0.010 / (Kt J) for each state,
   "data solved" 0.005 / looks at each look. The stack changes with its members, so its 0.010 / Kt
   is divided by the looks. Shares are halved where balanced accuracy is judged, too, but not that
   of "data solved": it counts plain errors, so it is tested once.
3. **Data solved**: the upper Clopper-Pearson bound of one null's error is below 1 %. It is the null
   with the fewest errors on training-side images, so the evaluation images choose nothing.
4. **Pass**: every null passes at its current state, with its margin. A trained null has 0.020 / J
   for each state, the stack 0.020 / looks, all others 0.025. No correction for the number of nulls,
   since all must pass. At least 200 groups and 50 errors of each null, none missing, failed, below
   its floor or without a bound. Three networks of each null, and eight degrees of freedom of their
   pooled variance. And for each claim (bag, place) a trained null at full scale: closed form is
   exact but small, and an imported null has no curve. Both may fail a model, but a pass needs more.
5. **Growth.** If the null in hand of any null is not beaten by g (m < 0), one trained null grows:
   of those that can, the one with the fewest training-side errors, which is the most likely to
   decide. Otherwise all trained nulls whose p-value blocks a pass grow together. If the stack alone
   blocks, all that can grow do, since it is made of them.
6. **Floor.** A trained null below its closed-form floor blocks and grows; at J it is `WEAK_NULL`.
   It is never dropped for its floor. The blend of both is what is passed in as its errors.
7. **Balanced accuracy** has records of its own. A fail of either is a fail, a pass needs both.
"""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from audit.policy.gain_plan import GainPlan, Standing, stand
from audit.policy.gain_rule_reasons import cause_of_fail, passed, solved_by, why_not
from audit.reports.document import FrozenModel, Verdict
from audit.stats.contrasts import margin, pool_of, solved
from audit.stats.states import NullRecord


class GainRuling(FrozenModel):
    """Result of judging the current states.

    Attributes:
        verdict: Pass, fail or inconclusive.
        reason: Stable code, empty for a pass.
        explanation: Sentence that says why, and what to do.
        null: Name of the null that decided (of a pass, the one nearest to its share), or empty.
        p_pass: One-sided p of each null against "the gain is at most g"; the larger of plain and
            balanced accuracy.
        p_fail: One-sided p of each null in hand against "the gain is at least g"; the smaller one.
        margins: Accuracy U that more training might add to each null, a fraction.
        grow: Names of the trained nulls that get their next budget; empty if none does.
        more_images: Approximate number of further evaluation images that would decide; None if
            unknown.
    """

    verdict: Verdict
    reason: str = ""
    explanation: str
    null: str = ""
    p_pass: dict[str, float] = Field(default_factory=dict)
    p_fail: dict[str, float] = Field(default_factory=dict)
    margins: dict[str, float] = Field(default_factory=dict)
    grow: tuple[str, ...] = ()
    more_images: int | None = None


class Look(FrozenModel):
    """What one look at the evaluation images decides, without words.

    Attributes:
        verdict: Pass, fail or inconclusive.
        standings: All gating nulls, those of plain accuracy first.
        solver: Null that solves the data, or None.
        grow: Names of the trained nulls that would get their next budget; empty if none does.
    """

    verdict: Verdict
    standings: tuple[Standing, ...]
    solver: NullRecord | None = None
    grow: tuple[str, ...] = ()


def look_at(
    records: Sequence[NullRecord],
    plan: GainPlan,
    g: float,
    balanced: Sequence[NullRecord] = (),
) -> Look:
    """Apply the rule to the current states.

    Args:
        records: Current state of every gating null of the plan; missing ones too.
        plan: Fixed numbers of nulls, budgets and looks.
        g: Smallest required gain, from 0 to below 1.
        balanced: Records of the same nulls for balanced accuracy; empty if it is not judged.

    Raises:
        ValueError: If the records do not fit the plan.
    """
    if plan.balanced != bool(balanced):
        raise ValueError("balanced accuracy must be judged if and only if it is in the plan")
    standings: list[Standing] = []
    for each in (records, balanced):
        plan.check(each)
        pool = pool_of(each)
        standings += [stand(record, plan, g, pool) for record in each]
    solver = _solved(records, plan)
    verdict: Verdict = "pass"
    if solver is not None or any(standing.fails for standing in standings):
        verdict = "fail"
    elif not records or any(s.blocks for s in standings) or _uncovered(records, plan):
        verdict = "inconclusive"
    return Look(
        verdict=verdict,
        standings=tuple(standings),
        solver=solver,
        grow=_growth(standings, plan) if verdict == "inconclusive" else (),
    )


def judge_states(
    records: Sequence[NullRecord],
    plan: GainPlan,
    g: float,
    *,
    balanced: Sequence[NullRecord] = (),
    control: Verdict | None = None,
    out_of_time: bool = False,
) -> GainRuling:
    """Test whether the gain over every gating null is at least g, and say why.

    Args:
        records: As in `look_at`.
        plan: Fixed numbers of nulls, budgets and looks.
        g: Smallest required gain, from 0 to below 1.
        balanced: As in `look_at`.
        control: Verdict of these rules with the full-image control in the model's place; None
            before there is one. It only tells whether the data are the cause of a fail.
        out_of_time: Whether no time is left for the next budget.

    Raises:
        ValueError: If the records do not fit the plan.
    """
    look = look_at(records, plan, g, balanced)
    if look.solver is not None:
        name, reason = look.solver.terms.null, solved_by(look.solver)
    elif look.verdict == "fail":
        failed = [standing for standing in look.standings if standing.fails]
        worst = min(failed, key=lambda s: s.p_fail / s.fail_share)
        name, reason = worst.name, cause_of_fail(worst, g, control)
    elif look.verdict == "pass":
        closest = max(look.standings, key=lambda s: s.p_pass / s.pass_share)
        name, reason = closest.name, passed(closest, g)
    else:
        name, reason = why_not(look.standings, plan, g, look.grow if out_of_time else ())
    return GainRuling(
        verdict=look.verdict,
        reason=reason.code,
        explanation=reason.text,
        null=name,
        grow=look.grow,
        more_images=reason.more_images,
        **_numbers(look.standings),
    )


def _solved(records: Sequence[NullRecord], plan: GainPlan) -> NullRecord | None:
    """Return the null that solves the data, or None.

    Only the null with the fewest training-side errors is tested, and none if nobody knows these.
    """
    known = [r for r in records if r.measured and math.isfinite(r.terms.training_error)]
    if not known:
        return None
    best = min(known, key=lambda record: record.terms.training_error)
    return best if solved(best, plan.solved_share) else None


def _uncovered(records: Sequence[NullRecord], plan: GainPlan) -> bool:
    """Tell whether some claim has no trained null at full scale."""
    covered = {r.terms.claim for r in records if r.terms.kind == "trained" and r.terms.full_scale}
    return not covered.issuperset(plan.claims)


def _growth(standings: Sequence[Standing], plan: GainPlan) -> tuple[str, ...]:
    """Name the trained nulls that get their next budget."""
    able = [standing for standing in standings if standing.can_grow(plan)]
    if any(standing.lead < 0 for standing in standings):
        best = min(able, key=_training_error, default=None)
        return () if best is None else (best.name,)
    blocked = [standing for standing in able if not standing.beaten]
    stack = any(s.record.terms.kind == "stack" and not s.beaten for s in standings)
    if not blocked and stack:
        blocked = able
    return tuple(dict.fromkeys(standing.name for standing in blocked))


def _training_error(standing: Standing) -> float:
    """Return the error on training-side images; infinite if it is unknown."""
    error = standing.record.terms.training_error
    return error if math.isfinite(error) else math.inf


def _numbers(standings: Sequence[Standing]) -> dict[str, Any]:
    """Collect p-values and margins by null, the less favourable of plain and balanced accuracy."""
    p_pass: dict[str, float] = {}
    p_fail: dict[str, float] = {}
    margins: dict[str, float] = {}
    for standing in standings:
        name = standing.name
        p_pass[name] = max(p_pass.get(name, 0.0), standing.p_pass)
        p_fail[name] = min(p_fail.get(name, 1.0), standing.p_fail)
        margins[name] = max(margins.get(name, 0.0), margin(standing.record))
    return {"p_pass": p_pass, "p_fail": p_fail, "margins": margins}
