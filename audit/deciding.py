"""A model file whose weights fit several architectures alike: which it is, is decided on images.

Architectures may differ in nothing that weights show: an activation, a padding, a blur, the mean
that images are normalised by. Each is built, the same training images are shown to all, and one
is taken only where it is clearly best (`audit.model.signatures.choose`). The evaluation images
choose nothing: where only they are at hand, nothing is decided.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.loading import load_model, output_classes
from audit.progress import Progress
from audit.record import AuditError
from audit.settings import Settings

if TYPE_CHECKING:
    from audit.data.dataset import Dataset, Split
    from audit.model.checkpoint import Subject

Load = Callable[["Subject"], "Dataset"]
IMAGES = 1000
MOST = 8  # architectures that are tried


def load_decided(path: Path, settings: Settings, progress: Progress, load: Load) -> "Subject":
    """The subject; decided on images if its weights fit several architectures.

    Args:
        path: The model.
        settings: Name it and the data.
        progress: Told what is decided.
        load: Gives the data, in case that they are needed.

    Raises:
        AuditError: As `load_model`, also where no architecture is clearly best.
    """
    try:
        return load_model(path, settings)
    except AuditError as error:
        if error.reason != "MODEL_ARCH_UNKNOWN" or settings.model is not None:
            raise
        subjects = rivals(path, settings)
        if not 2 <= len(subjects) <= MOST:
            raise
    names = [subject.spec.architecture for subject in subjects]
    progress.say(f"its weights fit {len(names)} architectures alike: trying {', '.join(names)}")
    chosen = decide(subjects, settings, load)
    progress.say(f"{chosen.spec.architecture} is {chosen.identified}")
    return chosen


def rivals(path: Path, settings: Settings) -> "list[Subject]":
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


def decide(subjects: "Sequence[Subject]", settings: Settings, load: Load) -> "Subject":
    """The clearly best of several subjects with the same weights, on training images.

    Args:
        subjects: Two or more.
        settings: Say whether there are training images.
        load: Gives the data that one of them is audited on.

    Raises:
        AuditError: MODEL_ARCH_UNKNOWN if there is none, or there are no training images.
    """
    from audit.model.signatures import Candidate, choose

    first = subjects[0]
    if settings.nulls is not None or (settings.data is None and settings.train_data is None):
        raise without_training(subjects)
    dataset = load(first)
    part = dataset.train
    if part is None:
        raise without_training(subjects)
    size = min(IMAGES, len(part))
    shown = part.select(
        np.sort(np.random.default_rng(settings.seed).choice(len(part), size, replace=False))
    )
    classes = output_classes(settings, first, dataset)
    from audit.setup import agree

    order = list(agree(first, dataset, classes)) or list(range(len(classes)))
    right = {s.spec.architecture: right_answers(s, shown, order) for s in subjects}
    scores = ", ".join(f"{name} {sum(hits) / size:.1%}" for name, hits in right.items())
    best = choose([Candidate(name, {}, True, "", "") for name in right], right)
    if best is None:
        raise AuditError(
            "MODEL_ARCH_UNKNOWN",
            f"the file does not say which architecture it is, its weights fit {len(subjects)}, and "
            f"none of them is clearly best on {size:,} training images ({scores}). Give one of "
            "them with `--model NAME`.",
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
        f"({names}), and only training images could decide. Give one of them with `--model NAME`, "
        "or training images and no --nulls.",
    )


def right_answers(subject: "Subject", images: "Split", order: list[int]) -> list[bool]:
    """Whether a subject classifies each image right, prepared as it wants them."""
    import torch

    from audit.data import decode
    from audit.jobs.outputs import BATCH
    from baselines.train import Images, predict

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
