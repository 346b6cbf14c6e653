"""Why the gain rule passes, fails or is inconclusive, in words, and what would change that."""

import math
from collections.abc import Sequence

from audit.policy.gain_plan import GainPlan, Standing, networks_for
from audit.policy.reasons import (
    EASY_TIMES,
    MIN_ERRORS,
    MIN_GROUPS,
    MOST_SEEDS,
    MOST_TIMES,
    Reason,
    rounded,
)
from audit.record import title_of
from audit.reports.document import Verdict
from audit.stats.contrasts import Contrast, as_pair, in_hand, margin
from audit.stats.gain import gain_interval
from audit.stats.states import NullRecord

MORE_TIME = "Rerun with `--max-time 4h` or `--profile release`."


def passed(closest: Standing, g: float) -> Reason:
    """Return the sentence of a pass."""
    return Reason("", f"{lead(closest)} Required: at least {_percent(g)}.")


def solved_by(record: NullRecord) -> Reason:
    """Return the reason of data that a null solves."""
    text = (
        f"{_title(record)} alone is right on {_percent(1 - record.means[1], 2)} of these images, "
        "so accuracy on them cannot show that the model learned more. Evaluate on harder images."
    )
    return Reason("DATA_LOCAL", text)


def cause_of_fail(worst: Standing, g: float, control: Verdict | None) -> Reason:
    """Return the reason of a fail, as the full-image control tells it.

    `CAUSE_UNKNOWN` before there is a control: to call it the data or the model would be a guess.
    """
    text = f"{lead(worst)} Required: at least {_percent(g)}."
    if control is None:
        cause = (
            "Whether the data or the model are the cause is not known, since no full-image control "
            "was trained. Rerun with `--profile default` to train one."
        )
        return Reason("CAUSE_UNKNOWN", f"{text} {cause}")
    if control == "fail":
        cause = (
            "A full-image control fails too, so the cause is the data. Use images that the "
            "baselines cannot solve as well."
        )
        return Reason("DATA_LOCAL", f"{text} {cause}")
    cause = (
        "A full-image control meets this, so the data allow it. Change the model or its training."
        if control == "pass"
        else "Train the model longer, differently or on more images."
    )
    return Reason("SUBJECT_WEAK", f"{text} {cause}")


def why_not(
    standings: Sequence[Standing], plan: GainPlan, g: float, next_step: Sequence[str]
) -> tuple[str, Reason]:
    """Return the null and the reason why the gain is inconclusive.

    What no training could change comes first; then the next budget, if only the time is missing.

    Args:
        standings: All gating nulls.
        plan: Fixed numbers of nulls, budgets and looks.
        g: Required gain.
        next_step: Nulls that would grow next if there were time; empty if there is time or none
            would.
    """
    if not standings:
        text = (
            "The images are too small for a patch baseline, whose patches may cover at most a "
            "third of the side. Use images of at least 15×15 pixels."
        )
        return "", Reason("NO_CLAIM_RUNG", text)
    for test in (_missing, _few_groups, _no_headroom):
        for standing in standings:
            found = test(standing)
            if found is not None:
                return standing.name, found
    if next_step:
        titles = ", ".join(map(title_of, next_step))
        text = f"The time is up. The next step is more training of {titles}. {MORE_TIME}"
        return next_step[0], Reason("TIME", text)
    behind = [standing for standing in standings if standing.lead <= 0]
    if behind:
        least = min(behind, key=lambda standing: standing.p_fail)
        w = in_hand(least.record, g)
        return least.name, _noisy(least, w._replace(mean=-w.mean), least.fail_share, g)
    trained = {s.name for s in standings if s.record.terms.kind == "trained"}
    for standing in standings:
        found = _weak(standing, max(1, len(trained)))
        if found is not None:
            return standing.name, found
    blocking = [standing for standing in standings if not standing.beaten]
    if not blocking:
        return "", _uncovered(standings, plan)
    worst = max(blocking, key=lambda standing: standing.p_pass / standing.pass_share)
    if worst.contrast.mean > 0:
        return worst.name, _noisy(worst, worst.contrast, worst.pass_share, g)
    text = (
        f"{lead(worst)} More training might raise {_title(worst.record)} by up to "
        f"{_points(margin(worst.record))}, and then the required {_percent(g)} might not be met. "
        f"{MORE_TIME}"
    )
    return worst.name, Reason("WEAK_NULL", text)


def _missing(standing: Standing) -> Reason | None:
    if standing.record.measured:
        return None
    note = f": {standing.record.terms.note}" if standing.record.terms.note else ""
    text = f"{_title(standing.record)} was not measured{note}. Run the audit again."
    return Reason("NOT_MEASURED", text)


def _few_groups(standing: Standing) -> Reason | None:
    record = standing.record
    if record.groups >= MIN_GROUPS:
        return None
    more = math.ceil((MIN_GROUPS - record.groups) * record.n / record.groups)
    text = (
        f"Only {record.groups} independent evaluation images; at least {MIN_GROUPS} are needed, "
        f"and at least {MIN_ERRORS} errors per baseline. Add about {rounded(more)}."
    )
    return Reason("FEW_IMAGES", text, more)


def _no_headroom(standing: Standing) -> Reason | None:
    errors = standing.errors
    if errors >= MIN_ERRORS:
        return None
    more = math.ceil(standing.record.n * (MIN_ERRORS / errors - 1)) if errors > 0 else None
    text = (
        f"The evaluation set is too easy: {_title(standing.record)} makes only about {errors:.0f} "
        f"independent errors; {MIN_ERRORS} are needed. Use harder images"
        f"{f' or about {rounded(more)} more' if more else ''}."
    )
    return Reason("NO_HEADROOM", text, more)


