"""All that a check may see when it measures: what was set up, and what the jobs found.

Copies are left out of the count: evaluation images that are exact or near copies of training
images, and exact copies of an earlier evaluation image. Which these are follows from the images
alone, never from predictions. `Case.labels`, `Case.groups` and `Case.errors` hold the images that
count; jobs run on all evaluation images, and `Case.rows` restricts what they gave.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
        given_labels: (N,) of all evaluation images.
        given_groups: (N,) equal for near duplicates.
        outcomes: Results by job key.
        failures: Reasons by job key, for jobs that could not be done.
        left_out: Positions of evaluation images that do not count.
    """

    setup: Setup
    given_labels: NDArray[np.int64]
    given_groups: NDArray[np.int64]
    outcomes: Mapping[str, Outcome]
    failures: Mapping[str, str]
    left_out: frozenset[int] = frozenset()

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """Whether an evaluation image counts: (N,)."""
        found = np.ones(len(self.given_labels), dtype=bool)
        found[sorted(self.left_out)] = False
        return found

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the images that count: (n,)."""
        return self.given_labels[self.counted]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Groups of the images that count: (n,), equal for near duplicates."""
        return self.given_groups[self.counted]

    def rows(self, of_all: NDArray[Any]) -> NDArray[Any]:
        """Rows of the images that count, of an array over all evaluation images: (N, ...).

        Raises:
            NotMeasured: If no image counts.
        """
        if not self.counted.any():
            raise NotMeasured("every evaluation image is a copy and left out of the count")
        found: NDArray[Any] = of_all[self.counted]
        return found

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
            NotMeasured: If there are none, or no image counts.
        """
        arrays = self.result(job).arrays
        if "logits" not in arrays:
            raise NotMeasured(f"{job.label} gave nothing")
        predicted = self.rows(arrays["logits"]).argmax(axis=1)
        return (predicted != self.labels).astype(np.float64)
