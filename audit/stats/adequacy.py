"""Was a null trained long enough?."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.stats.intervals import (
    paired_difference,
)

LAST_STEP, LAST_STEPS = 3.0, 9 / 7  # what is left, in units of the last doubling, or the last two

WIDER = 1.25  # standard error of whole less quarter, in units of that of whole less half

STEADY = 0.75  # ratio of two steps up to which the factor of U bounds what follows

ADEQUATE = 0.03  # largest allowance of an adequate null

NESTING_TOLERANCE = 0.01  # a smaller shortfall is no sign of a failed training


class Adequacy(NamedTuple):
    """Whether a null had enough training.

    Attributes:
        delta: Accuracy at the whole budget less that at half of it, a fraction.
        se: Its standard error.
        allowance: U, the accuracy that more training might still add (upper bound).
        adequate: Whether U is at most 3 points.
        decay: delta over the step before it; above 3/4 the factor of U bounds no power law.
            NaN where the step before was not positive.
    """

    delta: float
    se: float
    allowance: float
    adequate: bool
    decay: float


def adequacy(
    a_quarter: float,
    a_half: float,
    a_full: float,
    discordant_share: float,
    n_heldout: int,
    seed_variance: float,
    seeds: int,
) -> Adequacy:
    """How much accuracy a larger training budget could still add (docs/verdict.md).

    U is the smaller of two upper bounds, SE^2 = discordant share / n_heldout + 2 tau^2 / S:
    3 (max(0, delta) + 1.645 SE), from the last doubling, and 9/7 (max(0, a(1) - a(1/4)) + 1.645
    1.25 SE), from the last two. The factors sum all later doublings of a power law with exponent
    0.415, whose steps shrink by 3/4: 3 = r / (1 - r), 9/7 = 3 / (1 + 1/r). Both multiply the
    margin too, since they multiply the noise; quarter and whole are taken to disagree a quarter
    more than half and whole. Where the curve falls by more than that, U is the fall and its
    margin: a shorter training would have been the stronger null.

    Args:
        a_quarter: Accuracy on held-out images at a quarter of the budget.
        a_half: At half of it.
        a_full: At the whole.
        discordant_share: Share of held-out images on which half and whole disagree in being
            right; with several seeds the mean square of the difference of their means, an image.
        n_heldout: Held-out images.
        seed_variance: Variance over seeds of one seed's accuracy.
        seeds: S.

    Returns:
        NaN and an infinite allowance where anything was not measured; an infinite allowance, too,
        where the curve clearly climbs and its last step is more than 3/4 of the one before: it has
        hardly begun.
    """
    delta, before = a_full - a_half, a_half - a_quarter
    known = math.isfinite(delta) and math.isfinite(discordant_share + seed_variance)
    if not known or n_heldout < 1 or seeds < 1 or discordant_share < 0 or seed_variance < 0:
        return Adequacy(math.nan, math.nan, math.inf, False, math.nan)
    se = math.sqrt(discordant_share / n_heldout + 2 * seed_variance / seeds)
    last = LAST_STEP * (max(0.0, delta) + 1.645 * se)
    both = LAST_STEPS * (max(0.0, a_full - a_quarter) + 1.645 * WIDER * se)
    allowance = min(last, both) if math.isfinite(both) else last
    fallen = max(a_quarter, a_half) - a_full if math.isfinite(a_quarter) else -delta
    if fallen > allowance:
        allowance = fallen + 1.645 * WIDER * se
    decay = delta / before if before > 0 else math.nan
    climbing = delta > 1.645 * math.sqrt(discordant_share / n_heldout)
    if climbing and not decay <= STEADY:
        allowance = math.inf  # the steps do not shrink: no sum of them is a bound
    return Adequacy(delta, se, allowance, allowance <= ADEQUATE, decay)


class Violation(NamedTuple):
    """A null that is worse than one that sees less: `upper` was not trained properly.

    Attributes:
        lower: The blinder null.
        upper: The null that sees at least as much.
        difference: accuracy(lower) - accuracy(upper), a fraction.
        low: Lower end of its 95 % interval, above 0.
    """

    lower: str
    upper: str
    difference: float
    low: float


def nesting_violations(
    order: Sequence[tuple[str, str]],
    errors: Mapping[str, ArrayLike],
    groups: ArrayLike | None = None,
    *,
    seed_variance: float = 0.0,
) -> tuple[Violation, ...]:
    """Where a null falls short of a blinder one by more than 1 point and its interval.

    Args:
        order: (blinder, less blind) names; pairs with a null that is not in `errors` are left
            out.
        errors: (S, n) of each null on the same images.
        groups: (n,) or None.
        seed_variance: tau^2 of a trained null. Nulls with one row are taken as trained too.
    """
    broken = []
    for lower, upper in order:
        if lower not in errors or upper not in errors:
            continue
        better, worse = (np.atleast_2d(np.asarray(errors[k], dtype=float)) for k in (lower, upper))
        extra = seed_variance / len(better) + seed_variance / len(worse)
        difference, low, _ = paired_difference(worse, better, groups, extra_variance=extra)
        if difference > NESTING_TOLERANCE and low > 0:
            broken.append(Violation(lower, upper, difference, low))
    return tuple(broken)
