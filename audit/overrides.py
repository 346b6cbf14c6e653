"""Preprocessing that the user gives instead of the checkpoint's, and where each part is from."""

from dataclasses import replace
from typing import TYPE_CHECKING

from audit.record import AuditError
from audit.settings import Settings
from audit.sizes import shown

if TYPE_CHECKING:
    from audit.model.checkpoint import Subject

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
                f"{view.in_chans} channels and {len(values)} values were given. Give "
                f"{view.in_chans}.",
            )
        given[part] = values * (view.in_chans // len(values))
    return replace(subject, preprocessing=replace(view, **given))


def described(subject: "Subject", settings: Settings) -> str:
    """Size and preprocessing, and where each part of it comes from: for the report."""
    view = subject.preprocessing
    words = {
        "crop_pct": f"crop {view.crop_pct:g}",
        "crop_mode": MODES[view.crop_mode],
        "interpolation": view.interpolation,
        "mean": f"mean {rounded(view.mean)}",
        "std": f"std {rounded(view.std)}",
    }
    parts = [f"{words[part]} ({source(part, subject, settings)})" for part in PARTS]
    return ", ".join([f"{view.in_chans} x {shown(view.img_size)}", *parts])


def source(part: str, subject: "Subject", settings: Settings) -> str:
    """Who says so: the user before the checkpoint, the checkpoint before timm's configuration."""
    if getattr(settings, part) is not None:
        return "given"
    recorded = subject.training_args.get(part)
    return "timm's" if not recorded or recorded == "random" else "checkpoint's"


def rounded(values: tuple[float, ...]) -> str:
    """(0.49, 0.48, 0.45)."""
    return "(" + ", ".join(f"{v:.3g}" for v in values) + ")"
