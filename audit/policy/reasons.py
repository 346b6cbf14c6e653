"""Reasons why the gain over a null is inconclusive, and what would change that.

Each reason has a stable code, a sentence that ends in something to do, and, where more evaluation
images would help, their approximate number.
"""

import math
from typing import NamedTuple

from audit.record import title_of
from audit.stats.adequacy import ADEQUATE
from audit.stats.gain import contrast, freedom, gain_interval
from audit.stats.intervals import quantile
from audit.stats.paired import Pair

ALPHA = 0.025  # one-sided, so that verdict and 95 % interval agree
MIN_ERRORS = 50  # per baseline; with fewer errors the normal approximation is unreliable

# Of independent images: the smallest number for which benchmarks/verdict.md shows the coverage.
MIN_GROUPS = 200
EASY_TIMES = 10.0  # up to so many times the images, more images are advised before more seeds
MOST_TIMES = 100.0  # times the images; advice to find more would be of no use
MOST_SEEDS = 30  # advice to train more would be of no use


class Reason(NamedTuple):
    """Reason why a verdict is inconclusive.

    Attributes:
        code: Stable code ("FEW_IMAGES").
        text: Sentence that says why, and what to do.
        more_images: Approximate number of further evaluation images that would decide; None if
            unknown.
    """

    code: str
    text: str
    more_images: int | None = None


def not_measured(pair: Pair) -> Reason | None:
    """Return the reason if a null is missing or has no numbers."""
    if pair.status != "missing" and math.isfinite(pair.error_subject + pair.error_null):
        return None
    why = f" ({pair.note})" if pair.note else ""
    return Reason(
        "NOT_MEASURED",
        f"{title_of(pair.null)} was not measured{why}, so nothing passes it: run the audit again.",
    )


def failed_null(pair: Pair) -> Reason | None:
    """Return the reason if the training of a null failed, or its allowance has no bound."""
    null = title_of(pair.null)
    if pair.status == "failed":
        why = f" ({pair.note})" if pair.note else ""
        text = (
            f"The training of {null} failed its checks{why}, so it may be weaker than it should "
            "be: see its learning curve, and give the nulls a larger budget (images_seen) or "
            "other learning rates."
        )
        return Reason("WEAK_NULL", text)
    if math.isfinite(pair.allowance):
        return None
    text = (
        f"The learning curve of {null} still climbs as steeply as before, so what more training "
        "would add has no bound: give the nulls a larger budget (images_seen, doublings)."
    )
    return Reason("WEAK_NULL", text)


def nulls_reduced(side: float, subject_side: float) -> Reason:
    """Return the reason for patch nulls that saw the images smaller than the subject did.

    Args:
        side: Longest side of the nulls' images in pixels; NaN where the report does not say.
        subject_side: Longest side of the subject's images in pixels; NaN where it does not say.
    """
    if not math.isfinite(side + subject_side):
        text = (
            "The report does not say at which size the patch baselines saw the images, so it does "
            "not show that they saw what the model sees: audit the model again."
        )
        return Reason("NULLS_REDUCED", text)
    text = (
        f"The patch baselines saw the images at {side:.0f} pixels, the model at "
        f"{subject_side:.0f}. Detail that only the model saw may explain the lead."
    )
    return Reason("NULLS_REDUCED", text)


def none_trained() -> Reason:
    """Return the reason for an audit that stopped at a fail before it trained patch nulls."""
    text = (
        "No patch baseline was trained, since the audit had failed without one, and nothing passes "
        "by the others alone: audit the model again with --set stop_at_fail=false."
    )
    return Reason("NOT_MEASURED", text)


def few_groups(pair: Pair) -> Reason | None:
    """Return the reason if there are fewer independent images than any verdict needs."""
    if pair.groups >= MIN_GROUPS:
        return None
    more = math.ceil((MIN_GROUPS - pair.groups) * pair.n / pair.groups)
    more = max(more, _for_errors(pair) or 0)
    text = (
        f"{pair.groups} independent evaluation images are too few, {MIN_GROUPS} are needed and "
        f"{MIN_ERRORS} errors of every null: add about {rounded(more)}."
    )
    return Reason("FEW_IMAGES", text, more)


def no_headroom(pair: Pair) -> Reason | None:
    """Return the reason if a null makes too few errors for any model to be better."""
    errors = pair.effective * pair.error_null
    if errors >= MIN_ERRORS:
        return None
    more = _for_errors(pair)
    made = f"about {errors:.0f} independent errors" if errors >= 0.5 else "no errors"
    text = (
        f"The data are too easy to tell: {title_of(pair.null)} makes {made}, {MIN_ERRORS} are "
        f"needed. Evaluate on harder images{f', or on about {rounded(more)} more' if more else ''}."
    )
    return Reason("NO_HEADROOM", text, more)


def _for_errors(pair: Pair) -> int | None:
    """Count the further images on which the null makes enough errors; None if it makes none."""
    errors = pair.effective * pair.error_null
    return max(0, math.ceil(pair.n * (MIN_ERRORS / errors - 1))) if errors > 0 else None


