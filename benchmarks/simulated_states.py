"""Whole audits drawn at random for the gain rule: nulls that grow, with known truth.

Images have a difficulty that all models share, and one for each null that its networks share. A
network adds noise for each image, of which 0.7 of the variance is the same at all its budgets, and
a shift of its accuracy, of which half of the variance is. An ensemble averages the latent values
(logits) of its networks, so it errs less than they do, and its expected error falls with the budget
along a curve that is known. Counts of errors and of common errors give the records of the rule;
`tests/benchmarks/test_gain_rule_simulation.py` compares them with `reduce_state`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from audit.policy.gain_plan import GainPlan
from audit.policy.gain_rule import look_at
from audit.reports.document import Verdict
from audit.stats.states import NullRecord, NullTerms

Array = NDArray[np.float64]
Table = NDArray[np.float32]

BATCH = 40_000  # images drawn at once
SHARED, OWN = 1.5, 1.0  # weights of the difficulty that all models share, and of a null's own
SAME_RUN, SAME_SHIFT = 0.7, 0.5  # share of a network's variance that is the same at all budgets
HELDOUT = 2000  # training-side images that say which null is best
MOST = 5  # budgets
NEAR = (1.0, 1.1, 1.2, 1.25, 1.3, 1.35, 1.4, 1.5)  # errors of networks over the strongest
STACK, PRIOR, PIXELS, CLOSED = 1.05, 3.0, 1.6, 1.1
FAR = 1.6  # of all nulls but the strongest, where it is alone
UNKNOWN = [[math.nan] * 3] * 3
_GRID = (np.arange(1 << 16) + 0.5) / (1 << 16)
NORMAL = special.ndtri(_GRID).astype(np.float32)  # quicker than drawing, and exact to 1e-4


class Setting(NamedTuple):
    """One kind of audit; shares and errors are fractions.

    Attributes:
        images: Number of evaluation images.
        left: Error above that of endless training at the first look.
        exponent: Exponent of the power law by which `left` falls with the budget.
        plateau: Multiple of the first look's budget up to which nothing is learned; 0: none.
        spread: Standard deviation over networks of a null's accuracy.
        noisy: The strongest null's spread, as a multiple of that of all others.
        error: Expected error of the strongest null once it is fully trained, for three networks.
        closed: Error of the closed-form null, as a multiple of the strongest network's.
        alone: Whether all other nulls err 1.6 times as often as the strongest or more, so that a
            pass hangs on it alone.
        unseen: Share of the training images that no network saw.
        networks: Number of networks drawn; records may use fewer.
    """

    images: int
    left: float = 0.0
    exponent: float = 0.5
    plateau: float = 0.0
    spread: float = 0.006
    noisy: float = 2.0
    error: float = 0.3
    closed: float = CLOSED
    alone: bool = False
    unseen: float = 0.0
    networks: int = 3

    def above(self, budgets: Array) -> Array:
        """Error above that of endless training at these multiples of the first budget."""
        effective = np.maximum(budgets / self.plateau, 1.0) if self.plateau else budgets
        return self.left * effective**-self.exponent

    def shift_of(self, null: int) -> float:
        """Spread of a null's latent shift."""
        level = special.ndtri(self.error)
        slope = math.exp(-(level**2) / 2) / math.sqrt(2 * math.pi)
        return self.spread * (self.noisy if null == 0 else 1.0) / slope * width(1, 0.0)


def width(networks: int, shift: float) -> float:
    """Standard deviation of an ensemble's latent error."""
    return math.sqrt(SHARED**2 + OWN**2 + (1 + shift**2) / networks)


class Null(NamedTuple):
    """One null of a simulated audit.

    Attributes:
        name: Name in the records.
        kind: Kind in the records.
        claim: Claim in the records.
        ratio: Fully trained error over that of the strongest null.
        shift: Spread of its networks' latent shift.
        curve: Whether it has a learning curve.
    """

    name: str
    kind: str
    claim: str
    ratio: float
    shift: float = 0.0
    curve: bool = True


def nulls_of(setting: Setting) -> list[Null]:
    """Eight networks, their stack, and three nulls without training."""
    least = FAR if setting.alone else 1.0
    ratios = [1.0, *(max(least, ratio) for ratio in NEAR[1:])]
    networks = [
        Null(
            f"{'coordconv' if i % 2 else 'bagnet'}-{2 * (i // 2) + 5}",
            "trained",
            "place" if i % 2 else "bag",
            ratio,
            setting.shift_of(i),
        )
        for i, ratio in enumerate(ratios)
    ]
    return [
        *networks,
        Null("stack", "stack", "", max(least, STACK), setting.shift_of(1)),
        Null("prior", "untrained", "", PRIOR, curve=False),
        Null("pixels", "untrained", "", max(least, PIXELS), curve=False),
        Null("patches", "untrained", "", least if setting.alone else setting.closed),
    ]


