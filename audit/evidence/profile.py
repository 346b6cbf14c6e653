"""Profiles: how much evidence an audit gathers, and what it costs."""

from typing import Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from audit.core.errors import AuditError
from audit.reports.document import FrozenModel

Precision = Literal["float32", "bfloat16"]

ProfileName = Literal["quick", "default", "full"]


class Profile(FrozenModel):
    """How much is measured.

    Attributes:
        name: As in `--profile`.
        gating: How many of the largest gating q are trained.
        drawn: Whether larger q, up to 60 % of the side, are trained too and drawn.
        circular: Whether the circular twin (control of position) is trained.
        twins_each: Whether every q has its own twins, or only the largest gating one.
        seeds: Fits of each trained null.
        images_seen: Budget of one fit: training images seen, repetitions counted. Crops count by
            their share of the pixels: with half of the budget on crops of 0.6 of the side, the
            views are about twice as many.
        doublings: How often an inadequate null's budget may be doubled.
        rates: Learning rates that are tried.
        cuts: Cut points of the transfer curve, the head-only cut included.
        transfer_images: Training images used by the transfer curve, at most.
        transfer_seen: Budget of one retraining: training images seen.
        transfer_rates: Shares of the recipe's rate that are tried for the retrained part.
        id_images: Evaluation images of the profile of intrinsic dimensions, at most (10,000 at
            most: memory grows with the square); 0: none.
        id_nulls: Whether the trained nulls have such a profile too.
        transfer_seeds: Networks at each cut, alike but for the seed.
        split_transfer: Whether the classes are divided at random, and layers transferred between
            networks that learned either half.
        probe_cuts: Cut points that linear read-outs are learned at; 0: none.
        probe_images: Training images that they learn from, and evaluation images, at most.
        probe_svm: Whether a linear SVM is learned beside the logistic regression.
        precision: Of the products while a null learns; what has learned runs in 32 bits, and
            so does all that the model does.
    """

    name: str
    gating: int
    drawn: bool
    circular: bool
    twins_each: bool
    seeds: int
    images_seen: int
    doublings: int
    rates: tuple[float, ...] = (0.005, 0.01, 0.02)
    cuts: int
    transfer_images: int
    transfer_seen: int
    transfer_rates: tuple[float, ...] = (1.0, 0.3, 0.1)
    id_images: int = 2_000
    id_nulls: bool = True
    transfer_seeds: int = 1
    split_transfer: bool = False
    probe_cuts: int = 99
    probe_images: int = 10_000
    probe_svm: bool = True
    precision: Precision = "float32"

    @model_serializer(mode="wrap")
    def _without_the_usual(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """What it says of itself; 32 bits go without saying, as before there was another."""
        found: dict[str, object] = dump(self)
        return {k: v for k, v in found.items() if (k, v) != ("precision", "float32")}


LEFT_OUT = {  # what a smaller value leaves out, in words; checks say it of their own fields
    "gating": "gating receptive fields (the largest {})",
    "drawn": "larger receptive fields, drawn",
    "circular": "the circular twin",
    "twins_each": "twins for every q",
    "seeds": "{} seeds of each null",
    "images_seen": "{:,} training images seen per fit",
    "doublings": "up to {} doublings of the budget",
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
            "PROFILE_UNKNOWN", f"the profile must be one of {known}, but is '{name}'. Name one."
        )
    base = PROFILES[name]
    if any(getattr(base, field) != value for field, value in changes.items()):
        changes["name"] = f"{name} (changed)"  # type: ignore[assignment]
    return base.model_copy(update=changes)
