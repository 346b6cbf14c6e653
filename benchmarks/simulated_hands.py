"""Nulls in hand that are all equal, for false fails and for data that a null solves."""

import math

import numpy as np
from gain_rule_rows import Hand
from scipy import special
from simulated_states import BATCH, NORMAL, OWN, SAME_RUN, SHARED, Table

from audit.policy.gain_plan import GainPlan
from audit.policy.gain_rule import look_at
from audit.stats.contrasts import solved
from audit.stats.states import NullRecord, NullTerms

STATES = 5


def equal_nulls(row: Hand, g: float, audits: int, seed: int) -> float:
    """Return the share of audits that fail although the subject is as good as is required.

    All trained nulls grow at every look, so that each state is tested.
    """
    rng = np.random.Generator(np.random.SFC64(seed))
    failed, drawn = 0, 0
    while drawn < audits:
        count = min(max(1, BATCH // row.images), audits - drawn)
        failed += sum(_failed(row, g, rng, count))
        drawn += count
    return failed / audits


def _failed(row: Hand, g: float, rng: np.random.Generator, count: int) -> list[bool]:
    """Draw some audits together and tell which fail."""

    def normal(*shape: int) -> Table:
        return NORMAL[rng.integers(0, 1 << 16, shape, dtype=np.uint16)]

    n, k = row.images, row.untrained + row.trained
    common = SHARED * normal(count, 1, n)
    width = math.sqrt(SHARED**2 + OWN**2 + 1)
    level = special.ndtri(row.error)
    slope = math.exp(-(level**2) / 2) / math.sqrt(2 * math.pi)
    shift = row.spread / slope * width
    latent = common + OWN * normal(count, 1, n) + normal(count, 1, n)
    subject = latent[:, 0] + np.float32(width * special.ndtri((1 - g) * row.error)) > 0  # (A, n)
    plan = GainPlan(untrained=row.untrained, trained=row.trained, budgets=STATES, looks=STATES)
    records: list[list[list[NullRecord]]] = [[[] for _ in range(STATES)] for _ in range(count)]
    for index in range(k):
        states = 1 if index < row.untrained else STATES
        noise = math.sqrt(SAME_RUN) * normal(count, 1, n)
        noise = noise + math.sqrt(1 - SAME_RUN) * normal(count, states, n)
        noise += np.float32(shift if states > 1 else 0.0) * normal(count, 1, 1)
        own = common + OWN * normal(count, 1, n) + noise
        wrong = (
            own + np.float32(math.hypot(width, shift if states > 1 else 0.0) * level) > 0
        )  # (A, states, n)
        only_null = (wrong & ~subject[:, None]).sum(-1)
        only_subject = (subject[:, None] & ~wrong).sum(-1)
        both = (wrong & subject[:, None]).sum(-1)
        for a in range(count):
            for look in range(STATES):
                state = min(look, states - 1)
                counts = (only_null[a, state], only_subject[a, state], both[a, state])
                made = record(f"{index}", n, tuple(map(int, counts)), trained=states > 1)
                terms = made.terms.model_copy(update={"state": state + 1})
                records[a][look].append(made.model_copy(update={"terms": terms}))
    return [
        any(look_at(records[a][look], plan, g).verdict == "fail" for look in range(STATES))
        for a in range(count)
    ]


def record(name: str, n: int, counts: tuple[int, ...], *, trained: bool = False) -> NullRecord:
    """Make a record from counts: the null alone wrong, the subject alone, both."""
    only_null, only_subject, both = counts
    subject, null, joint = ((only_subject + both) / n, (only_null + both) / n, both / n)
    cross = (joint - subject * null) / (n - 1)
    own = [share * (1 - share) / (n - 1) for share in (subject, null)]
    unknown = math.nan
    terms = NullTerms(null=name, kind="trained" if trained else "untrained", training_error=null)
    return NullRecord(
        terms=terms,
        n=n,
        groups=n,
        effective=n,
        even=True,
        means=(subject, null, unknown, unknown),
        covariance=(
            (own[0], cross, unknown, unknown),
            (cross, own[1], unknown, unknown),
            *[(unknown,) * 4] * 2,
        ),
        seeds=((unknown,) * 3,) * 3,
        only_null=only_null,
        only_subject=only_subject,
        both=both,
        discordant=only_null + only_subject,
    )


def solved_share(n: int, error: float, audits: int, seed: int) -> float:
    """Return the share of data sets that are called solved at any of the looks."""
    plan = GainPlan(untrained=3, trained=9, budgets=STATES, looks=2 * STATES - 1)
    wrong = np.random.default_rng(seed).binomial(n, error, audits)
    records = (record("null", n, (int(count), 0, 0)) for count in wrong)
    return sum(solved(each, plan.solved_share) for each in records) / audits
