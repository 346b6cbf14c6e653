"""The checks, in report order. Adding a check is one new file here and one name in `ALL`."""

from collections.abc import Sequence
from typing import Protocol

from audit.case import Case, Setup
from audit.checks import (
    accuracy_gap,
    data,
    id_profile,
    intrinsic_dimension,
    labels,
    position,
    preprocessing,
    probes,
    split_transfer,
    transfer,
)
from audit.record import Finding, Measurement
from audit.work import Job
from reports.words import Picture, Section


class Check(Protocol):
    """What a module in this folder must define. Structural: no base class, no decorator."""

    NAME: str

    def needs(self, setup: Setup) -> tuple[Job, ...]:
        """Name the work; plain data, nothing is done. Empty if the profile leaves it out."""
        ...

    def measure(self, case: Case) -> list[Measurement]:
        """Turn what jobs found into numbers; no training, no loader.

        Raises:
            NotMeasured: If a result is missing without which nothing can be said.
        """
        ...

    def section(
        self,
        measurements: Sequence[Measurement],
        findings: Sequence[Finding],
        pictures: Sequence[Picture] = (),
    ) -> Section:
        """Put the check's own measurements into words, without torch."""
        ...


ALL: tuple[Check, ...] = (
    accuracy_gap,
    position,
    intrinsic_dimension,
    id_profile,
    probes,
    transfer,
    split_transfer,
    labels,
    preprocessing,
    data,
)
