"""The jobs that checks ask for, by what they are about.

What trains a null depends on the training images and the recipe, never on the subject nor on the
evaluation images, so that the audit of another model, or on other evaluation images, finds it in
the store. One exception: the nulls see colour if any image of either split has colour.
"""

from audit import baselines
from audit.evidence.outcomes import (
    ChosenLinear,
    ChosenNetwork,
    FoundInData,
    NotTrained,
    Stacked,
    TrainedLinear,
    TrainedNetwork,
)
from audit.evidence.profile import Profile
from audit.evidence.setup import Null, Setup
from audit.jobs.job import Job, Plain
from audit.jobs.kind import Executor, Kind, Prepare, by_name
from audit.jobs.values import Ran


def _executor(name: str) -> Executor:
    from audit.evidence import choose_recipe, fit_null, outputs

    known: dict[str, Executor] = {
        "train_facts": outputs.train_facts,
        "facts": outputs.facts,
        "statistics": outputs.statistics,
        "choose": choose_recipe.choose,
        "fit": fit_null.fit,
        "null_outputs": outputs.null_outputs,
        "stack": outputs.stack,
        "subject_outputs": outputs.subject_outputs,
    }
    return known[name]


def _prepare() -> Prepare:
    from audit.evidence.fit_null import prepare

    return prepare


TRAIN_FACTS = Kind("train_facts", 2, lambda: _executor("train_facts"))
FACTS = Kind("facts", 4, lambda: _executor("facts"), values=(FoundInData,))
STATISTICS = Kind("statistics", 2, lambda: _executor("statistics"))
CHOOSE = Kind(
    "choose",
    9,
    lambda: _executor("choose"),
    "baseline",
    _prepare,
    values=(ChosenNetwork, ChosenLinear, NotTrained),
)
FIT = Kind(
    "fit",
    5,
    lambda: _executor("fit"),
    "baseline",
    _prepare,
    values=(TrainedNetwork, TrainedLinear, NotTrained),
)
NULL_OUTPUTS = Kind(
    "null_outputs",
    2,
    lambda: _executor("null_outputs"),
    "baseline",
    _prepare,
    values=(Ran, NotTrained),
)
STACK = Kind("stack", 3, lambda: _executor("stack"), values=(Stacked,))
SUBJECT_OUTPUTS = Kind("subject_outputs", 1, lambda: _executor("subject_outputs"), values=(Ran,))
KINDS = by_name(TRAIN_FACTS, FACTS, STATISTICS, CHOOSE, FIT, NULL_OUTPUTS, STACK, SUBJECT_OUTPUTS)
OF_TRAINING = by_name(TRAIN_FACTS, STATISTICS, CHOOSE, FIT)  # all that needs training images


def cost_of(kind: str) -> float:
    """Of a training step of one image, or of one training image of a linear null."""
    found = baselines.null_kind(kind)
    return 1.0 if found is None else found.cost


def vote_cost_of(kind: str) -> float:
    """Of an image that a null votes on, at most: by closer or by mirrored patches."""
    found = baselines.null_kind(kind)
    return 0.8 if found is None else found.vote_cost


def train_facts(setup: Setup) -> Job:
    """What is in the training images: labels, fingerprints, groups of near duplicates."""
    return TRAIN_FACTS.job(
        label="reading the training images for duplicates",
        params={"data": setup.train_digest, "channels": setup.channels},
        cost=1.5 * setup.n_train,
    )


def facts(setup: Setup) -> Job:
    """What is in the evaluation images, and what of it is in the training images too."""
    return FACTS.job(
        label="reading the evaluation images for duplicates and leaks",
        params={"data": setup.eval_digest, "channels": setup.channels},
        after=(train_facts(setup),),
        cost=1.5 * setup.n_eval + 0.2 * setup.n_train,
    )


def statistics(setup: Setup, null: Null) -> Job:
    """By what the images are normalised before a null sees them."""
    return STATISTICS.job(
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
    voted = 0.3 * tried + 4 * vote_cost_of(null.kind) * seeds
    seen = learned + held * voted if null.trained else setup.n_train
    return CHOOSE.job(
        label=f"choosing the recipe of {null.title}",
        params=params,
        after=(train_facts(setup),),
        cost=seen * cost_of(null.kind),
    )


def fit(setup: Setup, null: Null, seed: int = 0) -> Job:
    """Train a null on all training images."""
    seen = setup.profile.images_seen if null.trained else 0.4 * setup.n_train
    return FIT.job(
        label=f"training {null.title}" + (f", seed {seed}" if seed else ""),
        params=common(setup, null) | {"seed": setup.seed + seed},
        after=(choose(setup, null),),
        cost=seen * cost_of(null.kind),
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
    return NULL_OUTPUTS.job(
        label=f"running {name}"
        + (f", seed {seed}" if seed else "")
        + (" on relocated images" if relocated else ""),
        params=common(setup, null)
        | {"evaluation": setup.eval_digest, "seed": setup.seed + seed}
        | {"untrained": untrained, "relocated": relocated}
        | {"features": not (seed or relocated)},  # only `dimension` reads them
        after=(choose(setup, null) if untrained else fit(setup, null, seed), *scale),
        cost=vote_cost_of(null.kind) * setup.n_eval * cost_of(null.kind),
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
    return STACK.job(
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
    return SUBJECT_OUTPUTS.job(
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
