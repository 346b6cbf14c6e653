"""One audit, from a loaded model and data to a report: the flow of the whole product."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.baselines.device import PROCESSOR
from audit.checks import ALL, Check
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.core.workers import worker_count
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case, NotMeasured
from audit.evidence.context import JobContext, PixelCache
from audit.evidence.decide import set_up
from audit.evidence.profile import Profile
from audit.evidence.setup import Setup
from audit.inputs.data import others
from audit.inputs.fitted_nulls import TrainedNulls
from audit.jobs.execute import execute
from audit.jobs.job import Job, merged
from audit.jobs.scheduler import JobResults
from audit.jobs.store import Store, default_cache
from audit.pipeline.reference import NAME as REFERENCE
from audit.pipeline.reference import Reference, measured_against, require_same_data
from audit.policy.judge import judge
from audit.policy.limits import Policy
from audit.record import CRASHED, DataFacts, Finding, Measurement, ReferenceFacts

if TYPE_CHECKING:
    import torch

    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject


@dataclass(frozen=True)
class AuditResult:
    """What an audit found, before it is put into words.

    Attributes:
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
    subject: "Subject",
    dataset: "Dataset",
    profile: Profile,
    policy: Policy,
    *,
    store: Store,
    seed: int = 0,
    progress: Progress | None = None,
    fitted: TrainedNulls | None = None,
    classes: tuple[str, ...] | None = None,
    decoded: PixelCache | None = None,
    reference: Reference | None = None,
    check_preprocessing: bool = False,
    beside: "Mapping[str, Dataset] | None" = None,
    names: Mapping[str, str] | None = None,
    transfer_classes: tuple[str, ...] = (),
    device: "torch.device | None" = None,
) -> AuditResult:
    """Audit one model on one data set.

    Args:
        subject: From `audit.model.load_subject`.
        dataset: With its training split, unless nulls are given.
        profile: How much is measured.
        policy: The limits.
        store: Where results of jobs are kept.
        seed: Of everything random.
        progress: Told what happens.
        fitted: Nulls from a folder; they, their profile and seed must fit
            (`audit.inputs.null_fit_check`).
        classes: Names in the order of the subject's outputs, if neither the checkpoint knows them
            nor the data have them in this order.
        decoded: Images as nulls see them, to share between audits of the same data.
        reference: A stored run that limits are relative to.
        check_preprocessing: Whether other preprocessing is tried on training images.
        beside: Data sets beside the audited one, by use: "probe", "transfer".
        names: Their names for people.
        transfer_classes: The half of the classes that is A in the transfer experiment.
        device: That networks run on; the processor by default.

    Raises:
        AuditError: If model and data do not fit together, the images are too small, the reference
            run was made on other data, or the device computes something else.
    """
    started, progress = time.monotonic(), progress or Progress(quiet=True)
    if reference is not None:
        require_same_data(
            DataFacts(digest=dataset.digest, eval_digest=dataset.eval_digest), reference
        )
    given = fitted.manifest.training if fitted else None
    setup, cuts = set_up(
        subject,
        dataset,
        profile,
        seed,
        given=given,
        classes=classes,
        check_preprocessing=check_preprocessing,
        others=others(beside or {}, dataset, names or {}),
        transfer_classes=transfer_classes,
    )
    context = JobContext(
        dataset,
        subject,
        setup,
        cuts={cut.name: cuts[cut.name] for cut in setup.cuts},
        decoded={} if decoded is None else decoded,
        others=dict(beside or {}),
        all_cuts=cuts,
        device=device or PROCESSOR,
    )
    context.require_device()
    jobs = all_jobs(setup)
    given_outcomes = fitted.outcomes if fitted else None
    size = worker_count(context.device, setup.pixels)
    done = execute(jobs, context, store, progress, given_outcomes, size)
    case = make_case(setup, done)
    measurements, crashed = {}, {}
    for check in ALL:
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
    return AuditResult(
        setup,
        measurements,
        findings,
        crashed,
        done,
        jobs,
        case,
        seconds,
        fitted,
        ran_on,
        size,
        reference.facts if reference else None,
    )


def all_jobs(setup: Setup) -> list[Job]:
    """What all checks ask for, every job behind those that it needs."""
    return merged((requests.facts(setup), *(job for check in ALL for job in check.needs(setup))))


def make_case(setup: Setup, done: JobResults) -> Case:
    """The evidence; without the data's facts every image is its own group.

    Raises:
        AuditError: If the labels could not even be read.
    """
    facts = requests.facts(setup)
    if facts.key not in done.outcomes:
        raise AuditError(
            "DATA_UNUSABLE",
            f"the audit needs the facts of the data, but {done.failures[facts.key]}. Look at the "
            "data with another tool.",
        )
    arrays = done.outcomes[facts.key].arrays
    return Case(setup, arrays["eval_labels"], arrays["eval_groups"], done.outcomes, done.failures)


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


def stage_seconds(audited: AuditResult) -> Mapping[str, float]:
    """Seconds by kind of job, of what was done now."""
    total: dict[str, float] = {}
    for job in audited.jobs:
        if job.key in audited.done.seconds:
            total[job.kind] = total.get(job.kind, 0.0) + audited.done.seconds[job.key]
    return total


__all__ = [
    "AuditResult",
    "all_jobs",
    "audit",
    "default_cache",
    "make_case",
    "measured",
    "stage_seconds",
]
