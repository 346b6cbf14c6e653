"""Executor that estimates intrinsic dimensions of the last hidden layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audit.jobs.workshop import Tick, Workshop
from audit.kernels.twonn import IdEstimate, intrinsic_dimension, log_ratio
from audit.store import Outcome
from audit.work import Job

MOST_IMAGES = 10_000  # the estimate changes little beyond, its cost grows with the square


def dimension(job: Job, shop: Workshop, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """A trained model and its untrained twin on the same images; `after` is their outputs.

    Returns:
        Values `trained` and `untrained` (an estimate each), `log_ratio` (value, low, high) and `n`;
        `reason` instead where a model gave no features.
    """
    given = [results[needed.key] for needed in job.after]
    for outcome in given:
        if "features" not in outcome.arrays:
            return Outcome({"reason": outcome.values.get("reason", "it has no features")})
    trained, untrained = (thinned(outcome.arrays["features"]) for outcome in given)
    own = intrinsic_dimension(trained)
    tick(0.5)
    twin = intrinsic_dimension(untrained)
    plain = {"trained": estimate(own), "untrained": estimate(twin)}
    return Outcome(plain | {"log_ratio": list(log_ratio(own, twin)), "n": len(trained)})


def thinned(features: NDArray[np.float32]) -> torch.Tensor:
    """At most `MOST_IMAGES` rows, evenly spaced: (N, D) -> (n, D)."""
    step = -(-len(features) // MOST_IMAGES)
    return torch.from_numpy(features[::step])


def estimate(found: IdEstimate) -> dict[str, Any]:
    """An estimate as plain data."""
    plain = found._asdict() | {"curve": [list(point) for point in found.curve]}
    del plain["in_blocks"]
    return plain
