"""All that a call names, loaded and checked in one place; nothing below takes `Settings`.

Policy, profile, nulls and device are settled when a call begins. Images are read once, when the
first model is known to be usable, so that a refused model costs no minutes of reading.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.core.threads import set_threads
from audit.evidence.profile import PROFILES, Profile
from audit.inputs.call import Call, Declared
from audit.inputs.classes import (
    Names,
    given_names,
    output_classes,
    read_class_map,
    strange_class,
)
from audit.inputs.model import (
    MOST,
    PARTS,
    decide,
    load_model,
    matching_architectures,
    without_training,
)
from audit.inputs.repeat import repeat_words
from audit.inputs.settings import Settings, chosen_policy, chosen_profile
from audit.model.files.digest import require_pinned
from audit.policy.limits import Policy
from audit.policy.vocabulary import Vocabulary
from audit.reports.text import visible

if TYPE_CHECKING:
    import torch

    from audit.evidence.examine import Examination, Experiment
    from audit.evidence.setup import NullInput
    from audit.inputs.fitted_nulls import TrainedNulls
    from audit.model.checkpoint import Subject

UNITS = {"s": 1, "m": 60, "h": 3600}  # seconds of a unit of time


@dataclass(frozen=True, eq=False)
class Inputs:
    """All that a call names; the audits of several models share it.

    Attributes:
        policy: The limits.
        reference: Folder of the run that limits may be relative to.
        reference_place: Where the user names it: for messages.
        profile: The profile without regard to time.
        profiles: All profiles by name, with the user's changes; none where nulls from a folder
            decide.
        allowed: Profiles that a limit of time chooses from, the largest first.
        limit: Seconds that an audit may take; None: no limit.
        fitted: Nulls from a folder.
        class_map: Names in the order of the models' outputs, if the user gives a list.
        device: Device that networks run on.
        declared: What the user says of the model.
        repeat: Words of the command that repeats an audit, behind the model's.
        config: The settings as plain data, for the run folder.
        pins: SHA-256 that the models' files may have; empty for any.
    """

    policy: Policy
    reference: Path | None
    reference_place: str
    profile: Profile
    profiles: Mapping[str, Profile]
    allowed: tuple[Profile, ...]
    limit: float | None
    fitted: "TrainedNulls | None"
    class_map: Names | None
    device: "torch.device"
    declared: Declared
    repeat: tuple[str, ...]
    config: Mapping[str, Any]
    pins: tuple[str, ...]
    _settings: Settings = field(repr=False)

    @cached_property
    def experiment(self) -> "Experiment":
        """The data and what is asked of models on them, read once.

        Raises:
            AuditError: If the data cannot be used, or do not fit the nulls.
        """
        from audit.evidence.examine import Experiment
        from audit.inputs.data import load_data, load_others, names_of
        from audit.inputs.null_fit_check import require_classes

        settings, fitted = self._settings, self.fitted
        dataset = load_data(settings, training=fitted is None)
        if fitted is not None:
            with settings.locate_errors("nulls", "NULLS_"):
                require_classes(fitted, dataset)
        return Experiment(
            dataset=dataset,
            seed=settings.seed if fitted is None else fitted.manifest.seed,
            given=None if fitted is None else fitted.manifest.training,
            check_preprocessing=settings.check_preprocessing,
            extra=load_others(settings),
            names=names_of(settings),
            transfer_classes=settings.transfer_classes,
        )

    @cached_property
    def training(self) -> "Experiment":
        """The training images alone, to fit nulls on.

        Raises:
            AuditError: If they cannot be used.
        """
        from audit.evidence.examine import Experiment
        from audit.inputs.data import load_training_data

        return Experiment(load_training_data(self._settings), self._settings.seed)


def load(settings: Settings, call: Call, progress: Progress, vocabulary: Vocabulary) -> Inputs:
    """Load and check what a call names, but for models and images.

    Args:
        settings: As resolved.
        call: The other options.
        progress: Receives messages about the device and the precision.
        vocabulary: Names that a limit can ask for, and the default limits.

    Raises:
        AuditError: If policy, profile, limit of time, device, nulls or class list cannot be used.
    """
    policy = chosen_policy(settings, call.policy, vocabulary)
    chosen_profile(settings)
    limit = None if settings.max_time is None else parse_time(settings.max_time)
    set_threads(call.threads)
    from audit.inputs.device import device_for, resolve_precision
    from audit.inputs.fitted_nulls import read_nulls

    device = device_for(call.device, progress)
    with settings.locate_errors("nulls", "NULLS_"):
        fitted = None if settings.nulls is None else read_nulls(settings.nulls)
    if fitted is None:
        settings = resolve_precision(settings, device, progress)
    profile, profiles = profiles_of(settings, fitted)
    return Inputs(
        policy=policy,
        reference=settings.reference,
        reference_place=settings.location("reference"),
        profile=profile,
        profiles=profiles,
        allowed=allowed(settings, profile, profiles),
        limit=limit,
        fitted=fitted,
        class_map=read_class_map(settings.class_map) if settings.class_map else None,
        device=device,
        declared=declared(settings),
        repeat=repeat_words(settings, call),
        config=settings.model_dump(mode="json"),
        pins=call.model_sha256,
        _settings=settings,
    )


def parse_time(text: str) -> float:
    """Seconds of "90s", "30m", "2h" or "1h30m".

    Raises:
        AuditError: CONFIG_INVALID.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if not parts or "".join(a + b for a, b in parts) != text.strip():
        raise AuditError(
            "CONFIG_INVALID",
            f"--max-time needs a time such as 90s, 30m or 2h, but got '{visible(text, 40)}'.",
            "Write a number and its unit.",
        )
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def declared(settings: Settings) -> Declared:
    """What the user says of the model."""
    return Declared(
        evaluation_chose_subject=settings.evaluation_chose_subject,
        pretrained_on=settings.pretrained_on,
        preprocessing=tuple(part for part in PARTS if getattr(settings, part) is not None),
    )


