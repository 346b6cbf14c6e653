"""Verdict on the gain: whether the subject removes at least a share g of every null's errors.

The rules are steps 2 to 8 of docs/verdict.md. They lean to one side only: a null that crashed,
failed, was undertrained or makes too few errors can turn a pass into "inconclusive", never the
reverse; and a fail is judged against the null as it was measured, without its allowance.
"""

import math
from collections.abc import Sequence

from pydantic import Field

from audit.policy.reasons import (
    ALPHA,
    Reason,
    failed_null,
    few_groups,
    no_headroom,
    not_measured,
    removes,
    too_noisy,
)
from audit.record import title_of
from audit.reports.document import FrozenModel, Verdict
from audit.stats.gain import mean_and_variance
from audit.stats.intervals import clopper_pearson, quantile
from audit.stats.paired import Pair

SOLVED = 0.01  # upper bound of the error of a null that solves the data; chosen by hand

NO_CLAIM = (
    "No null was trained whose view is at most a third of the image's side, so nothing is shown: "
    "audit images of at least 15 pixels a side."
)


class GainVerdict(FrozenModel):
    """Result of judging the limit on the gain.

    Attributes:
        verdict: Pass, fail or inconclusive.
        reason: Stable code, empty for a pass.
        explanation: Sentence that says why, and what to do.
        null: Name of the null that decided (of a pass, the closest one), or empty.
        p_pass: One-sided p of each claim null against "the gain is at most g".
        p_fail: Holm-adjusted p of each claim null against "the gain is at least g".
        more_images: Approximate number of further evaluation images that would decide; None if
            unknown.
    """

    verdict: Verdict
    reason: str = ""
    explanation: str
    null: str = ""
    p_pass: dict[str, float] = Field(default_factory=dict)
    p_fail: dict[str, float] = Field(default_factory=dict)
    more_images: int | None = None


def p_pass(pair: Pair, g: float) -> float:
    """Return P(T >= (m - (1 - g) U) / sqrt(V)), the p-value against "the gain is at most g".

    The accuracy of the null is raised by its allowance U, which more training might have added. 1
    if the null failed or is missing.
    """
    from scipy import special

    mean, variance, df = mean_and_variance(pair, g)
    shifted = mean - (1 - g) * pair.allowance
    if pair.status != "ok" or not math.isfinite(shifted) or not math.isfinite(variance):
        return 1.0
    return float(special.stdtr(df, -shifted / math.sqrt(variance)))


def p_fail(pair: Pair, g: float) -> float:
    """Return P(T <= m / sqrt(V)), the p-value against "the gain is at least g".

    1 if the null is missing.
    """
    from scipy import special

    mean, variance, df = mean_and_variance(pair, g)
    if pair.status == "missing" or not math.isfinite(mean) or not math.isfinite(variance):
        return 1.0
    return float(special.stdtr(df, mean / math.sqrt(variance)))


