"""Spearman's rank correlation of two quantities over a set of models."""

import math
from collections.abc import Sequence

from audit.reports.document import FrozenModel

LEAST = 4  # models; with fewer, Fisher's z has no variance


class Correlation(FrozenModel):
    """A rank correlation.

    Attributes:
        over: The models it is taken over, in words.
        value: Spearman's rho; NaN where it has none.
        low: Lower end of its 95 % interval; NaN with fewer than four models.
        high: Upper end.
        n: Models.
        note: Why there is no number, or what to think of the interval.
    """

    over: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    note: str = ""


def spearman(x: Sequence[float], y: Sequence[float], over: str = "") -> Correlation:
    """Spearman's rho with Fisher's z and the variance (1 + rho^2 / 2) / (n - 3).

    Bonett & Wright (2000), Psychometrika 65:23, doi:10.1007/BF02294183. Where all ranks agree z is
    infinite: the inner end is then that of the next smaller value that n models can show, 1 - 12 /
    (n^3 - n), two neighbours swapped.

    Args:
        x: (n,) finite.
        y: (n,) likewise.
        over: The models, in words.
    """
    n = len(x)
    if n < LEAST or len(set(x)) < 2 or len(set(y)) < 2:
        why = f"fewer than {LEAST} models" if n < LEAST else "all models show the same value"
        return Correlation(over=over, value=math.nan, n=n, note=f"not measured: {why}")
    from scipy.stats import spearmanr

    rho = float(spearmanr(x, y).statistic)
    inner = min(abs(rho), 1 - 12 / (n**3 - n))
    margin = 1.959964 * math.sqrt((1 + inner**2 / 2) / (n - 3))
    low, high = (math.tanh(math.atanh(inner) + side * margin) for side in (-1, 1))
    low, high = (low, high) if rho >= 0 else (-high, -low)
    return Correlation(
        over=over,
        value=round(rho, 12),  # ranks are exact, their correlation is not quite
        low=min(low, rho),
        high=max(high, rho),
        n=n,
        note="a rough interval: fewer than 10 models" if n < 10 else "",
    )
