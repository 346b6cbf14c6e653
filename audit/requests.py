"""The jobs that checks ask for, by what they are about.

A null's job depends on data and recipe, never on the subject, so that the audit of another model
on the same data finds it in the store.
"""

from audit.case import CutPoint, Null, Setup
from audit.work import Job, Plain

COSTS = {  # per image seen, or per training image of a trivial rung
    "bagnet": 1.0,
    "coordconv": 1.4,
    "circular": 1.3,
    "sighted": 1.1,
    "prior": 0.01,
    "colour": 0.7,
    "moments": 1.0,
    "pixels": 4.0,
}


def facts(setup: Setup) -> Job:
    """What is in the data."""
    return Job(
        kind="facts",
        label="reading the data for duplicates and leaks",
        params={"data": setup.data_digest},
        cost=0.3 * (setup.n_train + setup.n_eval),
    )


def choose(setup: Setup, null: Null) -> Job:
    """Choose a null's recipe on held-out training images."""
    params = common(setup, null) | {"seed": setup.seed}
    if null.trained:
        profile = setup.profile
        params |= {
            "images_seen": profile.images_seen,
            "rates": list(profile.rates),
            "doublings": profile.doublings,
        }
    seen = setup.profile.images_seen * 1.65 if null.trained else setup.n_train
    return Job(
        kind="choose",
        label=f"choosing the recipe of {null.title}",
        params=params,
        after=(facts(setup),),
        cost=seen * COSTS.get(null.kind, 1.0),
    )


def fit(setup: Setup, null: Null, seed: int = 0) -> Job:
    """Train a null on all training images."""
    seen = setup.profile.images_seen if null.trained else 0.4 * setup.n_train
    return Job(
        kind="fit",
        label=f"training {null.title}" + (f", seed {seed}" if seed else ""),
        params=common(setup, null) | {"seed": setup.seed + seed},
        after=(choose(setup, null),),
        cost=seen * COSTS.get(null.kind, 1.0),
    )


def common(setup: Setup, null: Null) -> dict[str, Plain]:
    """What every job of a null is named by."""
    return {
        "data": setup.data_digest,
        "null": null.name,
        "side": null.side,
        "from_side": setup.side,
        "channels": setup.channels,
    }


def null_outputs(
    setup: Setup, null: Null, seed: int = 0, *, untrained: bool = False, relocated: bool = False
) -> Job:
    """A null on the evaluation images; the stack is a job of its own."""
    if null.kind == "stack":
        return stack(setup, seed)
    name = f"{'untrained twin of ' if untrained else ''}{null.title}"
    return Job(
        kind="null_outputs",
        label=f"running {name}" + (" on relocated images" if relocated else ""),
        params=common(setup, null)
        | {"seed": setup.seed + seed, "untrained": untrained, "relocated": relocated},
        after=() if untrained else (fit(setup, null, seed),),
        cost=0.3 * setup.n_eval,
    )


def stack(setup: Setup, seed: int = 0) -> Job:
    """The stack of all nulls of the ladder."""
    members = [n for n in setup.nulls if n.role == "null" and n.kind != "stack" and n.claim]
    after: list[Job] = []
    for null in members:
        own = seed if null.trained else 0
        after += [choose(setup, null), null_outputs(setup, null, own)]
    return Job(
        kind="stack",
        label="stacking the nulls",
        params={"data": setup.data_digest},
        after=tuple(after),
        cost=2000,
    )


def subject_outputs(setup: Setup, *, untrained: bool = False, relocated: bool = False) -> Job:
    """The subject, or its untrained twin, on the evaluation images."""
    return Job(
        kind="subject_outputs",
        label="running the "
        + ("untrained twin of the model" if untrained else "model")
        + (" on relocated images" if relocated else ""),
        params={
            "data": setup.data_digest,
            "subject": setup.subject_digest,
            "view": setup.view,
            "untrained": untrained,
            "relocated": relocated,
            "seed": setup.seed,
        },
        cost=4.0 * setup.n_eval,
    )


def transfer(setup: Setup, cut: CutPoint, mode: str) -> Job:
    """One network of the transfer curve; `mode` is "frozen", "tuned" or "untrained"."""
    profile = setup.profile
    share = 0.15 if cut.head and mode != "tuned" else 1.0
    return Job(
        kind="transfer",
        label=f"transfer: {mode} up to {cut.name}",
        params={
            "data": setup.data_digest,
            "subject": setup.subject_digest,
            "view": setup.view,
            "cuts": [c.name for c in setup.cuts],
            "cut": cut.name,
            "mode": mode,
            "images": profile.transfer_images,
            "seen": profile.transfer_seen,
            "shares": list(profile.transfer_rates),
            "base_seed": setup.seed,
            "seed": setup.seed,
        },
        cost=6.0 * share * profile.transfer_seen * (1 + 0.25 * len(profile.transfer_rates)),
    )


def pictures(setup: Setup, null: Null) -> Job:
    """Example images with the null's evidence."""
    after = (subject_outputs(setup), fit(setup, null), null_outputs(setup, null))
    return Job(
        kind="pictures",
        label="drawing example images",
        params={
            "data": setup.data_digest,
            "null": null.name,
            "classes": list(setup.classes),
            "paths": setup.paths_digest,
        },
        after=after,
        cost=2000,
    )


def dimension(setup: Setup, null: Null | None) -> Job:
    """Intrinsic dimension of a null's last layer and its untrained twin's; None: the subject's."""
    if null is None:
        after = (subject_outputs(setup), subject_outputs(setup, untrained=True))
    else:
        after = (null_outputs(setup, null), null_outputs(setup, null, untrained=True))
    return Job(
        kind="dimension",
        label=f"intrinsic dimension of {null.title if null else 'the model'}",
        after=after,
        cost=2e-5 * min(setup.n_eval, 10_000) ** 2 + 2000,
    )
