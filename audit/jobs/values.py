"""Values of a job's outcome: one frozen record per kind of job, checked when it is read.

A kind of job names the records that its outcomes may have (`audit.jobs.kind.Kind.values`): mostly
one, and `Failed` where such a job can fail without an error of its own. Whatever does not fit one
of them, by an unknown, missing or misspelt name or by a value of another type, is damaged.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from audit.reports.document import FrozenModel

Records = tuple[type[FrozenModel], ...]


class NoValues(FrozenModel):
    """The values of a job that gives arrays only."""


class Status(FrozenModel):
    """Base of the values of jobs whose result may be there and still not be usable.

    Attributes:
        status: "ok", or "failed" where the result must not be relied on.
        reason: Why it failed, in words; empty if it did not.
    """

    status: Literal["ok", "failed"]
    reason: str = ""

    @model_validator(mode="after")
    def _has_a_reason_where_it_failed(self) -> Self:
        """Refuse a failure without a reason, and a reason without a failure."""
        if (self.status == "failed") != bool(self.reason):
            raise ValueError("a job has a reason exactly where it failed")
        return self


class Ran(Status):
    """The values of a job that gives arrays only, or else fails."""

    status: Literal["ok"]


class Failed(Status):
    """The values of a job that has no result; the reason stands in the result's place."""

    status: Literal["failed"] = "failed"
    reason: str = Field(min_length=1)


def as_record(values: Mapping[str, Any], records: Records) -> FrozenModel:
    """Read plain values as the first of some records that they fit exactly.

    Args:
        values: Plain data with tuples for sequences, as they were stored.
        records: Records of a kind of job, in order of preference.

    Raises:
        ValueError: If they fit none.
    """
    for record in records:
        try:
            return record.model_validate(values, strict=True)
        except ValidationError:
            continue
    raise ValueError(f"the values fit none of {', '.join(known.__name__ for known in records)}")
