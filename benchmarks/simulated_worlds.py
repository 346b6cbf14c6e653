"""What simulated audits are drawn from: nulls, their true errors, spreads and power laws."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

CLUSTERS = (2, 3, 4, 5)
MINORITY = {"plain": (0.01, 0.60), "balanced": (0.15, 0.20)}  # a null's error by class


class Rung(NamedTuple):
    """One null: its error over that of the strongest, whether it is a network, whether it counts.

    Attributes:
        ratio: Expected error, as a multiple of the strongest null's.
        trained: Whether it is a network with seeds and a learning curve.
        claim: Whether the verdict rests on it.
        seeded: Whether it has one row of predictions a seed.
    """

    ratio: float
    trained: bool = True
    claim: bool = True
    seeded: bool = True


RUNGS = {
    "prior": Rung(3.0, trained=False, seeded=False),
    "pixels": Rung(1.6, trained=False, seeded=False),
    "bagnet-5": Rung(1.25),
    "coordconv-5": Rung(1.2),
    "bagnet-9": Rung(1.0),
    "coordconv-9": Rung(1.1),
    "stack": Rung(1.05, trained=False),
    "circular-9": Rung(1.2, claim=False),
    "sighted-9": Rung(0.7, claim=False),
}
NOISY = "bagnet-9"  # the strongest null is the one whose seeds spread most
TRAINED = tuple(name for name, rung in RUNGS.items() if rung.trained)


class World(NamedTuple):
    """One kind of audit; shares and errors are fractions.

    Attributes:
        images: Evaluation images.
        seeds: Of every trained null.
        spread: Standard deviation over seeds of a null's accuracy, pooled over trained nulls.
        noisy: The strongest null's own spread, as a multiple of the pooled one; 1: all are equal.
        error: Expected error of the strongest null once it is fully trained.
        even: Whether all nulls are as good as the strongest.
        shared: Weight of the difficulty that all models share.
        own: Weight of the difficulty that the seeds of one null share.
        kin: Whether the subject shares that of the strongest null, as if it were one of its kind.
        copies: Share of the images that stand in clusters of 2 to 5 near duplicates.
        majority: Share of the larger of two classes; 0: classes are even and play no part.
        left: Error that training at the recipe's budget leaves above that of endless training.
        exponent: Of the power law by which that falls with the budget.
        budget: Of the nulls, as a multiple of the recipe's; 0.1: starved.
        doublings: How often an inadequate null's budget is doubled.
    """

    images: int
    seeds: int = 3
    spread: float = 0.006
    noisy: float = 2.0
    error: float = 0.3
    even: bool = False
    shared: float = 1.5
    own: float = 1.0
    kin: bool = False
    copies: float = 0.0
    majority: float = 0.0
    left: float = 0.0
    exponent: float = 0.5
    budget: float = 1.0
    doublings: int = 3

    def unripe(self, times: float = 1.0) -> float:
        """Error that so many times the nulls' budget leaves undone."""
        return self.left * (times * self.budget) ** -self.exponent

    def spread_of(self, name: str) -> float:
        """Spread over seeds of a null; the pooled one is the same whatever the noisy one has."""
        if name == NOISY:
            return self.noisy * self.spread
        if not RUNGS[name].trained:
            return self.spread if RUNGS[name].seeded else 0.0
        k = len(TRAINED)
        return self.spread * math.sqrt((k - self.noisy**2) / (k - 1))

    def error_of(self, name: str) -> float:
        """Expected error of a null, fully trained."""
        ratio = 1.0 if self.even and RUNGS[name].claim else RUNGS[name].ratio
        return min(0.9, ratio * self.error)


def latent_spread(error: float, spread: float, width: float) -> float:
    """Standard deviation of the shift by which a null's accuracy spreads over seeds as asked."""
    level = special.ndtri(error)
    slope = math.exp(-(level**2) / 2) / math.sqrt(2 * math.pi)
    return spread / slope * width


def clusters(images: int, share: float) -> NDArray[np.intp]:
    """(n,) group labels: so large a share of the images stands in clusters of 2 to 5."""
    sizes: list[int] = []
    while sum(sizes) < share * images - CLUSTERS[-1]:
        sizes += CLUSTERS
    sizes += [1] * (images - sum(sizes))
    return np.arange(len(sizes)).repeat(sizes)