def holm(p: dict[str, float]) -> dict[str, float]:
    """Adjust p-values for their number (Holm 1979), by name."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda key: p[key])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = largest
    return adjusted


def judge_gain(pairs: Sequence[Pair], g: float, *, twins: Sequence[Pair] = ()) -> GainVerdict:
    """Test whether the gain over every claim null is at least g.

    Args:
        pairs: Statistics of all nulls; those that make no claim are ignored.
        g: Smallest required gain, below 1.
        twins: Statistics of the sighted twin as if it were the subject, against the same nulls.
            They only tell whether the data are the cause of a fail; twins that are not "ok" are
            ignored.

    Returns:
        The verdict. Fail: a null solves the data, or the smallest Holm-adjusted p_fail is at
        most 0.025. Pass: every p_pass is at most 0.025, every null makes 50 errors or more, and
        there are 200 groups. Otherwise inconclusive, with one reason.

    Raises:
        ValueError: If two claim nulls have one name.
    """
    claims = [pair for pair in pairs if pair.claim]
    if len({pair.null for pair in claims}) < len(claims):
        raise ValueError(f"null names must differ: {[pair.null for pair in claims]}")
    if not claims:
        return GainVerdict(verdict="inconclusive", reason="NO_CLAIM_RUNG", explanation=NO_CLAIM)
    passes = {pair.null: p_pass(pair, g) for pair in claims}
    fails = holm({pair.null: p_fail(pair, g) for pair in claims})
    decided = _solved(claims) or _weak(claims, g, fails, twins) or _undecided(claims, g, passes)
    if decided is None:
        closest = max(claims, key=lambda pair: passes[pair.null])
        text = f"{removes(closest)}, the closest null; {g:.0%} are asked."
        decided = GainVerdict(verdict="pass", null=closest.null, explanation=text)
    return decided.model_copy(update={"p_pass": passes, "p_fail": fails})


def fails_early(pairs: Sequence[Pair], g: float, alpha: float, best: str) -> bool:
    """Whether the gain fails already, before the trained nulls are there to be judged.

    Whether a null solves the data is asked of one null alone, which the training images chose, so
    that the level need not be divided; the verdict on the same nulls must agree.

    Args:
        pairs: Statistics of the nulls that were measured.
        g: Smallest required gain.
        alpha: Level of either test, which all looks before the verdict add to its own 0.025.
        best: Name of the null that is right most often on held-out training images.
    """
    claims = [pair for pair in pairs if pair.claim]
    solved = any(
        solves(pair, 1, alpha) and solves(pair, len(claims)) for pair in claims if pair.null == best
    )
    fails = holm({pair.null: p_fail(pair, g) for pair in claims})
    return solved or min(fails.values(), default=1.0) <= alpha


def _solved(claims: Sequence[Pair]) -> GainVerdict | None:
    """Return the fail of data that a null solves, or None."""
    solved = [pair for pair in claims if solves(pair, len(claims))]
    if not solved:
        return None
    best = min(solved, key=lambda pair: pair.error_null)
    text = (
        f"{title_of(best.null)} alone is wrong on only {best.error_null:.2%} of these images, so "
        "no accuracy on them can show that anything more was learned: evaluate on harder images."
    )
    return GainVerdict(verdict="fail", reason="DATA_LOCAL", null=best.null, explanation=text)


def solves(pair: Pair, tests: int = 1, alpha: float = ALPHA) -> bool:
    """Tell whether the null's error is surely below 1 %: Clopper-Pearson on groups, 97.5 %.

    The margin of the run-to-run variation is added in quadrature: without it, data whose nulls
    are wrong on just 1 % would often count as solved (`benchmarks/verdict_rules.py`).

    Args:
        pair: Statistics of the null.
        tests: Number of nulls that are tested (Bonferroni).
        alpha: Level of all these tests together.
    """
    if pair.status == "missing":
        return False
    count = math.floor(min(pair.groups, pair.effective))
    wrong = math.ceil(pair.error_null * count - 1e-9) if count else 0
    level = 1 - 2 * alpha / tests
    seeds = quantile(pair.df, level) * math.sqrt(pair.seed_variance / pair.seeds)
    upper = clopper_pearson(wrong, count, level)[1]
    return math.hypot(upper - pair.error_null, seeds) < SOLVED - pair.error_null


def _weak(
    claims: Sequence[Pair], g: float, fails: dict[str, float], twins: Sequence[Pair]
) -> GainVerdict | None:
    """Return the fail of a subject that surely does not beat some null by g, or None.

    The explanation says whether the data are the cause.
    """
    worst = min(claims, key=lambda pair: (fails[pair.null], mean_and_variance(pair, g)[0]))
    if fails[worst.null] > ALPHA:
        return None
    text = f"{removes(worst)}; it must remove {g:.0%} of them."
    sound = [pair for pair in twins if pair.status == "ok" and pair.claim]
    reason = "SUBJECT_WEAK"
    if min(holm({p.null: p_fail(p, g) for p in sound}).values(), default=1.0) <= ALPHA:
        reason = "DATA_LOCAL"
        text += (
            " A sighted network trained by the null's recipe fails too, so it lies with the data: "
            "evaluate and train on images that a blind model cannot solve as well."
        )
    elif sound and max(p_pass(p, g) for p in sound) <= ALPHA:
        text += (
            " A sighted network trained by the null's recipe does, so the data allow it: train "
            "the model longer or otherwise."
        )
    elif twins:
        text += " Train the model longer, otherwise or on more images."
    else:
        reason = "CAUSE_UNKNOWN"
        text += (
            " Whether the model or the data are the cause is not determined, since no sighted "
            "network was trained: --set stop_at_fail=false trains one."
        )
    return GainVerdict(verdict="fail", reason=reason, null=worst.null, explanation=text)


def _undecided(claims: Sequence[Pair], g: float, passes: dict[str, float]) -> GainVerdict | None:
    """Return the reason why the gain is not decided, or None if everything passes.

    A null that is beaten by less than g as it was measured comes before nulls that may be too weak:
    stronger ones would not help the model.
    """
    if not any(map(not_measured, claims)):
        least = min(claims, key=lambda pair: mean_and_variance(pair, g)[0])
        thin = few_groups(least) or no_headroom(least)
        if mean_and_variance(least, g)[0] <= 0 and not thin:
            return _inconclusive(least, too_noisy(least, g, len(claims)))
    for test in (not_measured, failed_null, few_groups, no_headroom):
        for pair in claims:
            found = test(pair)
            if found is not None:
                return _inconclusive(pair, found)
    blocking = [pair for pair in claims if not passes[pair.null] <= ALPHA]
    if not blocking:
        return None
    worst = max(blocking, key=lambda pair: passes[pair.null])
    return _inconclusive(worst, too_noisy(worst, g, len(claims)))


def _inconclusive(pair: Pair, reason: Reason) -> GainVerdict:
    return GainVerdict(
        verdict="inconclusive",
        reason=reason.code,
        null=pair.null,
        explanation=reason.text,
        more_images=reason.more_images,
    )
