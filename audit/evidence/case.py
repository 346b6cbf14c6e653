"""All that a check may see when it measures: what was set up, and what the jobs found."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.evidence.setup import Setup
from audit.jobs.job import Job
from audit.jobs.store import Outcome, Record
from audit.jobs.values import Failed


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
    outcomes: Mapping[str, Outcome]
    failures: Mapping[str, str]

    def result(self, job: Job) -> Outcome:
        """Return the outcome of a job.

        Raises:
            NotMeasured: If there is none, or the job failed: then the message is its reason.
        """
        outcome = self.outcomes.get(job.key)
        if outcome is None:
            raise NotMeasured(self.failures.get(job.key, f"{job.label} was not part of this audit"))
        if isinstance(outcome.values, Failed):
            raise NotMeasured(outcome.values.reason)
        return outcome

    def values(self, job: Job, record: type[Record]) -> Record:
        """Return the values of a job's outcome.

        Args:
            job: Job that was done.
            record: Record that the values are.

        Raises:
            NotMeasured: If there are none, as the job failed or was not done.
            TypeError: If they are another record: the job is of another kind.
        """
        return self.result(job).read(record)

    def errors(self, job: Job) -> NDArray[np.float64]:
        """Return 1.0 where the job's predictions are wrong, otherwise 0.0: (n,).

        Raises:
            NotMeasured: If there are none.
        """
        arrays = self.result(job).arrays
        if "logits" not in arrays:
            raise NotMeasured(f"{job.label} gave nothing")
        predicted = arrays["logits"].argmax(axis=1)
        return (predicted != self.labels).astype(np.float64)
