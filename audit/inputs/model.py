"""The model and the data that the settings name."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.core.errors import AuditError
from audit.core.sizes import shown
from audit.inputs.classes import Names, output_classes
from audit.inputs.settings import Settings

if TYPE_CHECKING:
    from audit.data.dataset import Dataset, Split
    from audit.model.checkpoint import Subject


def load_model(path: Path, settings: Settings) -> "Subject":
    """The subject, as the settings name it and with the preprocessing that they give."""
    from audit.model.checkpoint import load_subject

    subject = load_subject(
        path,
        model=settings.model,
        model_kwargs=settings.model_kwargs or None,
        num_classes=settings.num_classes,
        img_size=settings.img_size,
        in_chans=settings.in_chans,
        weights=settings.weights,
    )
    return overridden(subject, settings)


def file_digest(path: Path) -> str:
    """SHA-256 in hex; empty if the file is gone."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def require_unchanged(subject: "Subject") -> None:
    """Refuse a model file that changed while it was audited.

    Raises:
        AuditError: MODEL_CHANGED.
    """
    if file_digest(subject.file) != subject.file_digest:
        raise AuditError(
            "MODEL_CHANGED",
            f"an audit needs a model file that stays as it is, but {subject.name} changed "
            "while it was audited.",
            "Run the audit again.",
        )


IMAGES = 1000
MOST = 8  # architectures that are tried


def matching_architectures(path: Path, settings: Settings) -> "list[Subject]":
    """One subject for each architecture and preprocessing that makes a difference.

    Returns:
        At most one more than are tried.
    """
    from audit.model.checkpoint import candidates

    exact = [c for c in candidates(path, settings.weights) if c.exact]
    found: dict[Any, Subject] = {}
    for candidate in exact:
        named = settings.model_copy(update={"model": candidate.architecture})
        subject = load_model(path, named)
        same = candidate.function or candidate.architecture
        found.setdefault((same, subject.preprocessing), subject)
        if len(found) > MOST:
            break
    return list(found.values())


def decide(
    subjects: "Sequence[Subject]", dataset: "Dataset", class_map: Names | None, seed: int
) -> "Subject":
    """The clearly best of several subjects with the same weights, on training images.

    Args:
        subjects: Two or more.
        dataset: The data that they are meant for.
        class_map: Names in the order of the outputs, if the user gives a list.
        seed: Random seed of the choice of images.

    Raises:
        AuditError: MODEL_ARCH_UNKNOWN if there is none, or there are no training images.
    """
    from audit.evidence.examine import agree
    from audit.model.signatures import Candidate, choose

    first, part = subjects[0], dataset.train
    if part is None:
        raise without_training(subjects)
    size = min(IMAGES, len(part))
    shown = part.select(np.sort(np.random.default_rng(seed).choice(len(part), size, replace=False)))
    classes = output_classes(class_map, first, dataset)
    order = list(agree(first, dataset, classes)) or list(range(len(classes)))
    right = {s.spec.architecture: right_answers(s, shown, order) for s in subjects}
    scores = ", ".join(f"{name} {sum(hits) / size:.1%}" for name, hits in right.items())
    best = choose([Candidate(name, {}, True, "", "") for name in right], right)
    if best is None:
        raise AuditError(
            "MODEL_ARCH_UNKNOWN",
            f"the file does not say which architecture it is, its weights fit {len(subjects)}, "
            f"and none of them is clearly best on {size:,} training images ({scores}).",
            "Give one of them with `--model NAME`.",
        )
    chosen = next(s for s in subjects if s.spec.architecture == best.architecture)
    how = f"the clearly best of {len(subjects)} that fit, on {size:,} training images ({scores})"
    return replace(chosen, identified=how)


def without_training(subjects: "Sequence[Subject]") -> AuditError:
    """The refusal where only evaluation images, or nulls from a folder, are at hand."""
    names = ", ".join(subject.spec.architecture for subject in subjects)
    return AuditError(
        "MODEL_ARCH_UNKNOWN",
        f"the file does not say which architecture it is, its weights fit {len(subjects)} "
        f"({names}), and only training images could decide.",
        "Give one of them with `--model NAME`, or training images and no --nulls.",
    )


def right_answers(subject: "Subject", images: "Split", order: list[int]) -> list[bool]:
    """Whether a subject classifies each image right, prepared as it wants them."""
    import torch

    from audit.baselines.images import Images
    from audit.baselines.train import predict
    from audit.data import decode
    from audit.evidence.outputs import BATCH

    view = subject.preprocessing
    pixels = decode(
        images,
        view.img_size,
        view.in_chans,
        crop_pct=view.crop_pct,
        interpolation=view.interpolation,
        crop_mode=view.crop_mode,
    )
    mean, std = torch.tensor(view.mean), torch.tensor(view.std)
    shown = Images(torch.from_numpy(pixels), torch.from_numpy(images.labels), mean, std)
    logits = predict(subject.model.eval(), shown, batch=BATCH)[:, order]
    hits: list[bool] = (logits.argmax(1) == shown.labels).tolist()
    return hits


PARTS = ("crop_pct", "crop_mode", "interpolation", "mean", "std")
MODES = {"center": "cut at the centre", "squash": "squashed to the input's shape"}


def overridden(subject: "Subject", settings: Settings) -> "Subject":
    """The subject with the preprocessing that the settings give; its weights stay as they are.

    Raises:
        AuditError: MODEL_PREPROCESSING if mean or std have neither one value nor one a channel.
    """
    view = subject.preprocessing
    given = {part: getattr(settings, part) for part in PARTS if getattr(settings, part) is not None}
    for part in ("mean", "std"):
        values = given.get(part)
        if values is None:
            continue
        if len(values) not in (1, view.in_chans):
            raise AuditError(
                "MODEL_PREPROCESSING",
                f"--{part} needs one value or one a channel, but {subject.name} has "
                f"{view.in_chans} channels and {len(values)} values were given.",
                f"Give {view.in_chans}.",
            )
        given[part] = values * (view.in_chans // len(values))
    return replace(subject, preprocessing=replace(view, **given))


def described(subject: "Subject", given: Collection[str]) -> str:
    """Size and preprocessing, and where each part of it comes from: for the report.

    Args:
        subject: The model.
        given: Parts that the user gave, as in "crop_pct".
    """
    view = subject.preprocessing
    words = {
        "crop_pct": f"crop {view.crop_pct:g}",
        "crop_mode": MODES[view.crop_mode],
        "interpolation": view.interpolation,
        "mean": f"mean {rounded(view.mean)}",
        "std": f"std {rounded(view.std)}",
    }
    parts = [f"{words[part]} ({source(part, subject, given)})" for part in PARTS]
    return ", ".join([f"{view.in_chans} x {shown(view.img_size)}", *parts])


def source(part: str, subject: "Subject", given: Collection[str]) -> str:
    """Who says so: the user before the checkpoint, the checkpoint before timm's configuration."""
    if part in given:
        return "given"
    recorded = subject.training_args.get(part)
    return "timm's" if not recorded or recorded == "random" else "checkpoint's"


def rounded(values: tuple[float, ...]) -> str:
    """(0.49, 0.48, 0.45)."""
    return "(" + ", ".join(f"{v:.3g}" for v in values) + ")"
