"""The verdict on the gain: does the subject remove at least a share g of every null's errors?

The rules are steps 2 to 8 of docs/verdict.md. They lean to one side only: a null that crashed,
failed, was starved or makes too few errors can turn a pass into "inconclusive", never the
reverse; and a fail is judged against the null as it was measured, without its allowance.
"""

import math
from collections.abc import Sequence

from pydantic import Field
from scipy import special

from audit.case import title_of
from audit.stats import (
    Pair,
    clopper_pearson,
    gain_interval,
    mean_and_variance,
    quantile,
)
from reports.words import Verdict, Word

ALPHA = 0.025  # one-sided, so that the 95 % interval tells the same story
MIN_ERRORS = 50  # of a null, below which normal theory and the data themselves are too thin
MIN_GROUPS = 200
SOLVED = 0.01  # upper bound of the error of a null that solves the data


class GainVerdict(Word):
    """What became of the limit on the gain.

    Attributes:
        verdict: Pass, fail or inconclusive.
        reason: Stable code, empty for a pass.
        explanation: One sentence: why, and what to do.
        null: Name of the null that decided it (the closest one of a pass), or empty.
        p_pass: One-sided p of each claim null against "the gain is at most g".
        p_fail: Holm-adjusted p of each claim null against "the gain is at least g".
        more_images: About how many more evaluation images would decide, where that is known.
    """

    verdict: Verdict
    reason: str = ""
    explanation: str
    null: str = ""
    p_pass: dict[str, float] = Field(default_factory=dict)
    p_fail: dict[str, float] = Field(default_factory=dict)
    more_images: int | None = None


def p_pass(pair: Pair, g: float) -> float:
    """P(T >= (m - (1 - g) U) / sqrt(V)): how well chance explains a gain above g.

    The null is given its allowance: what more training might have added to it. 1 if the null
    failed or is missing.
    """
    mean, variance, df = mean_and_variance(pair, g)
    shifted = mean - (1 - g) * pair.allowance
    if pair.status != "ok" or not math.isfinite(shifted) or not math.isfinite(variance):
        return 1.0
    return float(special.stdtr(df, -shifted / math.sqrt(variance)))


def p_fail(pair: Pair, g: float) -> float:
    """P(T <= m / sqrt(V)): how well chance explains a gain below g; 1 if the null is missing."""
    mean, variance, df = mean_and_variance(pair, g)
    if pair.status == "missing" or not math.isfinite(mean) or not math.isfinite(variance):
        return 1.0
    return float(special.stdtr(df, mean / math.sqrt(variance)))


