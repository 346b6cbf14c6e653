"""One audit, from a loaded model and data to a report: the flow of the whole product."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audit import requests
from audit.case import Case, CutPoint, NotMeasured, Setup
from audit.checks import ALL, Check
from audit.config import Profile
from audit.jobs import Done, execute
from audit.jobs.workshop import Workshop
from audit.ladder import LARGEST_SIDE, ladder
from audit.limits import Policy
from audit.policy import judge
from audit.progress import Progress
from audit.record import AuditError, Finding, Measurement
from audit.store import Store
from audit.work import Job, merged

if TYPE_CHECKING:
    from audit.data import Dataset
    from audit.model.checkpoint import Subject
    from audit.model.cuts import Cut

SMALLEST_Q = 5


@dataclass(frozen=True)
class Audited:
    """What an audit found, before it is put into words.

    Attributes:
        setup: What was measured.
        measurements: By check, in report order.
        findings: One a limit of the policy.
        crashed: Reasons by check, for those that did not finish.
        done: What became of the jobs.
        jobs: All of them, in the order of execution.
        case: The evidence.
        seconds: Of the whole audit.
    """

    setup: Setup
    measurements: dict[str, list[Measurement]]
    findings: tuple[Finding, ...]
    crashed: dict[str, str]
    done: Done
    jobs: list[Job]
    case: Case
    seconds: float


def audit(
    subject: "Subject",
    dataset: "Dataset",
    profile: Profile,
    policy: Policy,
    *,
    store: Store,
    seed: int = 0,
    progress: Progress | None = None,
) -> Audited:
    """Audit one model on one data set.

    Args:
        subject: From `audit.model.load_subject`.
        dataset: With its training split.
        profile: How much is measured.
        policy: The limits.
        store: Where results of jobs are kept.
        seed: Of everything random.
        progress: Told what happens.

    Raises:
        AuditError: If model and data do not fit together, or the images are too small.
    """
    started, progress = time.monotonic(), progress or Progress(quiet=True)
    agree(subject, dataset)
    setup, cuts = set_up(subject, dataset, profile, seed)
    shop = Workshop(dataset, subject, setup, cuts)
    jobs = merged((requests.facts(setup), *(job for check in ALL for job in check.needs(setup))))
    done = execute(jobs, shop, store, progress)
    case = make_case(setup, done)
    measurements, crashed = {}, {}
    for check in ALL:
        measurements[check.NAME], reason = measured(check, case)
        if reason:
            crashed[check.NAME] = reason
            progress.say(f"{check.NAME} could not be measured: {reason}")
    findings = judge([m for found in measurements.values() for m in found], policy)
    seconds = time.monotonic() - started
    return Audited(setup, measurements, findings, crashed, done, jobs, case, seconds)


def agree(subject: "Subject", dataset: "Dataset") -> None:
    """Refuse a model that cannot be asked about these data."""
    if subject.spec.num_classes != len(dataset.classes):
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            f"the audit needs a model with one output a class, but {subject.name} has "
            f"{subject.spec.num_classes} outputs and the data have {len(dataset.classes)} classes. "
            "Give the data that the model was trained for.",
        )
    if subject.class_names is not None and tuple(subject.class_names) != dataset.classes:
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            f"the audit needs the model's own class order, but {subject.name} was saved with "
            f"classes starting '{subject.class_names[0]}' and the data's start "
            f"'{dataset.classes[0]}'. Rename the folders, or save the checkpoint without names.",
        )
    if subject.preprocessing.in_chans not in (1, 3):
        raise AuditError(
            "MODEL_CHANNELS",
            f"images have one channel or three, but {subject.name} takes "
            f"{subject.preprocessing.in_chans}. Such a model cannot be audited on an image folder.",
        )
    if dataset.train is None:
        raise AuditError(
            "DATA_NO_TRAINING",
            "the nulls need the training images, but only evaluation images were given. Give a "
            "folder with train/ and val/, or --train-data.",
        )
    if subject.preprocessing.img_size < SMALLEST_Q:
        raise AuditError(
            "DATA_IMAGES_TOO_SMALL",
            f"the nulls need images of at least {SMALLEST_Q} pixels a side, the smallest receptive "
            f"field, but the model takes {subject.preprocessing.img_size}. Nothing smaller can be "
            "audited.",
        )


def set_up(
    subject: "Subject", dataset: "Dataset", profile: Profile, seed: int
) -> "tuple[Setup, dict[str, Cut]]":
    """Decide what is measured."""
    from audit.model.architecture import find_cuts

    view = subject.preprocessing
    side = min(view.img_size, LARGEST_SIDE)
    found = find_cuts(subject.model, view.in_chans, view.img_size)
    cuts = spread(found, profile.cuts)
    assert dataset.train is not None
    setup = Setup(
        profile=profile,
        seed=seed,
        subject=subject.name,
        architecture=subject.spec.architecture,
        subject_digest=network_digest(subject),
        subject_side=view.img_size,
        view=repr(view),
        data_digest=dataset.digest,
        paths_digest=hashlib.sha256("\n".join(dataset.eval.paths).encode()).hexdigest(),
        unreadable=dataset.unreadable,
        classes=dataset.classes,
        n_train=len(dataset.train),
        n_eval=len(dataset.eval),
        channels=1 if dataset.grey else 3,
        side=side,
        nulls=ladder(side, profile),
        cuts=tuple(CutPoint(name=c.name, depth=c.depth, head=c.kind == "head") for c in cuts),
    )
    return setup, {cut.name: cut for cut in cuts}


def network_digest(subject: "Subject") -> str:
    """Of the function: weights alone do not tell the number of heads or the kind of pooling."""
    spec = subject.spec
    content = [spec.architecture, spec.kwargs, spec.num_classes, spec.in_chans, spec.img_size]
    text = json.dumps([*content, subject.weights_digest], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def spread(cuts: "Sequence[Cut]", wanted: int) -> "list[Cut]":
    """At most `wanted` cuts, the last (before the classifier) among them, evenly by order.

    Of cuts with nothing to learn between them (pooling) only the last is kept, and cuts with
    parameters used on both sides cannot be frozen.
    """
    cuts = [cut for cut in cuts if not cut.shared and not cut.unassigned]
    ends = [next_cut.before for next_cut in cuts[1:]] + [()]
    cuts = [cut for cut, following in zip(cuts, ends, strict=True) if cut.before != following]
    if len(cuts) <= wanted:
        return list(cuts)
    if wanted < 1:
        return []
    places = np.linspace(len(cuts) - 1, 0, wanted + 1)[:-1] if wanted > 1 else [len(cuts) - 1]
    return [cuts[i] for i in sorted({round(float(p)) for p in places})]


def make_case(setup: Setup, done: Done) -> Case:
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
    nan = Measurement(name=f"{check.NAME}.crashed", value=float("nan"), unit="count", note=reason)
    return [nan], reason


def stage_seconds(audited: Audited) -> Mapping[str, float]:
    """Seconds by kind of job, of what was done now."""
    total: dict[str, float] = {}
    for job in audited.jobs:
        if job.key in audited.done.seconds:
            total[job.kind] = total.get(job.kind, 0.0) + audited.done.seconds[job.key]
    return total


def default_cache() -> Path:
    """Where results are kept unless --cache says otherwise."""
    import os

    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "null-audit"
