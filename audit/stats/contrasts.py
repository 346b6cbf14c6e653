"""Contrasts between the subject and one state of a null, and the p-values of the gain rule.

All contrasts are weighted sums of four mean errors: of the subject, and of the null at the whole,
a half and a quarter of its budget.

- **In hand** (fail): w = (1 - g) e_null - e_subject. An existing null is a witness whatever its
  seed, so only the images vary.
- **With margin** (pass): the larger p of two. c_0 = (1 - g)(1 - b) e_1 - e_subject takes the null
  as it is; c_kappa = (1 - g)(1 - b)(e_1 - kappa (e_1/4 - e_1)) - e_subject takes off kappa times
  what the last two doublings brought. b = 1 - sqrt(1 - h) is what the share h of the images that
  each network did not see may have cost. The variance is that over images plus f rho^2 / S. rho^2
  is the two-way residual of the same contrast over single networks, pooled as rho^2 / (e (1 - e)).

f = 8 / (S - 1), at least 2, is for a null whose networks vary more than those of the pool: its own
variance cannot be known from two or three networks. With f = 2 a null of twice the spread of all
others was passed falsely in 5 to 8 % of simulated audits of 10,000 images (benchmarks/gain_rule.md
says what else was tried).

The margin has a bound only if the steps of the curve shrink: a power law with exponent 0.29 has
steps that shrink by 0.82. No null passes whose last step is more than 0.82 of the one before by
1.645 standard errors (2.326 where there is one state only). Images and networks both count in that
standard error, as in that of a pass. With the images alone a flat curve would be refused far more
often than in one of twenty looks.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from audit.stats.intervals import IMAGE_DF, clopper_pearson, floor_variance
from audit.stats.paired import ASSUMED_SEED_VARIANCE, SEED_FLOOR, Pair
from audit.stats.states import KAPPA, Matrix, NullRecord, Row

FACTOR = 8.0  # of rho^2 / S, divided by S - 1; simulated
LEAST_FACTOR = 2.0
SHRINKS = 0.82  # ratio of two steps of a power law with exponent 0.29
SURELY = 1.645  # standard errors
SURELY_ONCE = 2.326  # for nulls with one state, which cannot grow out of a false alarm
NOW = (1.0, 0.0, 0.0)  # contrasts over the whole, a half and a quarter of the budget
MARGIN = (1 + KAPPA, 0.0, -KAPPA)
STEP = (-1.0, 1 + SHRINKS, -SHRINKS)
FEW_DISCORDANT = 25  # below, exact tests; DESIGN's number, chosen by hand
SOLVED = 0.01  # upper bound of the error of a null that solves the data; chosen by hand


class SeedPool(NamedTuple):
    """How much single networks vary, pooled over the trained nulls.

    Attributes:
        ratio: Mean over nulls of the residual (3, 3) divided by e (1 - e).
        df: Degrees of freedom: sum of S - 1; 0 if no null has two networks.
    """

    ratio: Matrix
    df: float


def pool_of(records: Iterable[NullRecord]) -> SeedPool:
    """SeedPool the residuals of single networks over all trained nulls that have two or more.

    The stack is left out: its networks are those of its members, so they add no freedom.
    """
    tables, df = [], 0.0
    for record in records:
        error = record.means[1]
        known = math.isfinite(sum(map(sum, record.seeds))) and 0 < error < 1
        if record.terms.kind == "trained" and record.measured and known:
            tables.append(np.array(record.seeds) / (error * (1 - error)))
            df += record.terms.networks - 1
    if not tables:
        return SeedPool(((math.nan,) * 3,) * 3, 0.0)
    return SeedPool(tuple(map(tuple, np.mean(tables, axis=0).tolist())), df)


class Contrast(NamedTuple):
    """One contrast with what its mean may vary by.

    Attributes:
        mean: Mean over images, a fraction.
        image: Variance of the mean over images.
        seed: Variance of the mean over networks, f rho^2 / S.
        image_df: Degrees of freedom of `image`.
        seed_df: Degrees of freedom of `seed`.
    """

    mean: float
    image: float
    seed: float
    image_df: float
    seed_df: float

    @property
    def df(self) -> float:
        """Degrees of freedom of the sum: 1 / df is the mean of both, by shares of variance."""
        share = self.seed / (self.image + self.seed) if self.seed > 0 else 0.0
        return 1 / ((1 - share) / self.image_df + share / self.seed_df)

    @property
    def p(self) -> float:
        """One-sided p-value against a mean of 0 or less; 1 if anything is unknown."""
        variance = self.image + self.seed
        if not (math.isfinite(self.mean + variance) and variance > 0 and self.seed_df > 0):
            return 1.0
        return _student(self.df, -self.mean / math.sqrt(variance))


def in_hand(record: NullRecord, g: float) -> Contrast:
    """Return w of the null in hand: no seed term and no margin."""
    return _over_images(record, (-1.0, 1 - g, 0.0, 0.0))


def fail_p(record: NullRecord, g: float) -> float:
    """Return the p-value against "the gain over the null in hand is at least g".

    Student's t over groups. Below 25 discordant groups exact tests, each doubled and the smaller
    taken: of the groups where only one errs, (1 - g) / (2 - g) at most may be the subject's; and of
    those where the null errs, it must have erred alone in a share g. The first is McNemar's. The
    second is needed where both agree: without it a subject with the predictions of the null would
    never fail. With unequal weights nothing is exact, and the p-value is 1.
    """
    if not record.measured or record.groups < 2:
        return 1.0
    if record.discordant >= FEW_DISCORDANT:
        w = in_hand(record, g)
        return w._replace(mean=-w.mean).p
    return exact_fail_p(record, g) if record.even else 1.0


def exact_fail_p(record: NullRecord, g: float) -> float:
    """Return the smaller of two exact p-values, doubled (Bonferroni), on one image per group.

    Both follow from (1 - g) P(only null) >= P(only subject) + g P(both), with g at least 0.
    """
    from scipy import special

    if g < 0:
        return 1.0
    null, subject, both = record.only_null, record.only_subject, record.both
    apart = float(special.bdtr(null, null + subject, 1 / (2 - g))) if null + subject else 1.0
    common = float(special.bdtr(null, null + both, g)) if null + both else 1.0
    return min(1.0, 2 * min(apart, common))


def solved(record: NullRecord, level: float) -> bool:
    """Tell whether the null's error is surely below 1 % (Clopper-Pearson, one image per group).

    Args:
        record: The null with the fewest errors on training-side images, and no other.
        level: Probability of the upper tail.
    """
    if not record.measured or record.groups < 1:
        return False
    wrong = record.only_null + record.both
    return clopper_pearson(wrong, record.groups, 1 - 2 * level)[1] < SOLVED


def with_margin(record: NullRecord, g: float, pool: SeedPool) -> Contrast:
    """Return the contrast of a pass with the larger p: as the null is, or with its margin.

    Linear and closed-form nulls vary by 0.05 points over their random filters.
    """
    keep = (1 - g) * math.sqrt(max(0.0, 1 - record.terms.unseen))
    found = [_over_both(record, (-1.0, keep), NOW, pool)]
    if record.has_curve or record.terms.kind in ("trained", "stack"):  # no curve, no bound
        found.append(_over_both(record, (-1.0, keep), MARGIN, pool))
    return max(found, key=lambda contrast: contrast.p)


def unbounded(record: NullRecord, pool: SeedPool) -> bool:
    """Tell whether the last step of the curve is clearly more than 0.82 of the one before.

    False where the variance over networks is unknown; `with_margin` lets nothing pass there.
    """
    if not record.has_curve:
        return record.terms.kind in ("trained", "stack")
    surely = SURELY_ONCE if record.terms.kind == "untrained" else SURELY
    step = _over_both(record, (0.0, 1.0), STEP, pool)
    return step.mean > surely * math.sqrt(step.image + step.seed)


def margin(record: NullRecord) -> float:
    """Return U: kappa times the accuracy that the last two doublings brought; 0 without a curve."""
    return KAPPA * max(0.0, record.means[3] - record.means[1]) if record.has_curve else 0.0


def as_pair(record: NullRecord, pool: SeedPool) -> Pair:
    """Return the null in hand as a `Pair`, for the gain and its interval with images and seeds."""
    variance, df = 0.0, IMAGE_DF
    if record.terms.kind != "untrained":
        seeds = _over_networks(record, NOW, pool) * record.terms.networks
        variance = seeds if math.isfinite(seeds) else ASSUMED_SEED_VARIANCE
        df = pool.df or IMAGE_DF
    return Pair(
        null=record.terms.null,
        claim=True,
        n=record.n,
        groups=record.groups,
        effective=record.effective,
        error_subject=record.means[0],
        error_null=record.means[1],
        var_subject=record.covariance[0][0],
        var_null=record.covariance[1][1],
        covariance=record.covariance[0][1],
        seeds=record.terms.networks,
        seed_variance=variance,
        df=df,
        allowance=margin(record),
        status=record.terms.status,
    )


def _over_images(record: NullRecord, weights: Sequence[float]) -> Contrast:
    """Return a contrast of the null in hand."""
    used = [i for i, weight in enumerate(weights) if weight]
    mean = sum(weights[i] * record.means[i] for i in used)
    image = sum(weights[i] * weights[j] * record.covariance[i][j] for i in used for j in used)
    if weights[0]:
        image = max(image, weights[0] ** 2 * floor_variance(record.effective))
    image_df = max(1.0, min(IMAGE_DF, record.groups - 1))
    return Contrast(mean, max(image, 0.0), 0.0, image_df, IMAGE_DF)


def _over_both(
    record: NullRecord, scale: tuple[float, float], shape: Row, pool: SeedPool
) -> Contrast:
    """Return a contrast with the variance over networks.

    Args:
        record: Statistics of the null and the subject.
        scale: Weight of the subject's error, and the factor of `shape`.
        shape: Contrast over the whole, a half and a quarter of the budget.
        pool: How much single networks vary.
    """
    found = _over_images(record, (scale[0], *(scale[1] * weight for weight in shape)))
    if record.terms.kind == "untrained":
        return found._replace(seed=SEED_FLOOR)
    return found._replace(seed=scale[1] ** 2 * _over_networks(record, shape, pool), seed_df=pool.df)


def _over_networks(record: NullRecord, shape: Row, pool: SeedPool) -> float:
    """Return the variance over networks of a contrast: `factor` times rho^2 / S.

    NaN, so that nothing passes, where a trained null has one network or unknown ones.
    """
    alone = record.terms.kind in ("trained", "stack") and record.terms.networks < 2
    unknown = record.terms.kind == "trained" and not math.isfinite(record.seeds[0][0])
    if not pool.df or alone or unknown:
        return math.nan
    used = [i for i, weight in enumerate(shape) if weight]
    ratio = sum(shape[i] * shape[j] * pool.ratio[i][j] for i in used for j in used)
    rho2 = max(ratio * record.means[1] * (1 - record.means[1]), SEED_FLOOR)
    return factor(record.terms.networks) * rho2 / record.terms.networks


def factor(networks: int) -> float:
    """Return how often rho^2 / S is counted: 8 times for two networks, 4 for three, 2 for many."""
    return max(LEAST_FACTOR, FACTOR / max(networks - 1, 1))


def _student(df: float, t: float) -> float:
    from scipy import special

    return float(special.stdtr(df, t))
