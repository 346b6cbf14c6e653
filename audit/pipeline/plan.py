"""What an audit would do, and how long it may take: nothing is run but a few steps of calibration.

Seconds = cost of a job (`audit.evidence.shared_jobs`) x seconds a unit. A unit is a training step
of one image through the smallest kind of null; it is timed for a null and for the model
(`audit.pipeline.speed`), and assumed for what is neither (reading, linear models). An estimate:
doubled budgets of inadequate nulls, other processes and slow disks are not in it.
"""

from collections.abc import Callable, Sequence

from audit import baselines, checks
from audit.core.errors import AuditError
from audit.core.progress import duration
from audit.evidence.profile import Profile
from audit.evidence.setup import Setup
from audit.jobs.job import Job, longest_chains
from audit.jobs.kind import kinds_in
from audit.pipeline.speed import Speed
from audit.reports.document import FrozenModel

ORDER = ("fit", "choose", "transfer", "split_base", "split_network")  # the expensive ones first
OF_MODEL = frozenset({"subject", "network"})  # parameters of jobs that need the model


class PlannedKind(FrozenModel):
    """All jobs of one kind.

    Attributes:
        kind: Of the jobs.
        jobs: How many.
        cached: How many of them need not be done.
        each: Expected seconds of one that is to be done, on average; 0 if there is none.
        seconds: Expected for all that are to be done, one after another.
    """

    kind: str
    jobs: int
    cached: int
    each: float
    seconds: float


class Plan(FrozenModel):
    """What an audit would do.

    Attributes:
        profile: Its name.
        rows: By kind of job, fits first.
        seconds: Expected in all, by the clock.
        size: How many processes do jobs side by side.
        aside: Kinds of these jobs.
        disk: Bytes of temporary disk that decoded images take.
    """

    profile: str
    rows: tuple[PlannedKind, ...]
    seconds: float
    size: int = 1
    aside: tuple[str, ...] = ()
    disk: int = 0


def plan(
    setup: Setup,
    jobs: list[Job],
    known: Callable[[Job], bool],
    speed: Speed,
    models: int = 1,
    size: int = 1,
    aside: frozenset[str] = frozenset(),
) -> Plan:
    """Count jobs and seconds.

    Args:
        setup: What is measured.
        jobs: All of it.
        known: Whether a job's outcome is there already.
        speed: From `audit.pipeline.speed.measure_speed`.
        models: How many are audited; the others as if like this one, with nothing of them cached.
        size: How many processes do jobs side by side.
        aside: Kinds of these jobs.
    """
    shared, rows = {job.key for job in without_subject(jobs)}, []
    kinds = list(dict.fromkeys(job.kind for job in jobs))
    for kind in sorted(kinds, key=lambda k: ORDER.index(k) if k in ORDER else len(ORDER)):
        own = [job for job in jobs if job.kind == kind]
        more = [job for job in own if job.key not in shared] * (models - 1)
        rest = [seconds(job, speed, aside) for job in [*(j for j in own if not known(j)), *more]]
        rows.append(
            PlannedKind(
                kind=kind,
                jobs=len(own) + len(more),
                cached=len(own) + len(more) - len(rest),
                each=sum(rest) / max(1, len(rest)),
                seconds=sum(rest),
            )
        )
    saved = saved_side_by_side([job for job in jobs if not known(job)], speed, size, aside)
    others = [job for job in jobs if job.key not in shared]
    saved += (models - 1) * saved_side_by_side(others, speed, size, aside)
    total = sum(row.seconds for row in rows) - saved
    return Plan(
        profile=setup.profile.name,
        rows=tuple(rows),
        seconds=total,
        size=size,
        aside=tuple(sorted(aside)),
        disk=setup.disk,
    )


def saved_side_by_side(jobs: list[Job], speed: Speed, size: int, kinds: frozenset[str]) -> float:
    """Seconds by which jobs of these kinds end sooner if `size` processes do them."""

    def needed(job: Job) -> float:
        return seconds(job, speed, kinds)

    aside = [job for job in jobs if job.kind in kinds]
    chains, alone = longest_chains(aside, needed), sum(map(needed, aside))
    longest = max((chains[job.key] for job in aside), default=0.0)
    return alone - max(longest, alone / size)


def seconds(job: Job, speed: Speed, aside: frozenset[str] = frozenset()) -> float:
    """Expected seconds of a job; one of the kinds that are done aside has one thread."""
    baseline = kinds_in(checks.kinds(), "baseline")
    kind = str(job.params.get("null", "")).partition("-")[0]
    if needs_model(job):
        own = speed.alone if job.kind in aside else None
        return (job.cost - job.fixed) * (own or speed.subject) + job.fixed * speed.other
    if job.kind in baseline and not (baselines.is_linear(kind) or baselines.is_ridge(kind)):
        running = speed.running if job.kind == "null_outputs" else None
        return job.cost * (running or speed.null)
    return job.cost * speed.other


def needs_model(job: Job) -> bool:
    """Whether a job runs the model, or networks of its architecture."""
    return not OF_MODEL.isdisjoint(job.params)


def without_subject(jobs: list[Job]) -> list[Job]:
    """The jobs that need no model."""
    left_out: set[str] = set()
    for job in jobs:  # in order: what a job needs comes before it
        if needs_model(job) or any(needed.key in left_out for needed in job.after):
            left_out.add(job.key)
    return [job for job in jobs if job.key not in left_out]


def choose_profile(
    estimate: Callable[[Profile], float], profiles: Sequence[Profile], limit: float
) -> tuple[Profile, str]:
    """The largest profile that is expected to fit, and what was left out for it, in words.

    Args:
        estimate: Expected seconds of a profile, with what is cached.
        profiles: One or more, the largest first.
        limit: Seconds.

    Raises:
        AuditError: TIME_TOO_SHORT if not even the smallest fits.
    """
    larger = None
    for profile in profiles:
        expected = estimate(profile)
        if expected <= limit:
            return profile, "" if larger is None else left_out(profile, larger)
        larger = profile
    raise too_short(profiles[-1].name, expected, limit)


def too_short(name: str, expected: float, limit: float) -> AuditError:
    """Not enough time for any profile."""
    return AuditError(
        "TIME_TOO_SHORT",
        f"the {name} profile needs an estimated {duration(expected)}, but --max-time gives "
        f"{duration(limit)}.",
        "Give more time, or fit the nulls beforehand with `audit nulls fit`.",
    )


def left_out(taken: Profile, larger: Profile) -> str:
    """What the next larger profile would have done, in words."""
    words = checks.left_out()
    said = []
    for field in Profile.model_fields:
        ours, theirs = getattr(taken, field), getattr(larger, field)
        text = words.get(field, field.replace("_", " "))
        if isinstance(theirs, bool) and theirs and not ours:
            said.append(text)
        elif isinstance(theirs, int) and not isinstance(theirs, bool) and ours < theirs:
            said.append(f"{text.format(theirs)} (here {ours:,})")
    return f"left out, compared with the {larger.name} profile: {', '.join(said) or 'nothing'}"