def too_noisy(pair: Pair, g: float, tests: int) -> Reason:
    """Return the reason why the gain's interval, or the null's allowance, includes the limit.

    Args:
        pair: Statistics of the null that prevents a pass, sound and measured.
        g: Required gain.
        tests: Number of claim nulls, for which a fail is adjusted.
    """
    mean, image, seed = contrast(pair, 1.0, 1 - g)
    lead, level = mean - (1 - g) * pair.allowance, 1 - 2 * ALPHA
    if mean <= 0:  # on its way to a fail, which is adjusted for the number of tests
        lead, level = -mean, 1 - 2 * ALPHA / tests
    elif lead <= 0 or (pair.allowance > ADEQUATE and lacking(pair, mean, image, seed, level) <= 0):
        return _weak(pair, g)
    times = _times(pair, lead, image, seed, level)
    seeds = None if times <= EASY_TIMES else _seeds(pair, lead, image, seed, level)
    if times <= MOST_TIMES and seeds is None:
        more = max(1, math.ceil(pair.n * (times - 1)))
        text = f"{_close(pair, g)} to tell: evaluate on about {rounded(more)} more images."
        return Reason("FEW_IMAGES", text, more)
    if seeds is not None or seed > image:
        return _few_seeds(pair, g, seeds)
    text = (
        f"{_close(pair, g)} for any practical number of images to tell: improve the model, or "
        "ask for another gain."
    )
    return Reason("FEW_IMAGES", text)


def lacking(pair: Pair, lead: float, image: float, seed: float, level: float) -> float:
    """Return the excess of the margin of two variances over a lead; not significant above 0."""
    if image + seed <= 0:
        return -lead
    return quantile(freedom(pair, image, seed), level) * math.sqrt(image + seed) - lead


def _times(pair: Pair, lead: float, image: float, seed: float, level: float) -> float:
    """Return the factor of images that makes the lead significant; infinite if none does."""
    if lead <= 0 or not math.isfinite(image):
        return math.inf
    low = high = 1.0
    while lacking(pair, lead, image / high, seed, level) > 0:
        low, high = high, 2 * high
        if low > MOST_TIMES:
            return math.inf
    while high - low > 1e-3 * low:
        middle = (low + high) / 2
        short = lacking(pair, lead, image / middle, seed, level) > 0
        low, high = (middle, high) if short else (low, middle)
    return high


def _seeds(pair: Pair, lead: float, image: float, seed: float, level: float) -> int | None:
    """Return the number of seeds that makes the lead significant here; None if none does."""
    if seed == 0:
        return None
    for seeds in range(max(pair.seeds + 1, 3), MOST_SEEDS + 1):
        df = (pair.df / (pair.seeds - 1) if pair.seeds > 1 else 1.0) * (seeds - 1)
        more = pair.model_copy(update={"df": df})
        if lacking(more, lead, image, seed * pair.seeds / seeds, level) <= 0:
            return seeds
    return None


def _weak(pair: Pair, g: float) -> Reason:
    """Return the reason for a lead that does not exceed the null's allowance."""
    text = (
        f"More training might lift {title_of(pair.null)} by up to {100 * pair.allowance:.1f} "
        f"points, and beyond that the model is not ahead enough of the limit of {g:.0%}: give "
        "the nulls a larger budget (images_seen, doublings) or more seeds, which narrow this."
    )
    return Reason("WEAK_NULL", text)


def _few_seeds(pair: Pair, g: float, seeds: int | None) -> Reason:
    """Return the reason for a lead that run-to-run variation hides, whatever the images."""
    count = f"about {seeds} seeds (seeds={seeds})" if seeds else "more seeds, on more images"
    text = (
        f"{_close(pair, g)} to tell: {title_of(pair.null)} was trained {times_of(pair.seeds)}, "
        f"and how much that varies is too uncertain. Train the nulls with {count}."
    )
    return Reason("FEW_SEEDS", text)


def _close(pair: Pair, g: float) -> str:
    """Say how near the gain is to the limit."""
    extra = ""
    if pair.allowance >= 0.0005 and gain_interval(pair)[0] > g:
        extra = f", and with the {100 * pair.allowance:.1f} points that training might add"
    return f"{removes(pair)}{extra}, too close to the limit of {g:.0%}"


def removes(pair: Pair) -> str:
    """Say the gain with its interval: the share of errors removed, or of errors added."""
    gain, low, high = gain_interval(pair)
    null = title_of(pair.null)
    if not math.isfinite(gain):
        return f"It removes no measurable share of the errors of {null}"
    if gain < 0:
        return f"It makes {span(-gain, -high, -low)} more errors than {null}"
    return f"It removes {span(gain, low, high)} of the errors of {null}"


def span(value: float, low: float, high: float) -> str:
    """Print a share and its interval: "40% (36% to 44%)"."""
    ends = f" ({low:.0%} to {high:.0%})" if math.isfinite(low + high) else ""
    return f"{value:.0%}{ends}"


def times_of(seeds: int) -> str:
    """Say how often, in words."""
    return "once" if seeds == 1 else f"{seeds} times"


def rounded(count: int) -> str:
    """Round up to two significant digits, since the number is a suggestion only."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / step) * step:,}"
