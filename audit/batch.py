"""One call of the command line: one model or several, on the same data, with the same nulls."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.config import Profile
from audit.deciding import load_decided
from audit.folder import claim_folder
from audit.limits import Policy
from audit.loading import known_classes, load_data, output_classes, require_unchanged
from audit.model.pinned import require_pinned
from audit.others import load_others, names_of
from audit.profile_choice import fixed_profile, parse_limit, profile_for, seed_of
from audit.progress import Progress
from audit.record import AuditError, Report
from audit.reference import Reference, needed_reference
from audit.settings import Settings, chosen_policy, chosen_profile
from audit.threads import set_threads
from reports.text import visible

if TYPE_CHECKING:
    import torch

    from audit.data import Dataset
    from audit.jobs.workshop import Decoded
    from audit.model.checkpoint import Subject
    from audit.nulls_folder import Fitted
    from audit.store import Store


@dataclass
class Batch:
    """What the audits of one call share.

    Attributes:
        settings: As resolved.
        policy: That judges.
        reference: A stored run that limits are relative to.
        store: Where results of jobs are kept.
        fitted: Nulls from a folder.
        progress: Told what happens.
        models: How many are audited in this call.
        dataset: Loaded for the first model.
        profile: Chosen then, too.
        left_out: What --max-time left out, in words.
        decoded: Images as nulls see them.
        beside: Data sets beside the audited one, by use.
        pins: SHA-256 that the models' files may have; empty for any.
        began: When the call began, in seconds since the epoch; 0 once an audit has counted it.
        device: That networks run on; None: the processor.
    """

    settings: Settings
    policy: Policy
    reference: Reference | None
    store: "Store"
    fitted: "Fitted | None"
    progress: Progress
    models: int = 1
    dataset: "Dataset | None" = None
    profile: Profile | None = None
    left_out: str = ""
    decoded: "Decoded" = field(default_factory=dict)
    beside: "dict[str, Dataset]" = field(default_factory=dict)
    pins: tuple[str, ...] = ()
    began: float = 0.0
    device: "torch.device | None" = None


def open_batch(
    settings: Settings,
    options: dict[str, Any],
    progress: Progress,
    models: int = 1,
    *,
    writing: bool = True,
) -> Batch:
    """Read and check all that does not depend on a model.

    Args:
        settings: As resolved.
        options: `policy`, `threads`, `no_cache`, `cache` of this call, perhaps `model_sha256` and
            `device`.
        progress: Told what happens.
        models: How many will be audited.
        writing: Whether a cache that does not exist is made.

    Raises:
        AuditError: If policy, reference run, nulls, device or cache cannot be used.
    """
    began = time.time()
    policy = chosen_policy(settings, options["policy"])
    reference = needed_reference(settings.reference, policy, settings.place("reference"))
    chosen_profile(settings)
    if settings.max_time is not None:
        parse_limit(settings)  # refuses nonsense before any work
    set_threads(options["threads"])
    from audit.device import device_for, settled
    from audit.nulls_folder import read_nulls
    from audit.store import Store, default_cache

    device = device_for(options, progress)
    with settings.placing("nulls", "NULLS_"):
        fitted = None if settings.nulls is None else read_nulls(settings.nulls)
    if fitted is None:
        settings = settled(settings, device, progress)
    root = None if options["no_cache"] else options["cache"] or default_cache()
    store = Store(root if writing or (root is not None and root.is_dir()) else None)
    pins = options.get("model_sha256", ())
    batch = Batch(settings, policy, reference, store, fitted, progress, models)
    batch.pins, batch.began, batch.device = pins, began, device
    fixed_profile(batch)
    return batch


def audit_one(
    batch: Batch, path: Path, *, command: str, out: Callable[["Subject"], Path]
) -> tuple[Report, Path]:
    """Load, audit, judge and write; see `audit.run` for the flow.

    Args:
        batch: What it shares with others.
        path: The model.
        command: That repeats the audit.
        out: Names the new run folder.

    Returns:
        The report and its folder.
    """
    started, batch.began = batch.began or time.time(), 0.0
    from audit.assemble import assemble
    from audit.run import audit

    first_line = len(batch.progress.lines)
    batch.progress.say(f"reading {visible(str(path))}")
    subject = load_decided(path, batch.settings, batch.progress, lambda s: labelled(batch, s))
    require_pinned(subject.name, subject.file_digest, batch.pins)
    with batch.settings.placing("nulls", "NULLS_"):
        dataset, classes, said = data_for(batch, subject)
    folder = out(subject)
    claim_folder(folder)
    profile = profile_for(batch, subject, dataset, classes)
    found = audit(
        subject,
        dataset,
        profile,
        batch.policy,
        store=batch.store,
        seed=seed_of(batch),
        progress=batch.progress,
        fitted=batch.fitted,
        classes=classes,
        decoded=batch.decoded,
        reference=batch.reference,
        check_preprocessing=batch.settings.check_preprocessing,
        beside=batch.beside,
        names=names_of(batch.settings),
        transfer_classes=batch.settings.transfer_classes,
        device=batch.device,
    )
    require_unchanged(subject)
    dataset.eval.require_unchanged()
    report = assemble(
        found,
        subject,
        dataset,
        batch.settings,
        batch.policy,
        folder,
        command=command,
        started=started,
        log=batch.progress.lines[first_line:],
        left_out=batch.left_out,
        said=said,
    )
    return report, folder


def data_for(batch: Batch, subject: "Subject") -> "tuple[Dataset, tuple[str, ...], list[str]]":
    """The data, the order of the subject's outputs, and what the report should say of the nulls.

    Raises:
        AuditError: If the data cannot be used, or do not fit the model or the nulls.
    """
    settings, fitted = batch.settings, batch.fitted
    named = known_classes(settings, subject)
    if fitted is not None:
        from audit.given_nulls import other_classes, require_classes, require_images

        require_classes(fitted, subject, named)
        try:
            dataset = batch.dataset or load_data(
                settings, fitted.manifest.training.classes, training=False
            )
        except AuditError as error:
            if error.reason != "DATA_CLASS_MISMATCH":
                raise
            detail = str(error).partition(", but ")[2].partition(". ")[0]
            raise other_classes(detail) from None
        said = require_images(fitted, subject, dataset)
        keep(batch, dataset)
    else:
        dataset, said = labelled(batch, subject), []
    train = f"{len(dataset.train):,} training and " if dataset.train else ""
    batch.progress.say(
        f"{subject.spec.architecture} ({subject.container}); {train}{len(dataset.eval):,} "
        f"evaluation images of {len(dataset.classes)} classes"
    )
    return dataset, output_classes(settings, subject, dataset), said


def labelled(batch: Batch, subject: "Subject") -> "Dataset":
    """The data, loaded for the first model: where it names its classes, labels are in its order."""
    if batch.dataset is None:
        keep(batch, load_data(batch.settings, known_classes(batch.settings, subject)))
    assert batch.dataset is not None
    return batch.dataset


def keep(batch: Batch, dataset: "Dataset") -> None:
    """Let all models of the call share the data, and those beside them."""
    if batch.dataset is None:
        batch.beside = load_others(batch.settings)
        batch.dataset = dataset
