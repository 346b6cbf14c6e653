"""The jobs of both checks of dimension: of the last layer, and of every layer."""

from audit.checks.dimension.outcomes import LastLayer, Profiled
from audit.evidence import shared_jobs as requests
from audit.evidence.setup import Null, Setup
from audit.jobs.job import Job, Plain
from audit.jobs.kind import Executor, Kind
from audit.jobs.values import Failed


def _dimension() -> Executor:
    from audit.checks.dimension.run_last_layer import dimension

    return dimension


def _id_profile() -> Executor:
    from audit.checks.dimension.run_profile import id_profile

    return id_profile


DIMENSION = Kind("dimension", 5, _dimension, values=(LastLayer, Failed))
ID_PROFILE = Kind("id_profile", 4, _id_profile, values=(Profiled, Failed))
TWIN = "untrained"  # what the untrained control is called among the models
PASS, PAIR = 3.0, 6e-3  # cost of an image, and of a pair of images at all cuts together


def profiles(setup: Setup) -> dict[str, tuple[Job, ...]]:
    """By model: "subject", "untrained", then the nulls where the profile has them.

    The untrained control has a job for each of its networks, the others have one.
    """
    if not setup.profile.id_images or not setup.subject_digest:
        return {}
    twins = [of_subject(setup, untrained=True, draw=draw) for draw in requests.draws(setup)]
    found = {"subject": (of_subject(setup, untrained=False),), TWIN: tuple(twins)}
    nulls = setup.nulls if setup.profile.id_nulls else ()
    return found | {null.name: (of_null(setup, null),) for null in nulls if null.trained}


def of_subject(setup: Setup, *, untrained: bool, draw: int = 0) -> Job:
    """The subject, or an untrained network of its architecture; `draw` is its number, from 0."""
    own: dict[str, Plain] = {"view": setup.view, "untrained": untrained}
    if untrained:
        own["weights"] = setup.seed + draw
    return ID_PROFILE.job(
        label="dimensions at every depth of the model"
        + (", untrained" if untrained else "")
        + (f", draw {draw}" if draw else ""),
        params=common(setup) | requests.network(setup, untrained=untrained) | own,
        cost=cost(setup),
    )


def of_null(setup: Setup, null: Null) -> Job:
    """A trained null, with its first seed."""
    return ID_PROFILE.job(
        label=f"dimensions at every depth of {null.title}",
        params=requests.common(setup, null) | common(setup),
        after=(requests.fit(setup, null), requests.statistics(setup, null)),
        cost=cost(setup),
    )


def common(setup: Setup) -> dict[str, Plain]:
    """The images, which are the same for all."""
    images: dict[str, Plain] = {"images": setup.profile.id_images, "seed": setup.seed}
    return images | {"evaluation": setup.eval_digest}


def cost(setup: Setup) -> float:
    """Of one network."""
    n = min(setup.profile.id_images, setup.n_eval)
    return PASS * n + PAIR * n**2


def dimension(setup: Setup, null: Null | None) -> Job:
    """Intrinsic dimension of a null's last layer and its untrained control's; None: the subject's.

    `after` is the outputs of the trained network, then of each untrained one.
    """
    draws = requests.draws(setup)
    if null is None:
        twins = [requests.subject_outputs(setup, untrained=True, draw=draw) for draw in draws]
        after = (requests.subject_outputs(setup), *twins)
    else:
        twins = [requests.null_outputs(setup, null, draw, untrained=True) for draw in draws]
        after = (requests.null_outputs(setup, null), *twins)
    return DIMENSION.job(
        label=f"intrinsic dimension of {null.title if null else 'the model'}",
        params={} if null else {"classes": len(setup.classes)},
        after=after,
        cost=(1 + len(draws)) / 2 * (2e-5 * min(setup.n_eval, 10_000) ** 2 + 2000),
    )
