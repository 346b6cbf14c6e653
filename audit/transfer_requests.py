"""The jobs of both transfer experiments: the model's own curve, and the full one with A and B.

The model's own curve cuts the model itself. The full experiment has base networks for A and B: half
of the audited classes is A and the rest B, and then no weight of the model matters, only its
architecture, so that another checkpoint of it finds all of this in the store. Or B is another data
set and the model itself is A.
"""

from audit.case import CutPoint, Setup
from audit.work import Job, Plain

FROZEN = ("frozen", "bnb", "anb", "untrained")
STEP, IMAGE = 6.0, 2.0  # cost of an image through the model: learned from, and only run
TRIAL = 0.25  # share of the budget that a trial of a rate gets
LEAST = 0.05  # share of a step that learning the classifier alone costs


def own_network(setup: Setup, cut: CutPoint, mode: str, seed: int = 0) -> Job:
    """One network of the model's own curve; `mode` is "frozen", "tuned" or "untrained"."""
    params: dict[str, Plain] = {
        "data": setup.train_digest,
        "evaluation": setup.eval_digest,
        "subject": setup.subject_digest,
        "view": setup.view,
        "cut": cut.name,
        "mode": mode,
        "seed": setup.seed + seed,
    }
    return Job(
        kind="transfer",
        label=f"transfer: {mode} up to {cut.name}" + numbered(seed),
        params=params | budget(setup),
        cost=network_cost(setup, cut, frozen=mode in FROZEN) + IMAGE * setup.n_eval,
    )


def budget(setup: Setup) -> dict[str, Plain]:
    """What all networks of one curve share."""
    return {
        "cuts": [cut.name for cut in setup.cuts],
        "images": setup.profile.transfer_images,
        "seen": setup.profile.transfer_seen,
        "shares": list(setup.profile.transfer_rates),
        "base_seed": setup.seed,
    }


def asked(setup: Setup) -> bool:
    """Whether the full experiment can be done: other data or a split of the classes, and cuts."""
    split = bool(setup.transfer_classes) and setup.training_images
    return bool(setup.cuts) and (setup.transfer is not None or split)


def shared(setup: Setup) -> dict[str, Plain]:
    """What every job of the full experiment is named by."""
    other = setup.transfer
    return budget(setup) | {
        "of": "audited" if other is None else "transfer",
        "data": setup.train_digest if other is None else other.train_digest,
        "evaluation": setup.eval_digest if other is None else other.eval_digest,
        "classes_a": list(setup.transfer_classes) if other is None else [],
        "network": setup.network_digest,
        "view": setup.view,
    }


def base(setup: Setup, side: str, seed: int = 0) -> Job:
    """The base network of side "a" or "b"."""
    return Job(
        kind="split_base",
        label=f"transfer: base network {side.upper()}" + numbered(seed),
        params=shared(setup) | {"side": side, "seed": setup.seed + seed},
        cost=STEP * learned_from(setup) + IMAGE * evaluated(setup),
    )


def network(setup: Setup, cut: CutPoint, curve: str, seed: int = 0) -> Job:
    """One network of a curve; its donor is a base, the model itself, or fresh."""
    params = shared(setup) | {"curve": curve, "cut": cut.name, "seed": setup.seed + seed}
    after: tuple[Job, ...] = ()
    if curve in ("bnb", "bnb_plus"):
        after = (base(setup, "b", seed),)
    elif curve in ("anb", "anb_plus") and setup.transfer is None:
        after = (base(setup, "a", seed),)
    elif curve in ("anb", "anb_plus"):
        params["subject"] = setup.subject_digest
    return Job(
        kind="split_network",
        label=f"transfer: {curve.replace('_plus', '+')} up to {cut.name}" + numbered(seed),
        params=params,
        after=after,
        cost=network_cost(setup, cut, frozen=curve in FROZEN) + IMAGE * evaluated(setup),
    )


def network_cost(setup: Setup, cut: CutPoint, *, frozen: bool) -> float:
    """Of one network: a frozen prefix runs twice an image, what learns once an image seen."""
    if not frozen:
        return STEP * learned_from(setup)
    prefix = 2 * IMAGE * cut.depth * setup.profile.transfer_images
    return STEP * max(LEAST, 1 - cut.depth) * learned_from(setup) + prefix


def learned_from(setup: Setup) -> float:
    """Training images that one network sees, those of the trials of rates counted."""
    rates = len(setup.profile.transfer_rates)
    return setup.profile.transfer_seen * (1 + TRIAL * (rates if rates > 1 else 0))


def evaluated(setup: Setup) -> int:
    """Evaluation images of B, at most."""
    return setup.n_eval if setup.transfer is None else setup.transfer.n_eval


def numbered(seed: int) -> str:
    """What tells a label from that of the first seed."""
    return f", seed {seed}" if seed else ""
