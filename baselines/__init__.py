"""Null hypotheses: deliberately limited models, and the controls that keep them honest.

Adding one is one record in `NULLS`: the ladder, the headline, the policy, the plan and the report
read what they must know of it there. A leaf: it knows torch, timm and scikit-learn, and nothing of
audits; this file loads none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Features = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

QS = (5, 9, 17, 33)  # receptive fields, in pixels of the null's input
SCALES = {1: "", 2: "half", 4: "quarter", 8: "eighth"}  # by what images are reduced, and its name


@dataclass(frozen=True)
class NullHypothesis:
    """One limited model, or a control that is not limited.

    Attributes:
        kind: Name that machines read ("bagnet"); a network's ends in its q ("bagnet-9").
        title: Name that people read; `{q}` stands for the receptive field in pixels.
        blind_to: What it cannot use, as a noun phrase.
        sentence: What it does, as the end of "a model that …".
        model: How it is made: "linear" is a logistic regression on `features`, "ridge" a
            `baselines.patch_ridge.PatchRidge` for each receptive field, solved in closed form,
            "network" a `baselines.patch_net.PatchNet` of this kind for each receptive field,
            "stack" a logistic regression on the outputs of all other nulls.
        cost: Of training, per image seen (or per training image of a linear model), in units of a
            step of BagNet.
        vote_cost: Of evaluating one image, in the same unit, as a multiple of `cost`.
        role: "null", or "control" for what separates blindness from recipe and budget.
        features: Imports and returns the function from images (N, C, H, W) uint8 to features (N, D)
            float32; only for "linear".
        drawn: Whether receptive fields too large to gate are trained, too, to be drawn.
        contains: Kinds that it can do at least as well as at the same receptive field: one that
            falls short of these was not trained properly. Its own kind stands for smaller fields.
            None for closed forms: they are exact, whatever they reach.
    """

    kind: str
    title: str
    blind_to: str
    sentence: str
    model: Literal["linear", "ridge", "network", "stack"]
    cost: float = 1.0
    vote_cost: float = 0.8
    role: Literal["null", "control"] = "null"
    features: "Callable[[], Features] | None" = None
    drawn: bool = False
    contains: tuple[str, ...] = ()

    @property
    def local(self) -> bool:
        """Whether there is one for each receptive field."""
        return self.model in ("ridge", "network")

    def name(self, q: int | None = None, scale: int = 1) -> str:
        """Name of the null with a receptive field of q pixels ("bagnet-9", "bagnet-9-half").

        Args:
            q: In pixels of what it sees; None where the notion does not apply.
            scale: By what the images are reduced for it.
        """
        return "-".join(str(part) for part in (self.kind, q, SCALES[scale]) if part)

    def titled(self, q: int | None = None, scale: int = 1) -> str:
        """Name that people read ("BagNet-9 at half size")."""
        return self.title.format(q=q) + (f" at {SCALES[scale]} size" if scale > 1 else "")

    def said(self, text: str, q: int | None = None, scale: int = 1) -> str:
        """`blind_to` or `sentence`, with the receptive field in pixels of the model's input."""
        return text.format(q=None if q is None else q * scale)


def _prior() -> "Features":
    from audit.baselines.trivial import nothing

    return nothing


def _colour() -> "Features":
    from audit.baselines.trivial import colour

    return colour


def _moments() -> "Features":
    from audit.baselines.trivial import moments

    return moments


def _statistics() -> "Features":
    from audit.baselines.trivial import statistics

    return statistics


def _pixels() -> "Features":
    from audit.baselines.trivial import pixels

    return pixels