def holm(p: dict[str, float]) -> dict[str, float]:
    """Holm-adjusted p-values (Holm 1979), by name."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda key: p[key])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = largest
    return adjusted


def judge_gain(pairs: Sequence[Pair], g: float, *, twins: Sequence[Pair] = ()) -> GainVerdict:
    """Hold the gain over every claim null against the limit g.

    Args:
        pairs: All nulls; those that make no claim are left out here.
        g: Smallest gain that is asked for, below 1.
        twins: The sighted twin as if it were the subject, against the same nulls. Only says
            whether a fail lies with the data; twins that are not "ok" are left out.

    Returns:
        The verdict. Fail: a null solves the data, or the smallest Holm-adjusted p_fail is at
        most 0.025. Pass: every p_pass is at most 0.025, every null makes 50 errors or more, and
        there are 200 groups. Else inconclusive, with one reason.

    Raises:
        ValueError: If two claim nulls have one name.
    """
    claims = [pair for pair in pairs if pair.claim]
    if len({pair.null for pair in claims}) < len(claims):
        raise ValueError(f"null names must differ: {[pair.null for pair in claims]}")
    if not claims:
        return GainVerdict(
            verdict="inconclusive",
            reason="NO_CLAIM_RUNG",
            explanation=(
                "No null was trained whose view is small enough to gate: audit with a patch of at "
                "most a third of the image's side."
            ),
        )
    passes = {pair.null: p_pass(pair, g) for pair in claims}
    fails = holm({pair.null: p_fail(pair, g) for pair in claims})
    decided = _fail(claims, g, fails, twins) or _undecided(claims, g, passes, len(claims))
    if decided is None:
        closest = max(claims, key=lambda pair: passes[pair.null])
        decided = GainVerdict(verdict="pass", null=closest.null, explanation=_passed(closest, g))
    return decided.model_copy(update={"p_pass": passes, "p_fail": fails})


def _fail(
    claims: Sequence[Pair], g: float, fails: dict[str, float], twins: Sequence[Pair]
) -> GainVerdict | None:
    """The fail, if there is one; solved data before a weak subject."""
    solved = [pair for pair in claims if solves(pair)]
    if solved:
        best = min(solved, key=lambda pair: pair.error_null)
        text = (
            f"{title_of(best.null)} alone is wrong on only {best.error_null:.2%} of these images, "
            "so no accuracy on them can show that anything more was learned: evaluate on harder "
            "images."
        )
        return GainVerdict(verdict="fail", reason="DATA_LOCAL", null=best.null, explanation=text)
    worst = min(claims, key=lambda pair: (fails[pair.null], mean_and_variance(pair, g)[0]))
    if fails[worst.null] > ALPHA:
        return None
    gain, low, high = gain_interval(worst)
    text = (
        f"It removes {_span(gain, low, high)} of the errors of {title_of(worst.null)}, "
        f"{g:.0%} are asked."
    )
    sound = [pair for pair in twins if pair.status == "ok" and pair.claim]
    twin_fails = holm({pair.null: p_fail(pair, g) for pair in sound})
    if min(twin_fails.values(), default=1.0) <= ALPHA:
        text += " A sighted network trained by the null's recipe fails too: it lies with the data."
        return GainVerdict(verdict="fail", reason="DATA_LOCAL", null=worst.null, explanation=text)
    return GainVerdict(verdict="fail", reason="SUBJECT_WEAK", null=worst.null, explanation=text)


def solves(pair: Pair) -> bool:
    """Whether the null's error is surely below 1 %: Clopper-Pearson on groups, 97.5 %."""
    count = math.floor(min(pair.groups, pair.effective)) if pair.status != "missing" else 0
    wrong = math.ceil(pair.error_null * count - 1e-9) if count else 0
    return clopper_pearson(wrong, count)[1] < SOLVED  # NaN without images is not below


def _passed(pair: Pair, g: float) -> str:
    gain, low, high = gain_interval(pair)
    return (
        f"It removes {_span(gain, low, high)} of the errors of {title_of(pair.null)}, the closest "
        f"null; {g:.0%} are asked."
    )


def _span(gain: float, low: float, high: float) -> str:
    """A gain in words, with its interval."""
    if not math.isfinite(gain):
        return "no measurable share"
    return f"{gain:.0%} ({low:.0%} to {high:.0%})" if math.isfinite(low) else f"{gain:.0%}"


def _undecided(
    claims: Sequence[Pair], g: float, passes: dict[str, float], tests: int
) -> GainVerdict | None:
    """Why nothing can be said, or None if everything passes."""
    for test in (_not_measured, _failed_null, _few_groups, _no_headroom):
        for pair in claims:
            found = test(pair)
            if found is not None:
                return found
    blocking = [pair for pair in claims if not passes[pair.null] <= ALPHA]
    if not blocking:
        return None
    return _too_noisy(max(blocking, key=lambda pair: passes[pair.null]), g, tests)


def _not_measured(pair: Pair) -> GainVerdict | None:
    measured = pair.status != "missing" and math.isfinite(pair.error_subject + pair.error_null)
    if measured:
        return None
    why = f" ({pair.note})" if pair.note else ""
    text = (
        f"{title_of(pair.null)} was not measured{why}, so nothing passes it: run the audit again."
    )
    return _inconclusive(pair, "NOT_MEASURED", text)


