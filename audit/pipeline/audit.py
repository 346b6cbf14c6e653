"""One audit, from a loaded model and data to a report: the flow of the whole product."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from audit import checks
from audit.baselines.device import PROCESSOR
from audit.checks import Check
from audit.core.errors import AuditError
from audit.core.workers import worker_count
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case, NotMeasured
from audit.evidence.context import JobContext
from audit.evidence.examine import Examination, set_up
from audit.evidence.outcomes import FoundInData
from audit.evidence.profile import Profile
from audit.evidence.setup import Setup
from audit.inputs.fitted_nulls import TrainedNulls
from audit.jobs.execute import execute
from audit.jobs.job import Job, merged
from audit.jobs.scheduler import JobResults
from audit.jobs.store import default_cache
from audit.pipeline.reference import NAME as REFERENCE
from audit.pipeline.reference import Reference, measured_against, require_same_data
from audit.pipeline.workspace import Workspace
from audit.policy.judge import judge
from audit.policy.limits import Policy
from audit.record import CRASHED, Finding, Measurement
from audit.record.facts import DataFacts, ReferenceFacts


@dataclass(frozen=True)
class AuditEvidence:
    """What an audit found, before it is put into words.

    Attributes:
        examined: The model and its data.
        policy: The limits that judged.
        setup: What was measured.
        measurements: By check, in report order.
        findings: One a limit of the policy.
        crashed: Reasons by check, for those that did not finish.
        done: What became of the jobs.
        jobs: All of them, in the order of execution.
        case: The evidence.
        seconds: Of the audit, once model and data were loaded.
        fitted: The folder that the nulls came from, if they did.
        device: That networks ran on, by name.
        size: How many processes did jobs side by side.
        reference: The run that it was compared with, if any.
    """

    examined: Examination
    policy: Policy
    setup: Setup
    measurements: dict[str, list[Measurement]]
    findings: tuple[Finding, ...]
    crashed: dict[str, str]
    done: JobResults
    jobs: list[Job]
    case: Case
    seconds: float
    fitted: TrainedNulls | None = None
    device: str = "cpu"
    size: int = 1
    reference: ReferenceFacts | None = None


def audit(
    examined: Examination,
    profile: Profile,
    policy: Policy,
    workspace: Workspace,
    *,
    fitted: TrainedNulls | None = None,
    reference: Reference | None = None,
) -> AuditEvidence:
    """Audit one model on one data set.

    Args:
        examined: Model and data, from `audit.evidence.examine`; with its training split, unless
            nulls are given.
        profile: How much is measured.
        policy: The limits.
        workspace: Where the work is done.
        fitted: Nulls from a folder; they, their profile and seed must fit
            (`audit.inputs.null_fit_check`).
        reference: A stored run that limits are relative to.

    Raises:
        AuditError: If the reference run was made on other data, or the device computes something
            else.
    """
    started, progress = time.monotonic(), workspace.progress
    dataset = examined.experiment.dataset
    if reference is not None:
        facts = DataFacts(digest=dataset.digest, eval_digest=dataset.eval_digest)
        require_same_data(facts, reference)
    setup = set_up(examined, profile)
    context = JobContext(
        dataset,
        examined.subject,
        setup,
        cuts={cut.name: examined.cuts[cut.name] for cut in setup.cuts},
        decoded=workspace.decoded,
        others=dict(examined.experiment.extra),
        all_cuts=examined.cuts,
        device=workspace.device or PROCESSOR,
    )
    context.require_device()
    jobs = all_jobs(setup)
    given_outcomes = fitted.outcomes if fitted else None
    size = worker_count(context.device, setup.pixels)
    done = execute(jobs, context, workspace.store, progress, checks.kinds(), given_outcomes, size)
    case = make_case(setup, done)
    measurements, crashed = {}, {}
    for check in checks.ALL:
        measurements[check.NAME], reason = measured(check, case)
        if reason:
            crashed[check.NAME] = reason
            progress.say(f"{check.NAME} could not be measured: {reason}")
    if reference is not None:
        paths = dataset.eval.paths
        measurements[REFERENCE] = measured_against(reference, measurements, case, paths)
    findings = judge([m for found in measurements.values() for m in found], policy)
    seconds = time.monotonic() - started
    ran_on = str(context.device)
    return AuditEvidence(
        examined=examined,
        policy=policy,
        setup=setup,
        measurements=measurements,
        findings=findings,
        crashed=crashed,
        done=done,
        jobs=jobs,
        case=case,
        seconds=seconds,
        fitted=fitted,
        device=ran_on,
        size=size,
        reference=reference.facts if reference else None,
    )


def all_jobs(setup: Setup) -> list[Job]:
    """What all checks ask for, every job behind those that it needs."""
    return merged(
        (requests.facts(setup), *(job for check in checks.ALL for job in check.needs(setup)))
    )


def make_case(setup: Setup, done: JobResults) -> Case:
    """The evidence, copies left out of the count.

    Raises:
        AuditError: If the labels could not even be read.
    """
    facts = requests.facts(setup)
    if facts.key not in done.outcomes:
        raise AuditError(
            "DATA_UNUSABLE",
            f"the audit needs the facts of the data, but {done.failures[facts.key]}.",
            "Look at the data with another tool.",
        )
    found = done.outcomes[facts.key]
    return Case(
        setup,
        found.arrays["eval_labels"],
        found.arrays["eval_groups"],
        done.outcomes,
        done.failures,
        found.read(FoundInData).left_out,
    )


def measured(check: Check, case: Case) -> tuple[list[Measurement], str]:
    """A check's measurements; if it could not measure, one NaN, and the reason."""
    try:
        return check.measure(case), ""
    except NotMeasured as missing:
        reason = str(missing)
    except Exception as error:  # a check that raises must not take the others with it
        reason = f"{type(error).__name__}: {error}"
    nan = float("nan")
    crash = Measurement(check=check.NAME, quantity=CRASHED, value=nan, unit="count", note=reason)
    return [crash], reason


def stage_seconds(audited: AuditEvidence) -> Mapping[str, float]:
    """Seconds by kind of job, of what was done now."""
    total: dict[str, float] = {}
    for job in audited.jobs:
        if job.key in audited.done.seconds:
            total[job.kind] = total.get(job.kind, 0.0) + audited.done.seconds[job.key]
    return total


__all__ = [
    "AuditEvidence",
    "all_jobs",
    "audit",
    "default_cache",
    "make_case",
    "measured",
    "stage_seconds",
]
