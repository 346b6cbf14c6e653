"""Case."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.evidence.setup import Setup
from audit.jobs.job import Job

if TYPE_CHECKING:
    from audit.jobs.store import Outcome


class NotMeasured(Exception):
    """A result that a check asked for is missing; the message says why."""


@dataclass(frozen=True)
class Case:
    """What the jobs found, and the truth about the evaluation images.

    Attributes:
        setup: What was set up.
        labels: (n,) of the evaluation images.
        groups: (n,) equal for near duplicates.
        outcomes: Results by job key.
        failures: Reasons by job key, for jobs that could not be done.
    """

    setup: Setup
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    outcomes: Mapping[str, "Outcome"]
    failures: Mapping[str, str]

    def result(self, job: Job) -> "Outcome":
        """The outcome of a job.

        Raises:
            NotMeasured: If there is none.
        """
        if job.key in self.outcomes:
            return self.outcomes[job.key]
        raise NotMeasured(self.failures.get(job.key, f"{job.label} was not part of this audit"))

    def errors(self, job: Job) -> NDArray[np.float64]:
        """1.0 where the job's predictions are wrong, else 0.0: (n,)."""
        predicted = self.result(job).arrays["logits"].argmax(axis=1)
        return (predicted != self.labels).astype(np.float64)

    def value(self, job: Job, name: str) -> Any:
        """One plain value of a job's outcome."""
        return self.result(job).values[name]
