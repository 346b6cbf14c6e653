"""Which profile the audits of one call take, and the plan of an audit in a profile."""

from typing import TYPE_CHECKING

from audit.evidence.profile import PROFILES, Profile
from audit.inputs.settings import Settings, chosen_profile

if TYPE_CHECKING:
    from audit.evidence.examine import Examined
    from audit.jobs.job import Job
    from audit.pipeline.batch import Batch
    from audit.pipeline.plan import Plan
    from audit.pipeline.speed import Speed


def parse_limit(settings: Settings) -> float:
    """Seconds of --max-time.

    Raises:
        AuditError: CONFIG_INVALID.
    """
    from audit.pipeline.plan import parse_time

    return parse_time(settings.max_time or "")


def seed_of(batch: "Batch") -> int:
    """The seed, which nulls from a folder decide."""
    return batch.settings.seed if batch.fitted is None else batch.fitted.manifest.seed


def profile_for(batch: "Batch", examined: "Examined") -> Profile:
    """The profile, chosen once for all models of the call.

    Raises:
        AuditError: TIME_TOO_SHORT, NULLS_LACKING, NULLS_OTHER_SEED.
    """
    if batch.profile is not None:
        return batch.profile
    fixed = fixed_profile(batch)
    if batch.settings.max_time is None:
        batch.profile = fixed
        return fixed
    from audit.pipeline.plan import LARGEST_FIRST, choose_profile

    batch.progress.say("timing a few steps, to choose a profile that fits into --max-time")
    allowed = [fixed]
    if batch.fitted is None:
        names = list(LARGEST_FIRST)
        if "profile" in batch.settings.model_fields_set:
            names = names[names.index(batch.settings.profile) :]
        allowed = [profile_named(batch.settings, name) for name in names]
    speed: list[Speed] = []

    def estimate(profile: Profile) -> float:
        made = plan_for(batch, examined, profile, speed)
        batch.progress.say(f"the {profile.name} profile: about {made.seconds:.0f} s")
        return made.seconds

    batch.profile, batch.left_out = choose_profile(estimate, allowed, parse_limit(batch.settings))
    if batch.left_out:
        batch.progress.say(f"took the {batch.profile.name} profile; {batch.left_out}")
    return batch.profile


def fixed_profile(batch: "Batch") -> Profile:
    """The profile without regard to time."""
    if batch.fitted is None:
        return chosen_profile(batch.settings)
    from audit.inputs.null_fit_check import profile_with

    return profile_with(batch.fitted, batch.settings)


def profile_named(settings: Settings, name: str) -> Profile:
    """A profile with the user's changes."""
    assert name in PROFILES
    return chosen_profile(settings.model_copy(update={"profile": name}))


def plan_for(
    batch: "Batch", examined: "Examined", profile: Profile, speed: "list[Speed]"
) -> "Plan":
    """What an audit in a profile would do now; the shared jobs once, the model's for each model.

    Args:
        batch: Whose store and nulls may have results already.
        examined: The model and its data, or the data alone.
        profile: How much.
        speed: Empty at first; the calibration is put in, and more of it where it is needed.
    """
    from audit.checks.transfer.memory import worker_kinds
    from audit.core.workers import worker_count
    from audit.evidence.context import JobContext
    from audit.evidence.examine import set_up
    from audit.jobs.job import RETRAINING_KINDS
    from audit.pipeline.audit import all_jobs
    from audit.pipeline.plan import plan, without_subject
    from audit.pipeline.speed import alone, measure_speed

    setup, subject = set_up(examined, profile), examined.subject
    jobs = all_jobs(setup) if subject is not None else without_subject(all_jobs(setup))
    if not speed:
        speed.append(measure_speed(setup, subject, batch.device))
    given = batch.fitted.outcomes if batch.fitted else {}

    def known(job: "Job") -> bool:
        return job.key in given or batch.store.has(job.kind, job.key)

    size, rest = worker_count(batch.device, setup.pixels), [job for job in jobs if not known(job)]
    cuts, dataset = examined.cuts, examined.experiment.dataset
    aside = worker_kinds(rest, JobContext(dataset, subject, setup, cuts, all_cuts=cuts), size)
    copies = not set(RETRAINING_KINDS).isdisjoint(aside)
    if copies and subject is not None and speed[0].alone is None:
        speed[0] = speed[0].model_copy(update={"alone": alone(subject)})
    return plan(setup, jobs, known, speed[0], batch.models, size, aside)
