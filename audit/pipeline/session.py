"""One call of the command line: one model or several, on the same data, with the same nulls."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.core.threads import set_threads
from audit.inputs.classes import known_classes, output_classes
from audit.inputs.data import load_data, load_others, names_of
from audit.inputs.model import load_decided, require_unchanged
from audit.inputs.repeat import repeat_command
from audit.inputs.settings import Settings, chosen_policy, chosen_profile
from audit.jobs.folders import claim_folder
from audit.model.files.digest import require_pinned
from audit.pipeline.batch import Batch
from audit.pipeline.profile_choice import fixed_profile, parse_limit, profile_for, seed_of
from audit.pipeline.reference import needed_reference
from audit.record import Report
from audit.reports.text import visible

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject


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
    reference = needed_reference(settings.reference, policy, settings.location("reference"))
    chosen_profile(settings)
    if settings.max_time is not None:
        parse_limit(settings)  # refuses nonsense before any work
    set_threads(options["threads"])
    from audit.inputs.device import device_for, resolve_precision
    from audit.inputs.fitted_nulls import read_nulls
    from audit.jobs.store import Store, default_cache

    device = device_for(options, progress)
    with settings.locate_errors("nulls", "NULLS_"):
        fitted = None if settings.nulls is None else read_nulls(settings.nulls)
    if fitted is None:
        settings = resolve_precision(settings, device, progress)
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
    from audit.pipeline.assemble import Call, assemble
    from audit.pipeline.audit import audit

    first_line = len(batch.progress.lines)
    batch.progress.say(f"reading {visible(str(path))}")
    subject = load_decided(path, batch.settings, batch.progress, lambda s: labelled(batch, s))
    require_pinned(subject.name, subject.file_digest, batch.pins)
    with batch.settings.locate_errors("nulls", "NULLS_"):
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
        folder,
        Call(
            batch.settings,
            batch.policy,
            command=command,
            started=started,
            log=batch.progress.lines[first_line:],
            left_out=batch.left_out,
            remarks=said,
        ),
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
        from audit.inputs.null_fit_check import other_classes, require_classes, require_images

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


USUAL = Path("audit-runs")  # where reports go unless --out says otherwise


def audit_files(
    model_path: Path,
    settings: Settings,
    options: dict[str, Any],
    *,
    progress: Progress,
    command: str = "",
) -> tuple[Report, Path]:
    """Audit one model.

    Args:
        model_path: A checkpoint.
        settings: As resolved.
        options: Of this call.
        progress: Told what happens.
        command: That repeats the audit, where it is not one of this model and these settings.

    Returns:
        The report and its folder.
    """
    claim_folder(options["out"] or USUAL / secrets.token_hex(8))
    batch = open_batch(settings, options, progress)
    command = command or repeat_command(model_path, batch.settings, options)
    return audit_one(batch, model_path, command=command, out=lambda s: options["out"] or named(s))


def named(subject: "Subject") -> Path:
    """The run folder by time, name and digest; numbered if there is one already."""
    stem = time.strftime("%Y%m%d-%H%M%S") + f"-{subject.name}-{subject.weights_digest[:8]}"
    path, number = USUAL / stem, 1
    while path.exists():
        number += 1
        path = USUAL / f"{stem}-{number}"
    return path