class Counts(NamedTuple):
    """What is kept of a batch of audits for one number of networks.

    Attributes:
        means: Mean errors (A, K, T) of the ensembles.
        common: Mean (A, K, T, T) of products of the ensembles' errors.
        seeds: Two-way residual (A, K, T, T) of single networks.
        with_subject: Mean (A, K, T, M) of products with the subjects' errors.
        subjects: Mean errors (A, M) of the subjects.
    """

    means: Array
    common: Array
    seeds: Array
    with_subject: Array
    subjects: Array


class Audits:
    """Draws the audits of one setting, a batch at a time.

    Args:
        setting: What to draw.
        gains: True gains of the subjects over the strongest null, fully trained; 1 for no errors.
        seed: Seed of everything random.
        sizes: Numbers S of networks whose records are made.
    """

    def __init__(
        self, setting: Setting, gains: Sequence[float], seed: int, sizes: Sequence[int] = (2, 3)
    ) -> None:
        self.setting, self.gains, self.sizes = setting, tuple(gains), tuple(sizes)
        self.rng = np.random.Generator(np.random.SFC64(seed))
        self.nulls = nulls_of(setting)
        self.budgets: Array = np.power(
            2.0, np.arange(-2, MOST)
        )  # (T,) in units of the first look's

    def level(self, null: Null) -> Array:
        """Latent level (T,) of a null, so that three networks have the error of the curve."""
        setting = self.setting
        final = min(0.9, null.ratio * setting.error)
        above = setting.above(self.budgets) if null.curve else np.zeros(len(self.budgets))
        own = width(1, 0.0) if null.kind == "untrained" else width(3, null.shift)
        return own * special.ndtri(final + above)

    def truth(self, size: int) -> float:
        """Expected error of the strongest null, S networks, trained without end on all images."""
        strongest = self.nulls[0]
        level = width(3, strongest.shift) * special.ndtri(self.setting.error)
        final = float(special.ndtr(level / width(size, strongest.shift)))
        return final * math.sqrt(1 - self.setting.unseen)

    def normal(self, *shape: int) -> Table:
        """Standard normal numbers."""
        return NORMAL[self.rng.integers(0, 1 << 16, shape, dtype=np.uint16)]

    def batches(self, audits: int) -> Iterator[dict[int, Counts]]:
        """Yield counts by number of networks until so many audits are drawn."""
        size = max(1, BATCH // self.setting.images)
        while audits > 0:
            yield self.batch(min(size, audits))
            audits -= size

    def batch(self, audits: int) -> dict[int, Counts]:
        """Draw some audits together."""
        n = self.setting.images
        common = SHARED * self.normal(audits, n)
        judged = {size: self.subjects(common, size) for size in self.sizes}
        parts: dict[int, list[tuple[Array, ...]]] = {size: [] for size in self.sizes}
        for null in self.nulls:
            base = (common + OWN * self.normal(audits, n))[:, None, None]  # (A, 1, 1, n)
            latent = base + self.networks(null, audits)  # (A, S, T, n)
            level = self.level(null).astype(np.float32)[:, None]
            single = (latent + level > 0).astype(np.float32)
            for size in self.sizes:
                used = latent[:, :1] if null.kind == "untrained" else latent[:, :size]
                whole = (used.mean(1) + level > 0).astype(np.float32)  # (A, T, n)
                parts[size].append(self.counts(whole, single[:, :size], judged[size], null))
        found = {}
        for size, each in parts.items():
            means, joint, seeds, crossed = (
                np.stack(tables, axis=1) for tables in zip(*each, strict=True)
            )
            of_subjects = judged[size].mean(-1, dtype=np.float64)
            found[size] = Counts(means, joint, seeds, crossed, of_subjects)
        return found

    def subjects(self, common: Table, size: int) -> Table:
        """Errors (A, M, n) of the subjects."""
        own = OWN * self.normal(*common.shape) + self.normal(*common.shape)
        errors = (1 - np.array(self.gains)) * self.truth(size)
        levels = width(1, 0.0) * special.ndtri(errors)  # -inf for a perfect one
        latent = (common + own)[:, None]
        return (latent + levels.astype(np.float32)[:, None] > 0).astype(np.float32)

    def networks(self, null: Null, audits: int) -> Table:
        """Noise (A, S, T, n) of the networks of a null."""
        setting, t = self.setting, len(self.budgets)
        if null.kind == "untrained":  # one network, the same at all budgets but for its filters
            run = self.normal(audits, 1, 1, setting.images)
            return math.sqrt(0.9) * run + math.sqrt(0.1) * self.normal(audits, 1, t, setting.images)
        s = setting.networks
        noise = self.normal(audits, s, t, setting.images)
        noise *= np.float32(math.sqrt(1 - SAME_RUN))
        noise += np.float32(math.sqrt(SAME_RUN)) * self.normal(audits, s, 1, setting.images)
        kept, new = self.normal(audits, s, 1, 1), self.normal(audits, s, t, 1)
        shift = math.sqrt(SAME_SHIFT) * kept + math.sqrt(1 - SAME_SHIFT) * new
        noise += np.float32(null.shift) * shift
        return noise

    def counts(self, whole: Table, single: Table, judged: Table, null: Null) -> tuple[Array, ...]:
        """Means and products of the errors of one null."""
        n = self.setting.images
        means = whole.mean(-1, dtype=np.float64)
        common = (whole @ whole.transpose(0, 2, 1)).astype(np.float64) / n
        joint = (whole @ judged.transpose(0, 2, 1)).astype(np.float64) / n
        if null.kind != "trained":
            return means, common, np.full(common.shape, math.nan), joint
        a, s, t, _ = single.shape
        flat = single.reshape(a, s * t, n)
        own = flat.mean(-1, dtype=np.float64)
        covariance = (flat @ flat.transpose(0, 2, 1)).astype(np.float64) / n
        covariance = (covariance - own[:, :, None] * own[:, None]) / (n - 1)
        centre = np.kron(np.eye(s) - 1 / s, np.eye(t))
        centred = (centre @ covariance @ centre).reshape(a, s, t, s, t)
        images = np.einsum("astsu->atu", centred)
        shift = own.reshape(a, s, t) - own.reshape(a, s, t).mean(1, keepdims=True)
        spread = np.einsum("ast,asu->atu", shift, shift)
        return means, common, (spread - images) / max(s - 1, 1), joint


class Audit:
    """One simulated audit.

    Args:
        audits: What draws it.
        counts: Counts of its batch, for one number of networks.
        index: Its place in the batch.
        size: Number S of networks.
        subject: Which subject is audited.
        heldout: Standard normal noise (K, T) of the errors on training-side images.
    """

    def __init__(
        self,
        audits: Audits,
        counts: Counts,
        index: int,
        size: int,
        subject: int,
        heldout: Array,
    ) -> None:
        self.audits, self.size, self.subject = audits, size, subject
        self.counts = Counts(*(table[index] for table in counts))
        self.heldout = heldout
        self.made: dict[tuple[int, int, int], NullRecord] = {}

    def record(self, k: int, state: int, stated: int) -> NullRecord:
        """Return the record of one null, made once.

        Args:
            k: Which null.
            state: Number of its budget, from 1.
            stated: Number of the state in the record: for the stack that of the look.
        """
        key = (k, state, stated)
        if key not in self.made:
            self.made[key] = self.make(*key)
        return self.made[key]

    def make(self, k: int, state: int, stated: int) -> NullRecord:
        """Make the record of one null."""
        null, counts, n = self.audits.nulls[k], self.counts, self.audits.setting.images
        points = [state + 1, state, state - 1] if null.curve else [state + 1]
        m = self.subject
        means = [counts.subjects[m], *counts.means[k, points]]
        products = np.empty((len(means), len(means)))
        products[0, 0] = means[0]
        products[0, 1:] = products[1:, 0] = counts.with_subject[k, points, m]
        products[1:, 1:] = counts.common[k][np.ix_(points, points)]
        covariance = np.full((4, 4), math.nan)
        covariance[: len(means), : len(means)] = (products - np.outer(means, means)) / (n - 1)
        error, noise = means[1], self.heldout[k, points[0]]
        both = round(n * products[0, 1])
        only_null, only_subject = round(n * error) - both, round(n * means[0]) - both
        terms = NullTerms.model_construct(
            null=null.name,
            kind=null.kind,
            claim=null.claim,
            full_scale=True,
            state=stated,
            networks=1 if null.kind == "untrained" else self.size,
            unseen=self.audits.setting.unseen if null.kind != "untrained" else 0.0,
            training_error=error + noise * math.sqrt(error * (1 - error) / HELDOUT),
            status="ok",
            below_floor=False,
            note="",
        )
        return NullRecord.model_construct(
            terms=terms,
            n=n,
            groups=n,
            effective=float(n),
            even=True,
            means=(*map(float, means), *[math.nan] * (4 - len(means))),
            covariance=covariance.tolist(),
            seeds=counts.seeds[k][np.ix_(points, points)].tolist() if null.curve else UNKNOWN,
            only_null=only_null,
            only_subject=only_subject,
            both=both,
            discordant=float(only_null + only_subject),
        )

    def replay(
        self, plan: GainPlan, g: float, networks: int, *, everything: bool = False
    ) -> tuple[Verdict, int]:
        """Apply the rule look after look until nothing is open.

        Args:
            plan: Plan of the audit.
            g: Required gain.
            networks: Number of trained nulls without the stack.
            everything: Whether all trained nulls grow at every look, whatever the rule says.

        Returns:
            The verdict of the last look, and the number of looks.
        """
        names = [null.name for null in self.audits.nulls]
        used = [k for k, null in enumerate(self.audits.nulls) if null.kind != "trained"]
        states: dict[str, int] = {names[k]: 1 for k in range(networks)}
        for look in range(1, plan.looks + 1):
            records = [self.record(k, states[names[k]], states[names[k]]) for k in range(networks)]
            for k in used:
                stack = names[k] == "stack"
                records.append(
                    self.record(k, states[names[0]] if stack else 1, look if stack else 1)
                )
            found = look_at(records, plan, g)
            grow: Sequence[str] = found.grow
            if everything:
                grow = [name for name, state in states.items() if state < plan.budgets]
            if found.verdict != "inconclusive" or not grow:
                break
            for name in grow:
                states[name] += 1
        return found.verdict, look
