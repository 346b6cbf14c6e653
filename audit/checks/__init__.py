"""The checks, in report order. Adding a check is one new file here and one name in `ALL`."""

from collections.abc import Sequence
from typing import Protocol

from audit.checks.accuracy_gap import check as accuracy_gap_check
from audit.checks.data import check as data_check
from audit.checks.dimension import last_layer as intrinsic_dimension_check
from audit.checks.dimension import profile as id_profile_check
from audit.checks.labels import check as labels_check
from audit.checks.position import check as position_check
from audit.checks.preprocessing import check as preprocessing_check
from audit.checks.probes import check as probes_check
from audit.checks.transfer import own as transfer_check
from audit.checks.transfer import split as split_transfer_check
from audit.evidence.case import Case
from audit.evidence.setup import Setup
from audit.jobs.job import Job
from audit.record import Finding, Measurement
from audit.reports.document import Picture, Section


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
    accuracy_gap_check,
    position_check,
    intrinsic_dimension_check,
    id_profile_check,
    probes_check,
    transfer_check,
    split_transfer_check,
    labels_check,
    preprocessing_check,
    data_check,
)