NULLS: tuple[NullHypothesis, ...] = (
    NullHypothesis(
        kind="prior",
        title="prior",
        blind_to="the image",
        sentence="guesses by class frequency, without looking",
        model="linear",
        cost=0.01,
        features=_prior,
    ),
    NullHypothesis(
        kind="colour",
        title="colour",
        blind_to="all arrangement of colours",
        sentence="sees only how often each colour occurs",
        model="linear",
        cost=0.7,
        features=_colour,
        contains=("prior",),
    ),
    NullHypothesis(
        kind="moments",
        title="moments",
        blind_to="all but where brightness lies",
        sentence="sees only where brightness lies",
        model="linear",
        cost=0.2,
        features=_moments,
    ),
    NullHypothesis(
        kind="statistics",
        title="local statistics",
        blind_to="all but how much pixels near each other differ, over the whole image",
        sentence="sees only how much pixels near each other differ",
        model="linear",
        features=_statistics,
        contains=("prior",),
    ),
    NullHypothesis(
        kind="pixels",
        title="pixels",
        blind_to="anything that is not the same pixel in every image: it has no invariance",
        sentence="compares small copies of the images pixel by pixel",
        model="linear",
        features=_pixels,
    ),
    NullHypothesis(
        kind="patches",
        title="closed-form patches-{q}",
        blind_to="any arrangement beyond {q} x {q} pixels",
        sentence="adds up fixed responses to {q}×{q}-pixel patches",
        model="ridge",
    ),
    NullHypothesis(
        kind="cells",
        title="closed-form patches-{q} by cell",
        blind_to="any arrangement beyond {q} x {q} pixels, but told which part of the image each "
        "patch is in",
        sentence="adds up fixed responses to {q}×{q}-pixel patches in each part of the image",
        model="ridge",
    ),
    NullHypothesis(
        kind="bagnet",
        title="BagNet-{q}",
        blind_to="any arrangement beyond {q} x {q} pixels",
        sentence="sees only {q}×{q}-pixel patches",
        model="network",
        vote_cost=1.6,  # by mirrored patches, too
        drawn=True,
        contains=("prior", "colour", "bagnet"),
    ),
    NullHypothesis(
        kind="coordconv",
        title="CoordConv-{q}",
        blind_to="any arrangement beyond {q} x {q} pixels, but told where each patch is",
        sentence="sees only {q}×{q}-pixel patches and is told where each lies",
        model="network",
        cost=1.4,
        contains=("prior", "colour", "circular"),
    ),
    NullHypothesis(
        kind="circular",
        title="circular twin-{q}",
        blind_to="any arrangement beyond {q} x {q} pixels, and position",
        sentence="sees only {q}×{q}-pixel patches of an image without borders",
        model="network",
        cost=1.3,
        role="control",
        contains=("prior", "colour"),
    ),
    NullHypothesis(
        kind="sighted",
        title="sighted twin-{q}",
        blind_to="nothing (control: same recipe and size, sees the whole image)",
        sentence="sees the whole image",
        model="network",
        cost=1.1,
        vote_cost=0.6,
        role="control",
        contains=("prior", "colour", "bagnet"),
    ),
    NullHypothesis(
        kind="stack",
        title="stack of nulls",
        blind_to="what all the nulls together are blind to",
        sentence="combines all the models that cannot see objects",
        model="stack",
    ),
)


def window_side(q: int) -> int:
    """Side of the windows that a network learns from where images are large, in pixels.

    Twice the receptive field and more, so that a step has many patches, and covered exactly.
    """
    return 65 if q <= 17 else 97  # 33 of 65 pixels would leave nine patches a side


def null_kind(kind: str) -> NullHypothesis | None:
    """The record of a kind; None if there is no such kind."""
    return next((null for null in NULLS if null.kind == kind), None)


def read_name(name: str) -> tuple[NullHypothesis | None, int | None, int]:
    """The record, the receptive field and the scale of a null by its name ("bagnet-9-half")."""
    kind, *rest = name.split("-")
    found, (q, scale) = null_kind(kind), (*rest, "", "")[:2]
    known = {word: number for number, word in SCALES.items()}
    if found is None or found.local != q.isdecimal() or scale not in known or len(rest) > 2:
        return None, None, 1
    return found, int(q) if q else None, known[scale]


def is_linear(kind: str) -> bool:
    """Whether a kind is a linear model of a few numbers per image, without a seed."""
    found = null_kind(kind)
    return found is not None and found.model == "linear"


def is_ridge(kind: str) -> bool:
    """Whether a kind is solved in closed form, without a seed."""
    found = null_kind(kind)
    return found is not None and found.model == "ridge"


def local_names(model: str) -> tuple[str, ...]:
    """Names of all "network" or "ridge" nulls and controls that an audit may have."""
    own = [null for null in NULLS if null.model == model]
    return tuple(null.name(q, scale) for null in own for q in QS for scale in SCALES)


def all_names() -> tuple[str, ...]:
    """Names of all nulls and controls that an audit may have."""
    single = (null.kind for null in NULLS if not null.local)
    return (*single, *local_names("ridge"), *local_names("network"))
