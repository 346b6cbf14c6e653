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
from audit.kernels.twonn import IdEstimate, intrinsic_dimension, log_ratio

MOST_IMAGES = 10_000  # the estimate changes little beyond, its cost grows with the square


def dimension(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """A trained model and its untrained twin on the same images; `after` is their outputs.

    The job's `classes`, if any, are so many classes that are looked at one by one as well.

    Returns:
        Values `trained` and `untrained` (an estimate each), `log_ratio` (value, low, high), `n`,
        and `by_class`, an estimate for the images of each class; or why a model gave no features.
    """
    given = [results[needed.key] for needed in job.after]
    for outcome in given:
        if isinstance(outcome.values, Failed):
            return Outcome(Failed(reason=outcome.values.reason))
        if "features" not in outcome.arrays:
            return Outcome(Failed(reason="it has no features"))
    trained, untrained = (
        torch.from_numpy(thinned(outcome.arrays["features"])) for outcome in given
    )
    own = intrinsic_dimension(trained)
    tick(0.5)
    twin = intrinsic_dimension(untrained)
    count = job.params.get("classes", 0)
    assert isinstance(count, int)
    labels = torch.from_numpy(thinned(context.split("eval").labels))
    classes = [trained[labels == label] for label in range(count)]
    by_class = tuple(estimate(intrinsic_dimension(part, fractions=())) for part in classes)
    return Outcome(
        LastLayer(
            trained=estimate(own),
            untrained=estimate(twin),
            log_ratio=log_ratio(own, twin),
            n=len(trained),
            by_class=by_class,
        )
    )


def thinned(rows: NDArray[Any]) -> NDArray[Any]:
    """At most `MOST_IMAGES` rows, evenly spaced: (N, ...) -> (n, ...)."""
    return rows[:: -(-len(rows) // MOST_IMAGES)]


def estimate(found: IdEstimate) -> Estimate:
    """An estimate without its blocks."""
    plain = found._asdict()
    del plain["in_blocks"]
    return Estimate(**plain)
