"""Executor that estimates intrinsic dimensions of the last hidden layer."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from audit.checks.dimension.outcomes import Estimate, LastLayer
from audit.evidence.context import JobContext
from audit.jobs.job import Job, Tick
from audit.jobs.store import Outcome
from audit.jobs.values import Failed
from audit.kernels.twonn import IdEstimate, intrinsic_dimension, log_ratio, mean_of

MOST_IMAGES = 10_000  # the estimate changes little beyond, its cost grows with the square


def dimension(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """A trained model and untrained networks on the same images; `after` is their outputs.

    The job's `classes`, if any, are so many classes that are looked at one by one as well.

    Returns:
        The values, with an estimate for the images of each class; or why a model gave no features.
    """
    given = [results[needed.key] for needed in job.after]
    for outcome in given:
        if isinstance(outcome.values, Failed):
            return Outcome(Failed(reason=outcome.values.reason))
        if "features" not in outcome.arrays:
            return Outcome(Failed(reason="it has no features"))
    found: list[IdEstimate] = []
    for outcome in given:
        found.append(intrinsic_dimension(torch.from_numpy(thinned(outcome.arrays["features"]))))
        tick(len(found) / len(given))
    own, *draws = found
    twin = mean_of(draws)
    trained = torch.from_numpy(thinned(given[0].arrays["features"]))
    count = job.params.get("classes", 0)
    assert isinstance(count, int)
    labels = torch.from_numpy(thinned(context.split("eval").labels))
    classes = [trained[labels == label] for label in range(count)]
    by_class = tuple(estimate(intrinsic_dimension(part, fractions=())) for part in classes)
    return Outcome(
        LastLayer(
            trained=estimate(own),
            untrained=estimate(twin),
            drawn=tuple(draw.value for draw in draws),
            log_ratio=log_ratio(own, twin),
            n=len(trained),
            by_class=by_class,
        )
    )


def thinned(rows: NDArray[Any]) -> NDArray[Any]:
    """At most `MOST_IMAGES` rows, evenly spaced: (N, ...) -> (n, ...)."""
    return rows[:: -(-len(rows) // MOST_IMAGES)]


def estimate(found: IdEstimate) -> Estimate:
    """An estimate without its blocks and draws."""
    plain = found._asdict()
    del plain["in_blocks"], plain["drawn"]
    return Estimate(**plain)