def _weak(standing: Standing, nulls: int) -> Reason | None:
    """Return the reason of a null that was not trained well or often enough to be passed."""
    terms, title = standing.record.terms, _title(standing.record)
    if terms.status == "failed":
        note = f" ({terms.note})" if terms.note else ""
        text = f"Training of {title} failed its checks{note}, so the comparison may be too easy."
    elif terms.below_floor:
        text = (
            f"{title} is less accurate than a closed-form baseline of the same patches, so it is "
            "undertrained."
        )
    elif standing.unbounded:
        text = (
            f"The learning curve of {title} is still rising, so its undertraining margin is "
            "unknown."
        )
    elif standing.few_networks:
        text = f"Too few networks were trained to know how much {title} varies from run to run."
        return Reason("FEW_SEEDS", f"{text} Rerun with `--set seeds={networks_for(nulls)}`.")
    else:
        return None
    return Reason("WEAK_NULL", f"{text} {MORE_TIME}")


def _uncovered(standings: Sequence[Standing], plan: GainPlan) -> Reason:
    """Return the reason if some claim has no trained null at the size that the model sees."""
    trained = [s.record.terms for s in standings if s.record.terms.kind == "trained"]
    reduced = {terms.claim for terms in trained if not terms.full_scale}
    full = {terms.claim for terms in trained if terms.full_scale}
    if reduced & (set(plan.claims) - full):
        text = (
            "The patch baselines saw the images smaller than the model did. Detail that only the "
            "model saw may explain the lead. Audit a model of smaller images."
        )
        return Reason("NULLS_REDUCED", text)
    names = {"bag": "patches", "place": "patches and their position"}
    lacking = " or ".join(names[claim] for claim in plan.claims if claim not in full)
    text = f"No network was trained that sees only {lacking}, so nothing can pass. {MORE_TIME}"
    return Reason("WEAK_NULL", text)


def _noisy(standing: Standing, contrast: Contrast, share: float, g: float) -> Reason:
    """Return the reason of a lead (or of a lag) that is not significant."""
    record = standing.record
    text = f"{lead(standing)} This does not settle whether the required {_percent(g)} is met"
    times = _times(contrast, share)
    seeds = _seeds(contrast, record.terms.networks, share) if times > EASY_TIMES else None
    if times <= MOST_TIMES and seeds is None:
        more = max(1, math.ceil(record.n * (times - 1)))
        return Reason("FEW_IMAGES", f"{text}. Add about {rounded(more)} evaluation images.", more)
    if seeds is not None or contrast.seed > contrast.image:
        advice = (
            f"Rerun with `--set seeds={seeds}`."
            if seeds
            else "Use more seeds and more evaluation images."
        )
        cause = (
            f": {_title(record)} was trained {record.terms.networks} times, so its run-to-run "
            "variation is uncertain"
        )
        return Reason("FEW_SEEDS", f"{text}{cause}. {advice}")
    text = (
        f"{lead(standing)} No practical number of images would settle whether the required "
        f"{_percent(g)} is met. Improve the model or change the limit."
    )
    return Reason("FEW_IMAGES", text)


def _times(contrast: Contrast, share: float) -> float:
    """Return the factor of images that makes the mean significant; infinite above `MOST_TIMES`."""
    low, high = 1.0, 2 * MOST_TIMES
    if not _significant(contrast._replace(image=contrast.image / high), share):
        return math.inf
    while high - low > 1e-3 * low:
        middle = (low + high) / 2
        enough = _significant(contrast._replace(image=contrast.image / middle), share)
        low, high = (low, middle) if enough else (middle, high)
    return high


def _seeds(contrast: Contrast, networks: int, share: float) -> int | None:
    """Return the number of networks that makes the mean significant; None if none does."""
    if contrast.seed <= 0 or networks < 2:
        return None
    for count in range(networks + 1, MOST_SEEDS + 1):
        more = contrast._replace(
            seed=contrast.seed * networks / count,
            seed_df=contrast.seed_df * (count - 1) / (networks - 1),
        )
        if _significant(more, share):
            return count
    return None


def _significant(contrast: Contrast, share: float) -> bool:
    return contrast.p <= share


def lead(standing: Standing) -> str:
    """Say the error reduction over the null in hand, with the 95 % interval over images and seeds.

    The interval is the set of limits that a two-sided test of the null in hand does not reject.
    """
    gain, low, high = gain_interval(as_pair(standing.record, standing.pool))
    title = _title(standing.record)
    if not math.isfinite(gain):
        return f"The model avoids no measurable share of the errors of {title}."
    shown = f"{_percent(gain)} (95% CI {_percent(low)} to {_percent(high)})"
    if gain >= 0.01:
        return f"The model makes {shown} fewer errors than {title}."
    if gain > -0.01:
        return f"The model makes about as many errors as {title} (error reduction {shown})."
    return f"The model makes more errors than {title} (error reduction {shown})."


def _title(record: NullRecord) -> str:
    return title_of(record.terms.null)


def _percent(share: float, digits: int = 1) -> str:
    """Print a share in percent: "31.0%", "−5.2%"."""
    if not math.isfinite(share):
        return "unbounded"
    shown = f"{abs(100 * share):.{digits}f}%"
    return f"−{shown}" if share < 0 and shown.strip("0.%") else shown


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"
