"""The jobs of both transfer experiments: the model's own curve, and the full one with A and B.

The model's own curve cuts the model itself; its untrained controls know only the architecture. The
full experiment has base networks for A and B: half of the audited classes is A and the rest B, and
then no weight of the model matters, only its architecture, so that another checkpoint of it finds
all of this in the store. Or B is another data set and the model itself is A.
"""

from audit.checks.transfer.outcomes import UNTRAINED, Retrained, TrainedBase
from audit.evidence import shared_jobs as requests
from audit.evidence.setup import CutPoint, Setup
from audit.jobs.job import Job, Plain
from audit.jobs.kind import Executor, Kind, Prepare
from audit.jobs.values import Failed


def _transfer() -> Executor:
    from audit.checks.transfer.run_own import transfer

    return transfer


def _split_base() -> Executor:
    from audit.checks.transfer.run_split import split_base

    return split_base


def _split_network() -> Executor:
    from audit.checks.transfer.run_split import split_network

    return split_network


def _prepare_own() -> Prepare:
    from audit.checks.transfer.run_own import prepare

    return prepare


def _prepare_split() -> Prepare:
    from audit.checks.transfer.run_split import prepare

    return prepare


TRANSFER = Kind("transfer", 3, _transfer, "retraining", _prepare_own, values=(Retrained, Failed))
SPLIT_BASE = Kind(
    "split_base", 3, _split_base, "retraining", _prepare_split, values=(TrainedBase, Failed)
)
SPLIT_NETWORK = Kind(
    "split_network", 3, _split_network, "retraining", _prepare_split, values=(Retrained, Failed)
)
FROZEN = ("frozen", "bnb", "anb", UNTRAINED)
STEP, IMAGE = 6.0, 2.0  # cost of an image through the model: learned from, and only run
DECODED = 0.25  # cost of decoding a small image
LOOKED_AT = 1.5  # cost of looking for near duplicates of an image
TRIAL, HELD_OUT = 0.25, 0.2  # of a rate: share of the budget, and of the images that judge it
NORMS = 2000  # images at most that the statistics of batch norms are estimated on after a training
LARGEST = 64  # pixels a side up to which a step of most networks fits in a worker's memory
LEAST = 0.05  # share of a step that learning the classifier alone costs


def own_network(setup: Setup, cut: CutPoint, mode: str, seed: int = 0) -> Job:
    """One network of the model's own curve; `mode` is "frozen", "tuned" or "untrained"."""
    params: dict[str, Plain] = {
        "data": setup.train_digest,
        "evaluation": setup.eval_digest,
        "view": setup.view,
        "cut": cut.name,
        "mode": mode,
        "seed": setup.seed + seed,
    }
    images = min(setup.profile.transfer_images, setup.n_train)
    return TRANSFER.job(
        label=f"transfer: {mode} up to {cut.name}" + numbered(seed),
        params=params | budget(setup) | requests.network(setup, untrained=mode == UNTRAINED),
        after=(requests.train_facts(setup),),
        fixed=DECODED * images,
        cost=network_cost(setup, cut, frozen=mode in FROZEN, images=images, evaluated=setup.n_eval)
        + DECODED * images,
        alone=setup.subject_sides[1] > LARGEST,
    )


def seeds(setup: Setup, mode: str) -> range:
    """Numbers of the networks of one kind at one cut; an untrained control has its own number."""
    wanted = setup.profile.transfer_seeds
    return range(max(wanted, setup.profile.untrained_draws) if mode == UNTRAINED else wanted)


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
    cost, fixed = costs(setup, side, None, frozen=False)
    return SPLIT_BASE.job(
        label=f"transfer: base network {side.upper()}" + numbered(seed),
        params=shared(setup) | {"side": side, "seed": setup.seed + seed},
        after=ties(setup),
        cost=cost,
        fixed=fixed,
        alone=setup.subject_sides[1] > LARGEST,
    )


def network(setup: Setup, cut: CutPoint, curve: str, seed: int = 0) -> Job:
    """One network of a curve; its donor is a base, the model itself, or fresh."""
    params = shared(setup) | {"curve": curve, "cut": cut.name, "seed": setup.seed + seed}
    after = ties(setup)
    if curve in ("bnb", "bnb_plus"):
        after += (base(setup, "b", seed),)
    elif curve in ("anb", "anb_plus") and setup.transfer is None:
        after += (base(setup, "a", seed),)
    elif curve in ("anb", "anb_plus"):
        params["subject"] = setup.subject_digest
    cost, fixed = costs(setup, "b", cut, frozen=curve in FROZEN)
    return SPLIT_NETWORK.job(
        label=f"transfer: {curve.replace('_plus', '+')} up to {cut.name}" + numbered(seed),
        params=params,
        after=after,
        cost=cost,
        fixed=fixed,
        alone=setup.subject_sides[1] > LARGEST,
    )


def ties(setup: Setup) -> tuple[Job, ...]:
    """Finds near duplicates among the training images; for other data the first network does it."""
    return () if setup.transfer else (requests.train_facts(setup),)


def costs(setup: Setup, side: str, cut: CutPoint | None, *, frozen: bool) -> tuple[float, float]:
    """`Job.cost` and `Job.fixed` of a network of the full experiment that learns "a" or "b"."""
    other = setup.transfer
    if other is None:  # as if all classes had equally many images
        of_a = len(setup.transfer_classes) / len(setup.classes)
        learned = round(setup.n_train * min(of_a, 1 - of_a))
        judged = round(setup.n_eval * (of_a if side == "a" else 1 - of_a))
    else:
        learned, judged = other.n_train, other.n_eval
    images = min(setup.profile.transfer_images, learned)
    fixed = DECODED * (images + judged) + (LOOKED_AT * images if other and cut is None else 0)
    cost = network_cost(setup, cut, frozen=frozen, images=images, evaluated=judged)
    return cost + fixed, fixed


def network_cost(
    setup: Setup, cut: CutPoint | None, *, frozen: bool, images: int, evaluated: int
) -> float:
    """Of one network, but for decoding: what is before a frozen cut runs twice an image, stored.

    Args:
        setup: Gives the budget.
        cut: Where it is cut; None: it is learned from scratch.
        frozen: Whether what lies before the cut stays as it is.
        images: That it learns from.
        evaluated: That it is judged by.
    """
    profile = setup.profile
    stored = cut.depth if frozen and cut else 0.0
    trials = len(profile.transfer_rates) if len(profile.transfer_rates) > 1 else 0
    seen = profile.transfer_seen * (1 + TRIAL * trials)
    passes = 2 * stored * images + (1 + trials) * (1 - stored) * min(NORMS, images)
    passes += trials * (1 - stored) * HELD_OUT * images + evaluated
    return STEP * max(LEAST, 1 - stored) * seen + IMAGE * passes


def numbered(seed: int) -> str:
    """What tells a label from that of the first seed."""
    return f", seed {seed}" if seed else ""
