"""Waivers: a limit that is known to be missed and excused, with a reason, until a date."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from audit.policy.location import SourceFile, suggestion, unknown_key
from audit.reports.document import FrozenModel
from audit.reports.text import visible

FIELDS = ("reason", "until", "by")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
LONGEST = 500  # characters of a reason


class Waiver(FrozenModel):
    """One waiver.

    Attributes:
        limit: The policy's key for the limit.
        reason: Why, in the words of whoever waived it.
        until: The last day on which it holds, in UTC.
        by: Who waived it, or empty.
    """

    limit: str
    reason: str
    until: date
    by: str = ""

    @property
    def words(self) -> str:
        """For the reader of a report."""
        by = f" ({visible(self.by)})" if self.by else ""
        reason = visible(self.reason.strip().rstrip("."), LONGEST)
        return f"waived until {self.until} because: {reason}{by}"


def today_utc() -> date:
    """The day in Greenwich, so that a waiver ends everywhere at the same moment."""
    return datetime.now(UTC).date()


def parse_waivers(
    given: object, limits: Sequence[str], where: SourceFile, today: date | None = None
) -> tuple[Waiver, ...]:
    """Check the waivers of a policy.

    Args:
        given: {limit: {reason, until, by}}; None for none.
        limits: Names of all limits.
        where: For messages.
        today: None: the day in UTC.

    Raises:
        AuditError: POLICY_INVALID, or POLICY_WAIVER_EXPIRED for one that has ended.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise where.refusal(
            ("waivers",), "needs `waivers` to be a mapping of limits to {reason, until}"
        )
    return tuple(
        _waiver(name, fields, limits, where, today or today_utc()) for name, fields in given.items()
    )


def _waiver(
    name: object, given: object, limits: Sequence[str], where: SourceFile, today: date
) -> Waiver:
    shown, keys = visible(str(name), 60), ("waivers", str(name))
    if name not in limits:
        hint = f"; {suggestion(str(name), limits, 'limit')}" if limits else ""
        raise where.refusal(keys, f"waives `{shown}`, which is no limit of the policy{hint}")
    if not isinstance(given, Mapping):
        raise where.refusal(keys, f"needs {{reason, until}} to waive `{shown}`")
    for key in given:
        if key not in FIELDS:
            raise where.refusal((*keys, str(key)), unknown_key(key, FIELDS))
    for key in ("reason", *(["by"] if "by" in given else [])):
        text = given.get(key)
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
            problem = f"needs `{key}`, some text up to {LONGEST} letters, to waive `{shown}`"
            raise where.refusal((*keys, key), problem)
    until = _date(given.get("until"))
    if until is None:
        raise where.refusal(
            (*keys, "until"), f"needs `until`, a date such as 2027-01-31, to waive `{shown}`"
        )
    if until < today:
        raise where.refusal(
            (*keys, "until"),
            f"waives `{shown}` until {until}, which is past: mend what it excuses, or decide anew",
            "POLICY_WAIVER_EXPIRED",
        )
    return Waiver(limit=str(name), reason=given["reason"], until=until, by=given.get("by", ""))


def _date(given: object) -> date | None:
    """A date written as year-month-day; None for anything else."""
    if not isinstance(given, str) or not DAY.fullmatch(given):
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        return None