def profiles_of(
    settings: Settings, fitted: "TrainedNulls | None"
) -> tuple[Profile, dict[str, Profile]]:
    """The profile without regard to time, and those that could be taken in its place, by name.

    Raises:
        AuditError: NULLS_LACKING, NULLS_OTHER_SEED, CONFIG_INVALID.
    """
    if fitted is None:
        found = {
            name: chosen_profile(settings.model_copy(update={"profile": name})) for name in PROFILES
        }
        return chosen_profile(settings), found
    from audit.inputs.null_fit_check import profile_with

    return profile_with(fitted, settings), {}


def allowed(
    settings: Settings, profile: Profile, profiles: Mapping[str, Profile]
) -> tuple[Profile, ...]:
    """Profiles that a limit of time chooses from: none larger than one that the user names."""
    names = [*profiles][::-1]  # they are listed from the smallest
    if "profile" in settings.model_fields_set and names:
        names = names[names.index(settings.profile) :]
    return tuple(profiles[name] for name in names) or (profile,)


def examine_model(inputs: Inputs, path: Path, progress: Progress) -> "Examination":
    """Load a model, and look at it together with the data.

    Raises:
        AuditError: If the model or the data cannot be used, or do not fit each other or the nulls.
    """
    progress.say(f"reading {visible(str(path))}")
    subject = load_decided(path, inputs, progress)
    require_pinned(subject.name, subject.file_digest, inputs.pins)
    return examine_subject(inputs, subject, progress)


def examine_subject(inputs: Inputs, subject: "Subject", progress: Progress) -> "Examination":
    """Look at a loaded model together with the data.

    Raises:
        AuditError: If the data cannot be used, or do not fit the model or the nulls.
    """
    from audit.evidence.examine import examine

    with inputs._settings.locate_errors("nulls", "NULLS_"):
        classes = fitting_classes(inputs, subject)
    dataset = inputs.experiment.dataset
    train = f"{len(dataset.train):,} training and " if dataset.train else ""
    progress.say(
        f"{subject.spec.architecture} ({subject.container}); {train}{len(dataset.eval):,} "
        f"evaluation images of {len(dataset.classes)} classes"
    )
    return examine(subject, inputs.experiment, classes)


def load_decided(path: Path, inputs: Inputs, progress: Progress) -> "Subject":
    """The model; decided on training images if its weights fit several architectures.

    Raises:
        AuditError: As `load_model`, also where no architecture is clearly best.
    """
    settings = inputs._settings
    try:
        return load_model(path, settings)
    except AuditError as error:
        if error.reason != "MODEL_ARCH_UNKNOWN" or settings.model is not None:
            raise
        subjects = matching_architectures(path, settings)
        if not 2 <= len(subjects) <= MOST:
            raise
    names = [subject.spec.architecture for subject in subjects]
    progress.say(f"its weights fit {len(names)} architectures alike: trying {', '.join(names)}")
    if settings.nulls is not None or (settings.data is None and settings.train_data is None):
        raise without_training(subjects)
    chosen = decide(subjects, inputs.experiment.dataset, inputs.class_map, settings.seed)
    progress.say(f"{chosen.spec.architecture} is {chosen.identified}")
    return chosen


def fitting_classes(inputs: Inputs, subject: "Subject") -> Names:
    """Names of the classes in the order of the subject's outputs.

    Raises:
        AuditError: If the subject does not fit the data or the nulls.
    """
    if inputs.fitted is None:
        return output_classes(inputs.class_map, subject, inputs.experiment.dataset)
    from audit.data.load import IDX
    from audit.inputs.null_fit_check import other_classes, require_count, require_images

    require_count(inputs.fitted, subject)
    dataset = inputs.experiment.dataset
    require_images(inputs.fitted, subject, dataset)
    named = given_names(inputs.class_map, subject)
    if named and dataset.source != IDX and (problem := strange_class(named, dataset)):
        raise other_classes(problem)
    return output_classes(inputs.class_map, subject, dataset)


def examine_data(
    inputs: Inputs, experiment: "Experiment", model: Path | None = None
) -> "tuple[Examination, str]":
    """Look at the data alone, for nulls; and where what they see comes from, in words.

    Args:
        inputs: All that the call names.
        experiment: The data.
        model: Whose images the nulls are to see; None: as the settings say.

    Raises:
        AuditError: DATA_NO_TRAINING, DATA_IMAGES_TOO_SMALL, and as `load_model`.
    """
    from audit.evidence.examine import examine_nulls, input_of

    settings = inputs._settings
    if model is None:
        given, words = null_input(settings, experiment)
    else:
        subject = load_model(model, settings)
        given, words = input_of(subject.preprocessing), f"as {visible(subject.name, 80)} sees them"
    return examine_nulls(experiment, given), words


def null_input(settings: Settings, experiment: "Experiment") -> "tuple[NullInput, str]":
    """What the models see that the nulls are for, and where its size comes from, in words."""
    from audit.core.sizes import flag
    from audit.evidence.setup import NullInput
    from audit.inputs.data import median_side

    if settings.img_size is not None:
        size, words = settings.img_size, f"--img-size {flag(settings.img_size)}"
    else:
        size = median_side(experiment.dataset)
        words = f"the median side of the training images, {size}"
    given = NullInput(
        size=size,
        crop_pct=settings.crop_pct or 1.0,
        interpolation=settings.interpolation or "bicubic",
        crop_mode=settings.crop_mode or "center",
    )
    return given, words
