"""Whether a change is more than noise, alone and among several."""

import math
from typing import Literal

from audit.comparison.change import Change
from audit.stats.intervals import IMAGE_DF, quantile

Answer = Literal["yes", "no", "cannot tell"]
LEVEL = 0.05


def more_than_noise(change: Change) -> Answer:
    """Whether the 95 % interval of a change leaves 0 out; "cannot tell" without an interval."""
    if not change.low <= change.high:  # true for NaN, too
        return "cannot tell"
    return "no" if change.low <= 0 <= change.high else "yes"


def p_value(change: Change) -> float:
    """Two-sided p that there is no change, read off the interval; NaN without one.

    Student's t with 60 degrees of freedom, or n - 1 if fewer: exact for a paired change, and for
    any other on the same side of 0.05 as its interval.
    """
    if more_than_noise(change) == "cannot tell":
        return math.nan
    margin = change.value - change.low if change.value > 0 else change.high - change.value
    if change.value == 0 or math.isinf(margin):
        return 1.0
    from scipy import special

    df = max(1.0, min(IMAGE_DF, change.n - 1))
    t = math.inf if margin == 0 else abs(change.value) / margin * quantile(df, 1 - LEVEL)
    return float(2 * special.stdtr(df, -t))