def _failed_null(pair: Pair) -> GainVerdict | None:
    if pair.status == "ok" and math.isfinite(pair.allowance):
        return None
    if pair.status == "ok":
        text = (
            f"The learning curve of {title_of(pair.null)} still climbs as steeply as before, so "
            "what more training would add is unknown: allow a larger budget for the nulls."
        )
    else:
        text = (
            f"The training of {title_of(pair.null)} failed its checks, so it may be weaker than it "
            "should be: see its training curve, and allow more budget or other rates."
        )
    return _inconclusive(pair, "WEAK_NULL", text)


def _few_groups(pair: Pair) -> GainVerdict | None:
    if pair.groups >= MIN_GROUPS:
        return None
    more = math.ceil((MIN_GROUPS - pair.groups) * pair.n / pair.groups)
    text = (
        f"{pair.groups} independent evaluation images are too few, {MIN_GROUPS} are needed: "
        f"add about {more}."
    )
    return _inconclusive(pair, "FEW_IMAGES", text, more)


def _no_headroom(pair: Pair) -> GainVerdict | None:
    errors = pair.effective * pair.error_null
    if errors >= MIN_ERRORS:
        return None
    more = math.ceil(pair.n * (MIN_ERRORS / errors - 1)) if errors > 0 else None
    text = (
        f"The data are too easy to tell: {title_of(pair.null)} makes about {errors:.0f} errors, "
        f"{MIN_ERRORS} are needed. Evaluate on harder images"
        + (f" or on about {_round(more)} more." if more else ".")
    )
    return _inconclusive(pair, "NO_HEADROOM", text, more)


def _too_noisy(pair: Pair, g: float, tests: int) -> GainVerdict:
    """The reason of an interval that holds g: the null's training, the seeds or the images."""
    mean, variance, df = mean_and_variance(pair, g)
    seed = (1 - g) ** 2 * pair.seed_variance / pair.seeds
    distance = mean - (1 - g) * pair.allowance
    level = 1 - 2 * ALPHA
    if mean > 0 and distance <= 0:
        text = (
            f"More training might lift {title_of(pair.null)} by {pair.allowance:.1%}, which is "
            "as much as the subject is ahead of the limit: allow a larger budget for the nulls."
        )
        return _inconclusive(pair, "WEAK_NULL", text)
    if mean <= 0:  # on its way to a fail, which is adjusted for the number of tests
        distance, level = mean, 1 - 2 * ALPHA / tests
    needed = distance**2 - quantile(df, level) ** 2 * seed
    if needed <= 0 < seed:
        text = (
            f"{title_of(pair.null)} was trained {times_of(pair.seeds)}, and how much that varies "
            "is too uncertain to tell, however many images there are: train the nulls with more "
            "seeds."
        )
        return _inconclusive(pair, "FEW_SEEDS", text)
    times = quantile(df, level) ** 2 * (variance - seed) / needed if needed > 0 else math.inf
    more = math.ceil(pair.n * (times - 1)) if times < 1e4 else None
    count = f"about {_round(max(more, 1))} more" if more else "many more"
    gain, low, high = gain_interval(pair)
    text = (
        f"It removes {_span(gain, low, high)} of the errors of {title_of(pair.null)}, too close "
        f"to the limit of {g:.0%} to tell: evaluate on {count} images."
    )
    return _inconclusive(pair, "FEW_IMAGES", text, more)


def times_of(seeds: int) -> str:
    """How often, in words."""
    return "once" if seeds == 1 else f"{seeds} times"


def _inconclusive(pair: Pair, reason: str, text: str, more: int | None = None) -> GainVerdict:
    return GainVerdict(
        verdict="inconclusive", reason=reason, null=pair.null, explanation=text, more_images=more
    )


def _round(count: int) -> str:
    """Two significant digits, upwards: a suggestion, not a promise."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / step) * step:,}"
