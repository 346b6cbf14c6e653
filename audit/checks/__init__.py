"""The checks, in report order. Adding a check is one new folder here and one line in `ALL`.

A check says all of itself in its own folder: what it measures, its kinds of jobs, the names of its
measurements, its default limits, and what a smaller profile leaves out of it. What others must know
of all checks together is collected below, when it is asked for.
"""

from collections.abc import Sequence
from typing import Protocol

from audit import baselines
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
from audit.evidence import shared_jobs
from audit.evidence.case import Case
from audit.evidence.profile import LEFT_OUT
from audit.evidence.setup import Setup
from audit.jobs.job import Job
from audit.jobs.kind import Kind, by_name
from audit.policy.vocabulary import Vocabulary
from audit.record import About, Finding, Measurement
from audit.reports.document import Picture, Section


class Check(Protocol):
    """What a module in this folder must define. Structural: no base class, no decorator."""

    NAME: str  # first word of the names of its measurements
    KINDS: dict[str, Kind]  # of its own jobs
    NAMES: dict[str, About]  # of its measurements, without the first word
    LIMITS: str  # the default limits on them, as YAML indented by two spaces; may be empty
    LEFT_OUT: dict[str, str]  # what a smaller value of a profile's field leaves out, in words

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


def kinds() -> dict[str, Kind]:
    """All kinds of jobs, by name."""
    own = [kind for check in ALL for kind in check.KINDS.values()]
    return by_name(*shared_jobs.KINDS.values(), *own)


def vocabulary() -> Vocabulary:
    """The names of all measurements, and the default limits on them."""
    return Vocabulary(
        quantities={
            f"{check.NAME}.{name}": quantity
            for check in ALL
            for name, quantity in check.NAMES.items()
        },
        places=places(),
        limits="".join(check.LIMITS for check in ALL),
    )


def places() -> dict[str, tuple[str, ...]]:
    """The words that `<…>` stands for in the name of a measurement."""
    nulls, trained = baselines.all_names(), baselines.local_names("network")
    return {
        "<null>": nulls,
        "<trained>": trained,
        "<model>": ("subject", *nulls),
        "<network>": ("subject", *trained),
        "<profiled>": ("subject", "untrained", *trained),
        "<point>": tuple(f"{name}.*" for name in ("subject", "untrained", *trained)),
        "<class>": ("*",),
        "<cut>": ("*",),
        "<view>": ("*",),
        "<kind>": ("*",),
        "<size>": ("smallest", "median", "largest"),
    }


def left_out() -> dict[str, str]:
    """What a smaller value of each field of the profile leaves out, in words."""
    return dict(LEFT_OUT) | {field: text for check in ALL for field, text in check.LEFT_OUT.items()}
