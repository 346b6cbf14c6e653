"""The jobs that checks ask for, by what they are about.

What trains a null depends on the training images and the recipe, never on the subject nor on the
evaluation images, so that the audit of another model, or on other evaluation images, finds it in
the store. One exception: the nulls see colour if any image of either split has colour.
"""

from audit import baselines
from audit.core.sizes import area, height_width
from audit.evidence import ridge_plan
from audit.evidence.outcomes import (
    ChosenLinear,
    ChosenNetwork,
    FoundInData,
    NotTrained,
    SolvedRidge,
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
    from audit.evidence import choose_recipe, fit_null, outputs, solve_ridge

    known: dict[str, Executor] = {
        "train_facts": outputs.train_facts,
        "facts": outputs.facts,
        "statistics": outputs.statistics,
        "ridge": solve_ridge.solve,
        "ridge_outputs": solve_ridge.outputs,
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
FACTS = Kind("facts", 5, lambda: _executor("facts"), values=(FoundInData,))
STATISTICS = Kind("statistics", 3, lambda: _executor("statistics"))
RIDGE = Kind(
    "ridge",
    1,
    lambda: _executor("ridge"),
    "baseline",
    _prepare,
    values=(SolvedRidge,),
)
RIDGE_OUTPUTS = Kind(
    "ridge_outputs",
    1,
    lambda: _executor("ridge_outputs"),
    "baseline",
    _prepare,
    values=(Ran,),
)
CHOOSE = Kind(
    "choose",
    10,
    lambda: _executor("choose"),
    "baseline",
    _prepare,
    values=(ChosenNetwork, ChosenLinear, NotTrained),
)
FIT = Kind(
    "fit",
    6,
    lambda: _executor("fit"),
    "baseline",
    _prepare,
    values=(TrainedNetwork, TrainedLinear, NotTrained),
)
NULL_OUTPUTS = Kind(
    "null_outputs",
    5,
    lambda: _executor("null_outputs"),
    "baseline",
    _prepare,
    values=(Ran, NotTrained),
)
STACK = Kind("stack", 3, lambda: _executor("stack"), values=(Stacked,))
SUBJECT_OUTPUTS = Kind("subject_outputs", 2, lambda: _executor("subject_outputs"), values=(Ran,))
KINDS = by_name(
    TRAIN_FACTS,
    FACTS,
    STATISTICS,
    RIDGE,
    RIDGE_OUTPUTS,
    CHOOSE,
    FIT,
    NULL_OUTPUTS,
    STACK,
    SUBJECT_OUTPUTS,
)
OF_TRAINING = by_name(TRAIN_FACTS, STATISTICS, RIDGE, CHOOSE, FIT)  # all that needs their images
UNIT = 32**2  # pixels of the image whose training step is the unit of cost
FULL = 64**2  # pixels of an image that counts as one of the budget; larger ones count as more


def step_cost(setup: Setup, null: Null) -> float:
    """Of a training step of one image or window, or of one training image of a linear null."""
    found = baselines.null_kind(null.kind)
    each = 1.0 if found is None else found.cost
    return each * setup.learned_area(null) / UNIT if null.trained else each


def vote_cost(setup: Setup, null: Null) -> float:
    """Of an image that a null votes on, at most: by closer or by mirrored patches."""
    found = baselines.null_kind(null.kind)
    each = 0.8 if found is None else found.vote_cost * found.cost
    return each * area(setup.null_size(null)) / UNIT if null.trained else each


def budget(setup: Setup, null: Null) -> int:
    """Images or windows that one fit of a network sees, by the profile's budget of pixels."""
    return round(setup.profile.images_seen * min(1.0, FULL / setup.learned_area(null)))


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
        label="measuring the channels of the training images"
        + (f" at {baselines.SCALES[null.scale]} size" if null.scale > 1 else ""),
        params=seen(setup, null),
        cost=0.3 * setup.n_train,
    )


def ridge(setup: Setup, null: Null) -> Job:
    """Solve the closed forms of one q and scale, both ways of pooling."""
    solved = ridge_plan.cost_of(setup, null) * setup.n_train
    return RIDGE.job(
        label=f"solving {family(setup, null).title}",
        params=common(setup, family(setup, null)) | {"seed": setup.seed},
        after=(train_facts(setup),),
        cost=1.3 * solved + 5000,  # the regressions take a third of the time and a few seconds
    )


def family(setup: Setup, null: Null) -> Null:
    """Of the closed forms of one q and scale, the bag of patches, which names their jobs."""
    same = (n for n in setup.nulls if (n.kind, n.q, n.scale) == ("patches", null.q, null.scale))
    return next(same, null)


def ridge_outputs(setup: Setup, null: Null) -> Job:
    """The closed forms of one q and scale on the evaluation images, both ways of pooling."""
    return RIDGE_OUTPUTS.job(
        label=f"running {family(setup, null).title}",
        params=common(setup, family(setup, null)) | {"evaluation": setup.eval_digest},
        after=(ridge(setup, null),),
        cost=ridge_plan.cost_of(setup, null) * setup.n_eval,
    )


def choose(setup: Setup, null: Null) -> Job:
    """Choose a null's recipe on held-out training images."""
    params = common(setup, null) | {"seed": setup.seed}
    if null.trained:
        profile = setup.profile
        params |= {
            "images_seen": budget(setup, null),
            "rehearsals": profile.seeds,
            "rates": list(profile.rates),
            "doublings": profile.doublings,
            **precise(profile),
        }
    tried, seeds = len(setup.profile.rates) + 2, setup.profile.seeds
    held = 0.1 * setup.n_train + 1000  # about
    cost = setup.n_train * step_cost(setup, null)
    if null.trained:
        learned = budget(setup, null) * (0.125 * tried + 1.4 * seeds)
        voted = held * (0.2 * tried + 3 * seeds)
        cost = learned * step_cost(setup, null) + voted * vote_cost(setup, null)
    closed = baselines.is_ridge(null.kind)
    return CHOOSE.job(
        label=f"choosing the recipe of {null.title}",
        params=params,
        after=(train_facts(setup), *([ridge(setup, null)] if closed else [])),
        cost=1.0 if closed else cost,
    )


def fit(setup: Setup, null: Null, seed: int = 0) -> Job:
    """Train a null on all training images."""
    seen = budget(setup, null) if null.trained else 0.4 * setup.n_train
    closed = baselines.is_ridge(null.kind)
    return FIT.job(
        label=f"training {null.title}" + (f", seed {seed}" if seed else ""),
        params=common(setup, null) | {"seed": setup.seed + seed},
        after=(choose(setup, null), *([ridge(setup, null)] if closed else [])),
        cost=1.0 if closed else seen * step_cost(setup, null),
    )


def seen(setup: Setup, null: Null) -> dict[str, Plain]:
    """What names the training images as a null sees them."""
    given = setup.input
    return {
        "data": setup.train_digest,
        "size": [float(side) for side in height_width(given.size)],
        "crop_pct": given.crop_pct,
        "interpolation": given.interpolation,
        "crop_mode": given.crop_mode,
        "scale": null.scale,
        "channels": setup.channels,
    }


def common(setup: Setup, null: Null) -> dict[str, Plain]:
    """What every job of a null is named by."""
    return seen(setup, null) | {"null": null.name}


def null_outputs(
    setup: Setup, null: Null, seed: int = 0, *, untrained: bool = False, relocated: bool = False
) -> Job:
    """A null on the evaluation images; the stack is a job of its own.

    Args:
        setup: What is measured.
        null: Which null.
        seed: Number of the fit, or of the draw of an untrained network, from 0.
        untrained: Whether its weights are drawn and left as they are.
        relocated: Whether the images are rolled first.
    """
    if null.kind == "stack":
        return stack(setup, seed)
    name = f"{'an untrained ' if untrained else ''}{null.title}"
    more = (statistics(setup, null),) if null.trained else ()
    if baselines.is_ridge(null.kind):
        more = (ridge_outputs(setup, null),)
    return NULL_OUTPUTS.job(
        label=f"running {name}"
        + (f", seed {seed}" if seed else "")
        + (" on relocated images" if relocated else ""),
        params=common(setup, null)
        | {"evaluation": setup.eval_digest, "seed": setup.seed + seed}
        | {"untrained": untrained, "relocated": relocated}
        | {"features": not relocated and (untrained or not seed)}  # only `dimension` reads them
        | ({"norms": norms(setup)} if untrained else {}),
        after=(choose(setup, null) if untrained else fit(setup, null, seed), *more),
        cost=vote_cost(setup, null) * setup.n_eval,
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


def subject_outputs(
    setup: Setup, *, untrained: bool = False, relocated: bool = False, draw: int = 0
) -> Job:
    """The subject, or an untrained network of its kind, on the evaluation images.

    Args:
        setup: What is measured.
        untrained: Whether its weights are drawn and left as they are.
        relocated: Whether the images are rolled first.
        draw: Number of the untrained network, from 0.
    """
    params: dict[str, Plain] = {
        "data": setup.eval_digest,
        "view": setup.view,
        "untrained": untrained,
        "relocated": relocated,
        "seed": setup.seed + draw,
    }
    if setup.order:
        params["order"] = [float(i) for i in setup.order]
    return SUBJECT_OUTPUTS.job(
        label="running the "
        + ("model, untrained" if untrained else "model")
        + (f", draw {draw}" if draw else "")
        + (" on relocated images" if relocated else ""),
        params=params | network(setup, untrained=untrained),
        cost=2.0 * setup.n_eval,
    )


def network(setup: Setup, *, untrained: bool) -> dict[str, Plain]:
    """What names the subject; for one with fresh weights all that determines these but the seed.

    So another checkpoint of the architecture finds what its untrained networks gave in the store.
    """
    if untrained:
        own: dict[str, Plain] = {"network": setup.network_digest, "classes": len(setup.classes)}
        return own | {"norms": norms(setup)}
    return {"subject": setup.subject_digest}


def draws(setup: Setup) -> range:
    """Numbers of the untrained networks that a control consists of."""
    return range(setup.profile.untrained_draws)


def norms(setup: Setup) -> str:
    """Digest of the images that the norms of untrained networks are estimated on."""
    return setup.train_digest if setup.training_images else setup.eval_digest


def norms_note(setup: Setup) -> str:
    """What to know of these images; empty where they are training images, as usual."""
    return "" if setup.training_images else "batch norms estimated on evaluation images"
