"""Simulated audits put through the audit's own functions, from errors to the finding."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from simulated_worlds import RUNGS, TRAINED

from audit.policy.judge import judge
from audit.policy.limits import Limit, Policy
from audit.record import Finding, Measurement
from audit.stats.adequacy import Adequacy, adequacy, nesting_violations
from audit.stats.gain import gain_interval
from audit.stats.paired import NullTraining, Pair, balanced_weights, pair, pooled_seed_variance

Array = NDArray[np.float64]
HELDOUT = 2000
DECIDING = 0.004**2  # seed variance that the audit assumes when it decides on a larger budget
ORDER = (
    *(("prior", name) for name in ("bagnet-5", "bagnet-9", "coordconv-5", "coordconv-9")),
    ("bagnet-5", "bagnet-9"),
    ("bagnet-9", "sighted-9"),
    ("circular-9", "coordconv-9"),
)


class Audit(NamedTuple):
    """What one audit sees of its nulls.

    Attributes:
        errors: (S, n) by null; in two uneven classes those of plain accuracy.
        balanced: Likewise with the log prior taken off; empty if the classes are even.
        subjects: (n,) by name of the subject.
        groups: (n,) or None.
        labels: (n,) or None.
        allowance: U by null.
        seed_variance: Pooled seed variance.
        failed: Nulls that are worse than a blinder one.
    """

    errors: dict[str, Array]
    balanced: dict[str, Array]
    subjects: dict[str, Array]
    groups: NDArray[np.intp] | None
    labels: NDArray[np.intp] | None
    allowance: dict[str, float]
    seed_variance: float
    failed: frozenset[str]

    def pair(self, subject: str, null: str, *, balanced: bool = False) -> Pair:
        """The subject against one null, as the check of the gap makes it."""
        weights = balanced_weights(self.labels) if balanced and self.labels is not None else None
        return pair(
            null,
            self.subjects[subject],
            (self.balanced if balanced else self.errors)[null],
            self.groups,
            claim=True,
            training=NullTraining(
                allowance=self.allowance.get(null, 0.0),
                seed_variance=self.seed_variance if RUNGS[null].seeded else 0.0,
                pooled_over=len(TRAINED),
                failed=null in self.failed,
            ),
            weights=weights,
        )

    def pairs(self, subject: str, *, balanced: bool = False) -> list[Pair]:
        """The subject against every claim null."""
        claims = [name for name in self.errors if RUNGS[name].claim]
        return [self.pair(subject, name, balanced=balanced) for name in claims]

    def finding(self, subject: str, g: float) -> Finding:
        """The finding of the policy's limit on the gain, with balanced accuracy where uneven."""
        measured = [measurement("gain", p) for p in self.pairs(subject)]
        if self.labels is not None:
            pairs = self.pairs(subject, balanced=True)
            measured += [measurement("balanced_gain", p) for p in pairs]
        limit = Limit(
            name="gain", measure="accuracy_gap.gain.*", comparator="at_least", bound=g,
            severity="gate",
        )  # fmt: skip
        (found,) = judge(measured, Policy(limits=(limit,)))
        return found


def measurement(quantity: str, pair: Pair) -> Measurement:
    """The measurement of a gain, as the check of the gap states it."""
    value, low, high = gain_interval(pair)
    return Measurement(
        check="accuracy_gap",
        quantity=quantity,
        of=pair.null,
        value=value,
        unit="gain",
        low=low,
        high=high,
        n=pair.groups,
        detail=pair.to_detail(),
    )


class Curve(NamedTuple):
    """A null's accuracies on held-out images, as the audit stores them.

    Attributes:
        quarter: At a quarter of the budget, a mean over seeds.
        half: At half of it.
        whole: At the whole.
        discordance: Mean square of what the last doubling changed, an image.
        seeds: Networks.
        doublings: How often the budget was doubled before.
    """

    quarter: float
    half: float
    whole: float
    discordance: float
    seeds: int
    doublings: int

    def adequacy(self, seed_variance: float) -> Adequacy:
        """Whether the budget was enough."""
        return adequacy(
            self.quarter,
            self.half,
            self.whole,
            self.discordance,
            HELDOUT,
            seed_variance,
            self.seeds,
        )


def curve_of(right: NDArray[np.bool_], doublings: int) -> Curve:
    """What is kept of (S, 3, m) outcomes on held-out images."""
    mean = right.mean(0)  # (3, m)
    quarter, half, whole = mean.mean(1).tolist()
    discordance = float(np.square(mean[2] - mean[1]).mean())
    return Curve(quarter, half, whole, discordance, len(right), doublings)


def see(
    errors: dict[str, Array],
    balanced: dict[str, Array],
    subjects: dict[str, Array],
    groups: NDArray[np.intp] | None,
    labels: NDArray[np.intp] | None,
    curves: dict[str, Curve],
) -> Audit:
    """Measure one audit's nulls, as the audit does; the arguments are those of `Audit`."""
    seed_variance = pooled_seed_variance([errors[name] for name in TRAINED if name in errors])
    allowance = {name: curve.adequacy(seed_variance).allowance for name, curve in curves.items()}
    failed: frozenset[str] = frozenset()
    if curves:
        allowance["stack"] = max(allowance.values())
        n = len(next(iter(subjects.values())))
        guessed = np.arange(n) % 10 > 0 if labels is None else labels > 0
        errors = {"prior": guessed.astype(np.float64), **errors}
        balanced = {"prior": errors["prior"], **balanced} if balanced else balanced
        broken = nesting_violations(ORDER, errors, groups, seed_variance=seed_variance)
        failed = frozenset(violation.upper for violation in broken)
    return Audit(errors, balanced, subjects, groups, labels, allowance, seed_variance, failed)
