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


DIMENSION = Kind("dimension", 4, _dimension, values=(LastLayer, Failed))
ID_PROFILE = Kind("id_profile", 3, _id_profile, values=(Profiled, Failed))
TWIN = "untrained"  # what the untrained twin of the subject is called among the models
PASS, PAIR = 3.0, 6e-3  # cost of an image, and of a pair of images at all cuts together


def profiles(setup: Setup) -> dict[str, Job]:
    """By model: "subject", "untrained", then the nulls where the profile has them."""
    if not setup.profile.id_images or not setup.subject_digest:
        return {}
    found = {"subject": of_subject(setup, untrained=False), TWIN: of_subject(setup, untrained=True)}
    nulls = setup.nulls if setup.profile.id_nulls else ()
    return found | {null.name: of_null(setup, null) for null in nulls if null.trained}


def of_subject(setup: Setup, *, untrained: bool) -> Job:
    """The subject, or a network of its architecture with fresh weights."""
    own: dict[str, Plain] = {"view": setup.view, "untrained": untrained}
    return ID_PROFILE.job(
        label="dimensions at every depth of "
        + ("the untrained twin of the model" if untrained else "the model"),
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
    """Intrinsic dimension of a null's last layer and its untrained twin's; None: the subject's."""
    if null is None:
        after = (requests.subject_outputs(setup), requests.subject_outputs(setup, untrained=True))
    else:
        after = (
            requests.null_outputs(setup, null),
            requests.null_outputs(setup, null, untrained=True),
        )
    return DIMENSION.job(
        label=f"intrinsic dimension of {null.title if null else 'the model'}",
        params={} if null else {"classes": len(setup.classes)},
        after=after,
        cost=2e-5 * min(setup.n_eval, 10_000) ** 2 + 2000,
    )
