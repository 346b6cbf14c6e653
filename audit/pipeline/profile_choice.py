"""Which profile the audits of one call take, and the plan of an audit in a profile."""

from typing import TYPE_CHECKING

from audit.evidence.profile import Profile

if TYPE_CHECKING:
    from audit.evidence.examine import Examination
    from audit.jobs.job import Job
    from audit.pipeline.plan import Plan
    from audit.pipeline.speed import Speed
    from audit.pipeline.workspace import Session


def profile_for(session: "Session", examined: "Examination") -> Profile:
    """The profile, chosen once for all models of the call.

    Raises:
        AuditError: TIME_TOO_SHORT.
    """
    if session.profile is not None:
        return session.profile
    inputs, progress = session.inputs, session.workspace.progress
    if inputs.limit is None:
        session.profile = inputs.profile
        return session.profile
    from audit.pipeline.plan import choose_profile

    progress.say("timing a few steps, to choose a profile that fits into --max-time")
    speed: list[Speed] = []

    def estimate(profile: Profile) -> float:
        made = plan_for(session, examined, profile, speed)
        progress.say(f"the {profile.name} profile: about {made.seconds:.0f} s")
        return made.seconds

    session.profile, session.left_out = choose_profile(estimate, inputs.allowed, inputs.limit)
    if session.left_out:
        progress.say(f"took the {session.profile.name} profile; {session.left_out}")
    return session.profile


def plan_for(
    session: "Session", examined: "Examination", profile: Profile, speed: "list[Speed]"
) -> "Plan":
    """What an audit in a profile would do now; the shared jobs once, the model's for each model.

    Args:
        session: Its store and nulls may have results already.
        examined: The model and its data, or the data alone.
        profile: How much is measured.
        speed: Empty at first; the calibration is put in, and more of it where it is needed.
    """
    from audit import checks
    from audit.core.workers import worker_count
    from audit.evidence.examine import set_up
    from audit.jobs.kind import kinds_in, worker_kinds
    from audit.pipeline.audit import all_jobs
    from audit.pipeline.plan import plan, without_subject
    from audit.pipeline.speed import alone, measure_speed

    setup, subject = set_up(examined, profile), examined.subject
    jobs = all_jobs(setup) if subject is not None else without_subject(all_jobs(setup))
    store, device, fitted = session.workspace.store, session.inputs.device, session.inputs.fitted
    if not speed:
        speed.append(measure_speed(setup, subject, device))
    given = fitted.outcomes if fitted else {}

    def known(job: "Job") -> bool:
        return job.key in given or store.has(job.kind, job.key)

    size, rest = worker_count(device), [job for job in jobs if not known(job)]
    kinds = checks.kinds()
    aside = worker_kinds(rest, kinds, size)
    copies = not aside.isdisjoint(kinds_in(kinds, "retraining"))
    if copies and subject is not None and speed[0].alone is None:
        speed[0] = speed[0].model_copy(update={"alone": alone(subject)})
    return plan(setup, jobs, known, speed[0], session.models, size, aside)
