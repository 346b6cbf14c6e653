"""The jobs that checks ask for, by what they are about.

What trains a null depends on the training images and the recipe, never on the subject nor on the
evaluation images, so that the audit of another model, or on other evaluation images, finds it in
the store. One exception: the nulls see colour if any image of either split has colour.
"""

from audit.evidence.profile import Profile
from audit.evidence.setup import Null, Setup
from audit.jobs.job import Job, Plain

COSTS = {  # per image seen, or per training image of a trivial rung
    "bagnet": 1.0,
    "coordconv": 1.4,
    "circular": 1.3,
    "sighted": 1.1,
    "prior": 0.01,
    "colour": 0.7,
    "moments": 0.2,
    "pixels": 1.0,
}

VOTED = {  # likewise, of an image that it votes on, at most: by closer or by mirrored patches
    "bagnet": 1.6,
    "sighted": 0.6,
}

VOTED_ELSE = 0.8


def train_facts(setup: Setup) -> Job:
    """What is in the training images: labels, fingerprints, groups of near duplicates."""
    return Job(
        kind="train_facts",
        label="reading the training images for duplicates",
        params={"data": setup.train_digest, "channels": setup.channels},
        cost=1.5 * setup.n_train,
    )


def facts(setup: Setup) -> Job:
    """What is in the evaluation images, and what of it is in the training images too."""
    return Job(
        kind="facts",
        label="reading the evaluation images for duplicates and leaks",
        params={"data": setup.eval_digest, "channels": setup.channels},
        after=(train_facts(setup),),
        cost=1.5 * setup.n_eval + 0.2 * setup.n_train,
    )


def listing(setup: Setup) -> Job:
    """Names of files that leak, repeat, contradict or were left out, and the images' sizes."""
    return Job(
        kind="listing",
        label="naming files",
        params={"files": setup.files_digest},
        after=(facts(setup),),
        cost=0.01 * (setup.n_eval + setup.n_train),
    )


def preprocessing(setup: Setup) -> Job:
    """The subject on training images under other preprocessing."""
    n = min(1000, setup.n_train)
    params: dict[str, Plain] = {
        "data": setup.train_digest,
        "subject": setup.subject_digest,
        "view": setup.view,
        "order": [float(i) for i in setup.order],
        "images": n,
        "seed": setup.seed,
    }
    return Job(
        kind="preprocessing",
        label="trying other preprocessing on training images",
        params=params,
        after=(train_facts(setup),),
        cost=18.0 * n,
    )


def statistics(setup: Setup, null: Null) -> Job:
    """By what the images are normalised before a null sees them."""
    return Job(
        kind="statistics",
        label=f"measuring the channels of the training images at {null.side} pixels",
        params={
            "data": setup.train_digest,
            "side": null.side,
            "from_side": setup.side,
            "frame": setup.frame,
            "channels": setup.channels,
        },
        cost=0.3 * setup.n_train,
    )


def choose(setup: Setup, null: Null) -> Job:
    """Choose a null's recipe on held-out training images."""
    params = common(setup, null) | {"seed": setup.seed}
    if null.trained:
        profile = setup.profile
        params |= {
            "images_seen": profile.images_seen,
            "rehearsals": profile.seeds,
            "rates": list(profile.rates),
            "doublings": profile.doublings,
            **precise(profile),
        }
    tried, seeds = len(setup.profile.rates) + 2, setup.profile.seeds
    held = 0.1 * setup.n_train + 1000  # about
    learned = setup.profile.images_seen * (0.125 * tried + 1.4 * seeds)
    voted = 0.3 * tried + 4 * VOTED.get(null.kind, VOTED_ELSE) * seeds
    seen = learned + held * voted if null.trained else setup.n_train
    return Job(
        kind="choose",
        label=f"choosing the recipe of {null.title}",
        params=params,
        after=(train_facts(setup),),
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
        "data": setup.train_digest,
        "null": null.name,
        "side": null.side,
        "from_side": setup.side,
        "frame": setup.frame,
        "channels": setup.channels,
    }


def null_outputs(
    setup: Setup, null: Null, seed: int = 0, *, untrained: bool = False, relocated: bool = False
) -> Job:
    """A null on the evaluation images; the stack is a job of its own."""
    if null.kind == "stack":
        return stack(setup, seed)
    name = f"{'untrained twin of ' if untrained else ''}{null.title}"
    scale = (statistics(setup, null),) if null.trained else ()
    return Job(
        kind="null_outputs",
        label=f"running {name}"
        + (f", seed {seed}" if seed else "")
        + (" on relocated images" if relocated else ""),
        params=common(setup, null)
        | {"evaluation": setup.eval_digest, "seed": setup.seed + seed}
        | {"untrained": untrained, "relocated": relocated}
        | {"features": not (seed or relocated)},  # only `dimension` reads them
        after=(choose(setup, null) if untrained else fit(setup, null, seed), *scale),
        cost=VOTED.get(null.kind, VOTED_ELSE) * setup.n_eval * COSTS.get(null.kind, 1.0),
    )


def precise(profile: Profile) -> dict[str, Plain]:
    """What names a job by its precision; nothing in 32 bits, as before there was another."""
    return {} if profile.precision == "float32" else {"precision": profile.precision}


def stack(setup: Setup, seed: int = 0) -> Job:
    """The stack of all nulls of the ladder; the prior is in its bias."""
    alone = ("stack", "prior")
    members = [n for n in setup.nulls if n.role == "null" and n.kind not in alone and n.claim]
    after: list[Job] = []
    for null in members:
        own = seed if null.trained else 0
        after += [choose(setup, null), null_outputs(setup, null, own)]
    return Job(
        kind="stack",
        label="stacking the nulls",
        params={"data": setup.eval_digest},
        after=tuple(after),
        cost=2000,
    )


def subject_outputs(setup: Setup, *, untrained: bool = False, relocated: bool = False) -> Job:
    """The subject, or its untrained twin, on the evaluation images."""
    params: dict[str, Plain] = {
        "data": setup.eval_digest,
        "view": setup.view,
        "untrained": untrained,
        "relocated": relocated,
        "seed": setup.seed,
    }
    if setup.order:
        params["order"] = [float(i) for i in setup.order]
    return Job(
        kind="subject_outputs",
        label="running the "
        + ("untrained twin of the model" if untrained else "model")
        + (" on relocated images" if relocated else ""),
        params=params | network(setup, untrained=untrained),
        cost=2.0 * setup.n_eval,
    )


def network(setup: Setup, *, untrained: bool) -> dict[str, Plain]:
    """What names the subject; for one with fresh weights all that determines these but the seed.

    So another checkpoint of the architecture finds what its untrained networks gave in the store.
    """
    if untrained:
        return {"network": setup.network_digest, "classes": len(setup.classes)}
    return {"subject": setup.subject_digest}


def pictures(setup: Setup, null: Null) -> Job:
    """Example images with the null's evidence, and with what the subject's answer rests on."""
    after = (subject_outputs(setup), fit(setup, null), null_outputs(setup, null))
    return Job(
        kind="pictures",
        label="drawing example images",
        params={
            "data": setup.eval_digest,
            "subject": setup.subject_digest,
            "null": null.name,
            "classes": list(setup.classes),
            "paths": setup.paths_digest,
        },
        after=after,
        cost=5000,  # 24 images, each with 64 hidden patches
        fixed=2000,
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
        params={} if null else {"classes": len(setup.classes)},
        after=after,
        cost=2e-5 * min(setup.n_eval, 10_000) ** 2 + 2000,
    )
