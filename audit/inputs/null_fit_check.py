"""Do the nulls of a folder fit the model, the evaluation images and what is asked of them?

The side needs a rule of its own. Nulls see images at one side, that of the folder; an audit with
training images would have taken the model's input side, at most 64 pixels. Which receptive fields
gate follows from that side (q of at most a third of it), and the verdict says "blind beyond q". So
another side is said in the report, and refused only where it would change which q gate: then the
verdict would rest on other claims than the model's own size asks for.
"""

from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.core.sizes import WHOLE, flag, frame_of, height_width, in_words
from audit.evidence.decide import set_up_nulls
from audit.evidence.ladder import LARGEST_SIDE, gating_qs
from audit.evidence.profile import Profile
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
    known, profile = fitted.manifest.training, fitted.manifest.profile
    if known.channels == 1 and not dataset.grey:
        raise AuditError(
            "NULLS_OTHER_CHANNELS",
            f"--nulls needs images like those that the nulls saw, but {fitted.name} was fitted "
            "on grey images and the evaluation images have colour.",
            "Fit nulls on the data that the model was trained on.",
        )
    view = subject.preprocessing
    frame = frame_of(view.img_size, view.crop_mode)
    remedy = f"Fit nulls with --img-size {flag(view.img_size)}"
    remedy += " --crop-mode squash." if frame == WHOLE else "."
    if frame != known.frame:
        raise AuditError(
            "NULLS_OTHER_FRAME",
            f"--nulls needs nulls that see what the model sees, {in_words(frame)}, but those of "
            f"{fitted.name} saw {in_words(known.frame)}. {remedy}",
        )
    own = own_side(subject)
    gating, theirs = (gating_qs(side)[-profile.gating :] for side in (own, known.side))
    if gating != theirs:
        raise AuditError(
            "NULLS_OTHER_SIDE",
            f"--nulls needs nulls for the model's image size, but at {own} pixels q of "
            f"{listed(gating)} decide and at the {known.side} pixels of {fitted.name} q of "
            f"{listed(theirs)}. {remedy}",
        )


def own_side(subject: "Subject") -> int:
    """Side in pixels at which nulls of the model's own size would see images."""
    return min(max(height_width(subject.preprocessing.img_size)), LARGEST_SIDE)


def caveats(fitted: TrainedNulls, subject: "Subject") -> list[str]:
    """What an audit with these nulls does not establish, where they saw another size."""
    own, known = own_side(subject), fitted.manifest.training
    if own == known.side:
        return []
    return [
        f"That nulls at the model's own size would do the same: they were fitted at {known.side} "
        f"pixels a side, and the model's size would have given {own}; the same q decide at both."
    ]


def listed(qs: tuple[int, ...]) -> str:
    """As in "5 and 9"."""
    return " and ".join(map(str, qs)) or "no size"
