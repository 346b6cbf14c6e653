"""States of nulls for tests of the gain rule."""

import numpy as np

from audit.policy.gain_plan import GainPlan
from audit.stats.states import NullTerms, StateErrors, reduce_state

PLAN = GainPlan(untrained=2, trained=3, budgets=5, looks=5)


def shuffled(share, n, seed):
    """Errors on exactly this share of n images, at random places."""
    errors = np.zeros(n)
    errors[: round(share * n)] = 1
    return np.random.default_rng(seed).permutation(errors)


def record(null="bagnet-9", kind="trained", *, subject=0.15, curve=(0.30, 0.30, 0.30), **more):
    """A null with nested errors at whole, half and quarter, and a subject that errs elsewhere.

    `more` has `n`, `groups`, `weights`, `spread` of the networks, and fields of `NullTerms`.
    """
    n, networks = more.pop("n", 4000), more.pop("networks", 5 if kind == "trained" else 1)
    groups, weights = more.pop("groups", None), more.pop("weights", None)
    spread = more.pop("spread", 0.0)
    place = np.random.default_rng(1).permutation(n)
    rows = [(place < round(share * n)).astype(float) for share in curve]
    table = None
    if kind == "trained":
        more.setdefault("claim", "place" if null.startswith("coordconv") else "bag")
        steps = spread * (np.arange(networks) - (networks - 1) / 2)
        table = np.stack([[place < round((e + s) * n) for e in curve] for s in steps])
    terms = NullTerms(null=null, kind=kind, networks=networks, **more)
    errors = StateErrors(rows[0], *rows[1:], networks=table)
    return reduce_state(terms, shuffled(subject, n, 2), errors, groups, weights=weights)


def both_claims(**more):
    """Two trained nulls, one of each claim."""
    return [record("bagnet-9", **more), record("coordconv-9", **more)]
