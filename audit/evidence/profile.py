"""Profiles: how much evidence an audit gathers, and what it costs."""

from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from audit.core.errors import AuditError
from audit.reports.document import FrozenModel

Precision = Literal["float32", "bfloat16"]
ProfileName = Literal["quick", "default", "full"]


class Profile(FrozenModel):
    """How much is measured; a field's bounds and meaning stand at the field."""

    name: str = Field(description="As in `--profile`.")
    gating: int = Field(
        ge=1,
        description="How many of the largest gating q are trained. Of images above 96 pixels one q "
        "is trained for each scale, and 1 means the finest and the coarsest scale only.",
    )
    drawn: bool = Field(
        description="Whether larger q, up to 60 % of the side, are trained too and drawn."
    )
    circular: bool = Field(
        description="Whether the circular twin (control of position) is trained."
    )
    twins_each: bool = Field(
        description="Whether every q has its own twins, or only the largest gating one."
    )
    seeds: int = Field(ge=1, description="Fits of each trained null.")
    images_seen: int = Field(
        ge=1000,
        description="Budget of one fit: training images seen, repetitions counted, of up to 64 x "
        "64 pixels; larger ones, and windows of images above 96 pixels, count by their pixels. "
        "Crops count by their share of an image, too: with half of the budget on crops of 0.6 of "
        "the side, the views are about twice as many.",
    )
    doublings: int = Field(
        ge=0, description="How often an inadequate null's budget may be doubled."
    )
    rates: tuple[float, ...] = Field(
        default=(0.005, 0.01, 0.02), description="Learning rates that are tried."
    )
    cuts: int = Field(
        ge=0, description="Cut points of the transfer curve, the head-only cut included."
    )
    transfer_images: int = Field(
        ge=50, description="Training images used by the transfer curve, at most."
    )
    transfer_seen: int = Field(
        ge=100, description="Budget of one retraining: training images seen."
    )
    transfer_rates: tuple[float, ...] = Field(
        default=(1.0, 0.3, 0.1),
        description="Shares of the recipe's rate that are tried for the retrained part.",
    )
    # Two matrices of 8 bytes for each pair of images are held at once.
    id_images: int = Field(
        default=2_000,
        ge=0,
        le=10_000,
        description="Evaluation images of the profile of intrinsic dimensions, at most; 0: none.",
    )
    id_nulls: bool = Field(
        default=True, description="Whether the trained nulls have such a profile too."
    )
    transfer_seeds: int = Field(
        default=1, ge=1, description="Networks at each cut, alike but for the seed."
    )
    split_transfer: bool = Field(
        default=False,
        description="Whether the classes are divided at random, and layers transferred between "
        "networks that learned either half.",
    )
    probe_cuts: int = Field(
        default=99, ge=0, description="Cut points that linear read-outs are learned at; 0: none."
    )
    probe_images: int = Field(
        default=10_000,
        ge=50,
        description="Training images that read-outs learn from, and evaluation images, at most.",
    )
    probe_svm: bool = Field(
        default=True,
        description="Whether a linear SVM is learned beside the logistic regression.",
    )
    untrained_draws: int = Field(
        default=3,
        ge=1,
        description="Untrained networks that a control consists of, alike but for the seed.",
    )
    stop_at_fail: bool = Field(
        default=True,
        description="Whether no network is trained once the gate has failed on the simple and the "
        "closed-form models.",
    )
    precision: Precision = Field(
        default="float32",
        description="Precision of the products while a null learns; what has learned runs in 32 "
        "bits, and so does all that the model does.",
    )

    @model_serializer(mode="wrap")
    def _without_the_usual(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """What it says of itself; 32 bits go without saying, as before there was another."""
        found: dict[str, object] = dump(self)
        usual = {"precision": "float32", "stop_at_fail": True}
        return {k: v for k, v in found.items() if k not in usual or usual[k] != v}


LEFT_OUT = {  # what a smaller value leaves out, in words; checks say it of their own fields
    "gating": "gating receptive fields (the largest {})",
    "drawn": "larger receptive fields, drawn",
    "circular": "the circular twin",
    "twins_each": "twins for every q",
    "seeds": "{} seeds of each null",
    "images_seen": "{:,} training images seen per fit",
    "doublings": "up to {} doublings of the budget",
    "untrained_draws": "{} untrained networks of each control, with their spread",
}

PROFILES: dict[str, Profile] = {
    "quick": Profile(
        name="quick",
        gating=1,
        drawn=False,
        circular=False,
        twins_each=False,
        seeds=1,
        images_seen=40_000,
        doublings=0,
        rates=(0.01, 0.02),
        cuts=2,
        transfer_images=4_000,
        transfer_seen=6_000,
        transfer_rates=(1.0, 0.3),
        probe_cuts=2,
        probe_images=2_000,
        probe_svm=False,
        id_images=1_000,
        id_nulls=False,
        untrained_draws=1,
    ),
    "default": Profile(
        name="default",
        gating=2,
        drawn=False,
        circular=True,
        twins_each=False,
        seeds=3,
        images_seen=200_000,
        doublings=3,
        cuts=4,
        transfer_images=10_000,
        transfer_seen=100_000,
    ),
    "full": Profile(
        name="full",
        gating=9,
        drawn=True,
        circular=True,
        twins_each=True,
        seeds=5,
        images_seen=800_000,
        doublings=3,
        cuts=99,
        transfer_images=10_000,
        transfer_seen=200_000,
        id_images=5_000,
        transfer_seeds=3,
        split_transfer=True,
        probe_images=50_000,
    ),
}


def profile(name: str, **changes: int | bool) -> Profile:
    """A profile by name, with some of its fields replaced.

    Raises:
        AuditError: PROFILE_UNKNOWN.
    """
    if name not in PROFILES:
        known = ", ".join(PROFILES)
        raise AuditError(
            "PROFILE_UNKNOWN", f"the profile must be one of {known}, but is '{name}'.", "Name one."
        )
    base = PROFILES[name]
    if any(getattr(base, field) != value for field, value in changes.items()):
        changes["name"] = f"{name} (changed)"  # type: ignore[assignment]
    return base.model_copy(update=changes)
