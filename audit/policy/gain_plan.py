"""What the gain rule fixes before it looks, and what it reads of each null.

The shares of the error budget are fixed numbers, each used once and never passed on: an adjustment
by Holm gains nothing here, and is not valid over a set of nulls that grows.
"""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from audit.policy.reasons import MIN_ERRORS, MIN_GROUPS
from audit.reports.document import FrozenModel
from audit.stats.contrasts import (
    Contrast,
    SeedPool,
    fail_p,
    in_hand,
    unbounded,
    with_margin,
)
from audit.stats.states import NullRecord

ALPHA_PASS = 0.025  # one-sided, of a null with one state
ALPHA_PASS_GROWN = 0.020  # of a null over its states: with 0.025, up to 2.6 % of passes were false
ALPHA_UNTRAINED = 0.010  # of all false fails by nulls with one state
ALPHA_TRAINED = 0.010  # of all false fails by trained nulls
ALPHA_SOLVED = 0.005  # of "data solved", over all looks; the three add up to 0.025

# What a pass needs of the networks (benchmarks/gain_rule.md): with two of each null up to 4.0 % of
# passes were false, and with 4 degrees of freedom of the pool up to 3.9 %.
LEAST_NETWORKS, LEAST_DF = 3, 8
ONE_STATE = ("untrained", "imported")


class GainPlan(FrozenModel):
    """What is fixed before any evaluation prediction is read.

    Attributes:
        untrained: Number Kc of gating nulls with one state: linear, closed form and imported.
        trained: Number Kt of gating nulls that are trained, the stack included.
        budgets: Number J of budgets of each trained null.
        looks: Number of looks at the evaluation images.
        balanced: Whether balanced accuracy is judged, too.
        claims: Claims that need a trained null at full scale for a pass.
    """

    untrained: int = Field(ge=0)
    trained: int = Field(ge=0)
    budgets: int = Field(ge=1, le=5)
    looks: int = Field(ge=1)
    balanced: bool = False
    claims: tuple[Literal["bag", "place"], ...] = ("bag", "place")

    @property
    def solved_share(self) -> float:
        """Probability of a false "data solved" at one look; plain errors only, so never halved."""
        return ALPHA_SOLVED / self.looks

    def fail_share(self, record: NullRecord) -> float:
        """Return the probability of a false fail that is kept for this state of a null."""
        tests = 2 if self.balanced else 1
        if record.terms.kind in ONE_STATE:
            return ALPHA_UNTRAINED / (self.untrained * tests)
        return ALPHA_TRAINED / (self.trained * self._states(record) * tests)

    def pass_share(self, record: NullRecord) -> float:
        """Return the largest p-value at which this state of a null passes."""
        if record.terms.kind in ONE_STATE:
            return ALPHA_PASS
        return ALPHA_PASS_GROWN / self._states(record)

    def _states(self, record: NullRecord) -> int:
        """Count the states of a null; the stack has a new one whenever any null grows."""
        return {"trained": self.budgets, "stack": self.looks}.get(record.terms.kind, 1)

    def check(self, records: Sequence[NullRecord]) -> None:
        """Refuse records that do not fit the plan.

        Raises:
            ValueError: If there are more nulls or states than planned, or two of one name.
        """
        names = [record.terms.null for record in records]
        single = sum(record.terms.kind in ONE_STATE for record in records)
        if len(set(names)) < len(names):
            raise ValueError(f"null names must differ: {names}")
        if single > self.untrained or len(records) - single > self.trained:
            raise ValueError(f"{names} are more nulls than the plan has")
        late = [r.terms.null for r in records if r.terms.state > self._states(r)]
        if late:
            raise ValueError(f"{late} have more states than the plan has")


def networks_for(nulls: int) -> int:
    """Return the number S of networks of each trained null: 3, or more if few nulls share a pool.

    It belongs to the plan. To add a network after a look would make a state that has no share.

    Args:
        nulls: Number of trained nulls, without the stack, at least 1.
    """
    return max(LEAST_NETWORKS, 1 + math.ceil(LEAST_DF / nulls))


class Standing(FrozenModel):
    """One null, with all that the rule reads of it at one look.

    Attributes:
        record: Statistics of the null and the subject.
        pool: How much single networks vary.
        p_fail: p-value of a fail by the null in hand.
        fail_share: Largest `p_fail` that is a fail.
        lead: Mean m of the null in hand; below 0 the subject does not beat it by g.
        contrast: Contrast of a pass that decides, with the margin or without.
        unbounded: Whether the margin has no bound.
        pass_share: Largest `p_pass` that is a pass.
    """

    record: NullRecord
    pool: SeedPool
    p_fail: float
    fail_share: float
    lead: float
    contrast: Contrast
    unbounded: bool
    pass_share: float

    @property
    def name(self) -> str:
        """Name of the null."""
        return self.record.terms.null

    @property
    def fails(self) -> bool:
        """Whether the subject fails by this null."""
        return self.p_fail <= self.fail_share

    @property
    def beaten(self) -> bool:
        """Whether the p-value of a pass is small enough."""
        return self.p_pass <= self.pass_share

    @property
    def errors(self) -> float:
        """Number of independent errors of the null."""
        return self.record.effective * self.record.means[1]

    @property
    def few_networks(self) -> bool:
        """Whether too little is known of how much networks vary, so that nothing can pass."""
        terms = self.record.terms
        few = terms.kind in ("trained", "stack") and terms.networks < LEAST_NETWORKS
        known = self.pool.df >= LEAST_DF and math.isfinite(self.contrast.seed)
        return few or (terms.kind != "untrained" and not known)

    @property
    def barred(self) -> bool:
        """Whether the null cannot be passed, whatever its p-value."""
        terms = self.record.terms
        return terms.status != "ok" or terms.below_floor or self.unbounded or self.few_networks

    @property
    def p_pass(self) -> float:
        """p-value of a pass; 1 where nothing can pass."""
        return 1.0 if self.barred else self.contrast.p

    @property
    def thin(self) -> bool:
        """Whether there are too few images, or too few errors of the null, for a pass."""
        return not (self.record.groups >= MIN_GROUPS and self.errors >= MIN_ERRORS)

    @property
    def blocks(self) -> bool:
        """Whether the null prevents a pass."""
        return self.thin or not self.beaten

    def can_grow(self, plan: GainPlan) -> bool:
        """Tell whether the null is trained and has a budget left."""
        terms = self.record.terms
        return terms.kind == "trained" and terms.status == "ok" and terms.state < plan.budgets


def stand(record: NullRecord, plan: GainPlan, g: float, pool: SeedPool) -> Standing:
    """Compute all that the rule reads of one null."""
    return Standing(
        record=record,
        pool=pool,
        p_fail=fail_p(record, g),
        fail_share=plan.fail_share(record),
        lead=in_hand(record, g).mean if record.measured else math.nan,
        contrast=with_margin(record, g, pool),
        unbounded=unbounded(record, pool),
        pass_share=plan.pass_share(record),
    )
