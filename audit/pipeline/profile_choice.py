"""Which profile the audits of one call take, and the plan of an audit in a profile."""

from typing import TYPE_CHECKING

from audit.evidence.profile import PROFILES, Profile
from audit.inputs.settings import Settings, chosen_profile

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.evidence.setup import Setup
    from audit.jobs.job import Job
    from audit.model.checkpoint import Subject
    from audit.model.network.cuts import Cut
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


def profile_for(
    batch: "Batch", subject: "Subject", dataset: "Dataset", classes: tuple[str, ...]
) -> Profile:
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
        made = plan_for(batch, subject, dataset, classes, profile, speed)
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
    batch: "Batch",
    subject: "Subject | None",
    dataset: "Dataset",
    classes: tuple[str, ...],
    profile: Profile,
    speed: "list[Speed]",
) -> "Plan":
    """What an audit in a profile would do now; the shared jobs once, the model's for each model.

    Args:
        batch: Whose store and nulls may have results already.
        subject: The model, or None to plan for nulls alone.
        dataset: The data.
        classes: In the order of the subject's outputs.
        profile: How much.
        speed: Empty at first; the calibration is put in, and more of it where it is needed.
    """
    from audit import checks
    from audit.core.workers import worker_count
    from audit.jobs.kind import kinds_in, worker_kinds
    from audit.pipeline.plan import plan
    from audit.pipeline.speed import alone, measure_speed

    setup, jobs, _ = jobs_for(batch, subject, dataset, classes, profile)
    if not speed:
        speed.append(measure_speed(setup, subject, batch.device))
    given = batch.fitted.outcomes if batch.fitted else {}

    def known(job: "Job") -> bool:
        return job.key in given or batch.store.has(job.kind, job.key)

    size, rest = worker_count(batch.device, setup.pixels), [job for job in jobs if not known(job)]
    kinds = checks.kinds()
    aside = worker_kinds(rest, kinds, size)
    copies = not aside.isdisjoint(kinds_in(kinds, "retraining"))
    if copies and subject is not None and speed[0].alone is None:
        speed[0] = speed[0].model_copy(update={"alone": alone(subject)})
    return plan(setup, jobs, known, speed[0], batch.models, size, aside)


def jobs_for(
    batch: "Batch",
    subject: "Subject | None",
    dataset: "Dataset",
    classes: tuple[str, ...],
    profile: Profile,
) -> "tuple[Setup, list[Job], dict[str, Cut]]":
    """What is measured, all jobs for it, and the model's cut points."""
    from audit.evidence.decide import set_up, set_up_nulls, training
    from audit.inputs.data import names_of, others
    from audit.pipeline.audit import all_jobs
    from audit.pipeline.fit_nulls import size_for
    from audit.pipeline.plan import without_subject

    given = batch.fitted.manifest.training if batch.fitted else None
    if subject is None:
        mode = batch.settings.crop_mode or "center"
        known = given or training(dataset, size_for(batch.settings, dataset)[0], mode)
        setup = set_up_nulls(known, profile, seed_of(batch), dataset)
        return setup, without_subject(all_jobs(setup)), {}
    setup, cuts = set_up(
        subject,
        dataset,
        profile,
        seed_of(batch),
        given=given,
        classes=classes,
        check_preprocessing=batch.settings.check_preprocessing,
        others=others(batch.beside, dataset, names_of(batch.settings)),
        transfer_classes=batch.settings.transfer_classes,
    )
    return setup, all_jobs(setup), cuts
