"""Do the nulls of a folder fit the model, the evaluation images and what is asked of them?

Nulls must see what the model sees: its own size, crop and interpolation. Nulls of another size or
crop would be measured on pixels that they never learned from, and the verdict would rest on other
claims than the model's size asks for.
"""

from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.core.sizes import flag, in_words, shown
from audit.evidence.decide import seen_size, set_up_nulls
from audit.evidence.examine import input_of
from audit.evidence.profile import Profile
from audit.evidence.setup import NullInput
from audit.inputs.fitted_nulls import TrainedNulls, null_jobs
from audit.inputs.settings import Settings, chosen_profile, precision
from audit.reports.text import visible

if TYPE_CHECKING:
    from audit.data.dataset import Dataset
    from audit.model.checkpoint import Subject

Names = tuple[str, ...]
OF_TRANSFER = ("cuts", "transfer_", "split_transfer", "id_", "probe_")  # of no null


def profile_with(fitted: TrainedNulls, settings: Settings) -> Profile:
    """The folder's profile, with what the user asks for beside it.

    Raises:
        AuditError: NULLS_LACKING, NULLS_OTHER_SEED if the folder does not hold all that is asked
            for; CONFIG_INVALID.
    """
    asked = chosen_profile(settings)
    manifest = fitted.manifest
    if "profile" not in settings.model_fields_set:
        asked = manifest.profile.model_copy(update=dict(settings.changes))
    own = manifest.profile.precision if settings.amp is None else precision(settings.amp)
    asked = asked.model_copy(update={"precision": own})
    if "seed" in settings.model_fields_set and settings.seed != manifest.seed:
        raise AuditError(
            "NULLS_OTHER_SEED",
            f"--seed {settings.seed} needs nulls of that seed, but those of the folder "
            f"{fitted.name} were fitted with seed {manifest.seed}.",
            "Leave --seed (in audit.yaml: seed) away, or fit nulls with it.",
        )
    setup = set_up_nulls(manifest.training, asked, manifest.seed, None)
    missing = [job for job in null_jobs(setup) if job.key not in fitted.outcomes]
    if missing:
        raise AuditError(
            "NULLS_LACKING",
            f"the profile asks for nulls that the folder {fitted.name} lacks "
            f"({missing[0].label}, {different(asked, manifest.profile)}).",
            "Leave --profile, --set and --amp (in audit.yaml: profile, changes and amp) away, "
            "or fit such nulls.",
        )
    return asked


def different(asked: Profile, held: Profile) -> str:
    """The first field of two profiles that matters to nulls and differs, in words."""
    for field in Profile.model_fields:
        ours, theirs = getattr(asked, field), getattr(held, field)
        if ours != theirs and field != "name" and not field.startswith(OF_TRANSFER):
            return f"with {field} = {ours}, but fitted was {theirs}"
    return "which should be there"


def require_count(fitted: TrainedNulls, subject: "Subject") -> None:
    """Refuse a model of another number of classes.

    Raises:
        AuditError: NULLS_OTHER_CLASSES.
    """
    known = len(fitted.manifest.training.classes)
    if subject.spec.num_classes != known:
        raise other_classes(
            f"{subject.name} has {subject.spec.num_classes} classes and those in {fitted.name} "
            f"know {known}"
        )


def require_classes(fitted: TrainedNulls, dataset: "Dataset") -> None:
    """Refuse data of other classes than those that the nulls know.

    Raises:
        AuditError: NULLS_OTHER_CLASSES.
    """
    known = fitted.manifest.training.classes
    strange = sorted(set(known) - set(dataset.classes)) or sorted(set(dataset.classes) - set(known))
    if strange:
        raise other_classes(
            f"'{visible(strange[0], 60)}' is a class of only one of the data and {fitted.name}"
        )
    if dataset.classes != known:  # the embedded images alone have an order of their own
        raise other_classes(f"the classes of {fitted.name} are numbered otherwise than the data's")


def other_classes(problem: str) -> AuditError:
    """One sentence about classes."""
    return AuditError(
        "NULLS_OTHER_CLASSES",
        f"--nulls needs nulls of the model's own classes, but {problem}.",
        "Fit nulls on the data that the model was trained on.",
    )


def require_images(fitted: TrainedNulls, subject: "Subject", dataset: "Dataset") -> None:
    """Refuse images that the nulls cannot stand for.

    Raises:
        AuditError: NULLS_OTHER_CHANNELS, NULLS_OTHER_FRAME, NULLS_OTHER_SIDE.
    """
    known = fitted.manifest.training
    if known.channels == 1 and not dataset.grey:
        raise AuditError(
            "NULLS_OTHER_CHANNELS",
            f"--nulls needs images like those that the nulls saw, but {fitted.name} was fitted "
            "on grey images and the evaluation images have colour.",
            "Fit nulls on the data that the model was trained on.",
        )
    own = input_of(subject.preprocessing)
    own = own.model_copy(update={"size": seen_size(own.size)})
    if own != known.input:
        same = own == known.input.model_copy(update={"size": own.size})
        other_size = same and own.frame == known.input.frame
        raise AuditError(
            "NULLS_OTHER_SIDE" if other_size else "NULLS_OTHER_FRAME",
            f"--nulls needs nulls that see what the model sees, {described(own)}, but those of "
            f"{fitted.name} saw {described(known.input)}.",
            f"Fit nulls with --for and this model, or with {flags(own)}.",
        )


def described(seen: NullInput) -> str:
    """From an image to what is seen, in words."""
    text = f"{shown(seen.size)} pixels of {in_words(seen.frame)}"
    return f"{text} (crop {seen.crop_pct:g}, {seen.interpolation})"


def flags(seen: NullInput) -> str:
    """The options that make nulls see the same."""
    return (
        f"--img-size {flag(seen.size)} --crop-pct {seen.crop_pct:g} --interpolation "
        f"{seen.interpolation} --crop-mode {seen.crop_mode}"
    )
