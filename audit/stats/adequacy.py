"""Whether nulls were trained long enough: learning curves, and nulls out of order."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.stats.intervals import paired_difference

# Sum of all later doublings, in units of the last step or of the last two, of a power law whose
# steps shrink by r = 3/4 (exponent 0.415): r / (1 - r), and that over 1 + 1 / r.
LAST_STEP, LAST_STEPS = 3.0, 9 / 7

# Standard error of whole less quarter, in units of that of whole less half. Chosen by hand; the
# false passes that it leaves are simulated in benchmarks/verdict.md.
WIDER = 1.25
STEADY = 0.75  # largest ratio of two steps for which the factors above bound what follows
ADEQUATE = 0.03  # largest allowance of an adequate null; chosen by hand
NESTING_TOLERANCE = 0.01  # largest shortfall that is ignored however certain; chosen by hand


class Adequacy(NamedTuple):
    """Verdict on the training budget of a null.

    Attributes:
        delta: Accuracy at the whole budget minus that at half of it, a fraction.
        se: Standard error of `delta`.
        allowance: U, upper bound of the accuracy that more training might still add.
        adequate: Whether U is at most 3 points.
        decay: Ratio of `delta` to the step before it; above 3/4 the factors of U are no bound.
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
    """Bound the accuracy that a larger training budget could still add (docs/verdict.md).

    U is the smaller of two upper bounds, with SE^2 = discordant share / n_heldout + 2 tau^2 / S:
    3 (max(0, delta) + 1.645 SE) from the last doubling, and 9/7 (max(0, a(1) - a(1/4)) + 1.645 x
    1.25 SE) from the last two. The factors multiply the margins too, since they multiply the
    noise. Where the curve falls by more than that, U is the fall and its margin: a shorter
    training would have been the stronger null.

    Args:
        a_quarter: Accuracy on held-out images at a quarter of the budget.
        a_half: Accuracy at half of the budget.
        a_full: Accuracy at the whole budget.
        discordant_share: Share of held-out images that only one of half and whole gets right;
            with several seeds, the mean square per image of the difference of their means.
        n_heldout: Number of held-out images.
        seed_variance: Variance over seeds of the accuracy of one seed.
        seeds: Number of seeds S.

    Returns:
        NaN and an infinite allowance where anything was not measured. The allowance is infinite,
        too, where the curve clearly climbs and its last step is more than 3/4 of the one before:
        it has hardly begun.
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
    """Pair of nulls out of order: `upper` was not trained properly.

    Attributes:
        lower: Name of the blinder null.
        upper: Name of the null that sees at least as much and is less accurate.
        difference: Difference accuracy(lower) - accuracy(upper), a fraction.
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
    """List the nulls that fall short of a blinder one by more than 1 point and the interval.

    Args:
        order: Pairs of names (blinder, less blind). Those with a null that is not in `errors` are
            left out.
        errors: Errors (S, n) of each null on the same images, by name.
        groups: Group labels (n,); None if every image is a group of its own.
        seed_variance: Variance tau^2 over seeds of a trained null. A null with one row counts as
            trained.
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
