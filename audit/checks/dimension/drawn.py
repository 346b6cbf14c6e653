"""One curve of dimensions from several networks that differ in their seed alone."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.checks.dimension.outcomes import Profiled, ProfilePoint
from audit.jobs.store import Outcome
from audit.stats.curve_shape import FEWEST, log_margin, shape_of


@dataclass(frozen=True)
class CurveOfDraws:
    """A curve, and what it is the mean of.

    Attributes:
        points: The input and every layer; geometric means whose intervals hold the spread of the
            networks, and mean numbers of components.
        in_blocks: (K, B) log dimensions on the same blocks of images, averaged over the networks.
        drawn: (S, K) log dimensions of each network; one row for a single network.
        kinds: Shape of each network's own curve, by the images alone; empty for a single network.
    """

    points: tuple[ProfilePoint, ...]
    in_blocks: NDArray[np.float64]
    drawn: NDArray[np.float64]
    kinds: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What the curve is the mean of; empty for a single network."""
        return f"mean of {len(self.drawn)} untrained networks" if len(self.drawn) > 1 else ""

    @property
    def shapes(self) -> str:
        """How many of the networks have which shape by themselves, in words."""
        counts = Counter(self.kinds).most_common()
        return ", ".join(f"{kind} in {n} of {len(self.kinds)} networks" for kind, n in counts)


def joined(outcomes: Sequence[Outcome]) -> CurveOfDraws:
    """The curve of one network, or the mean curve of several.

    Args:
        outcomes: Of jobs `id_profile` with the same cuts and images.
    """
    curves = [outcome.read(Profiled).points for outcome in outcomes]
    blocks = [outcome.arrays["in_blocks"] for outcome in outcomes]
    drawn = np.log([[point.value for point in points] for points in curves])  # (S, K)
    if len(outcomes) == 1:
        return CurveOfDraws(curves[0], blocks[0], drawn)
    mean = np.mean(blocks, axis=0)  # (K, B)
    points = tuple(
        one_of(same, mean[k], drawn[:, k]) for k, same in enumerate(zip(*curves, strict=True))
    )
    own = zip(curves, blocks, strict=True)
    return CurveOfDraws(points, mean, drawn, tuple(kind_of(*each) for each in own))


def one_of(
    same: Sequence[ProfilePoint], in_blocks: NDArray[np.float64], drawn: NDArray[np.float64]
) -> ProfilePoint:
    """One point from the same point of several networks; refused if one of them is."""
    n, images = min(p.n for p in same), same[0].n + same[0].duplicates
    common = {"n": n, "duplicates": images - n, "pca": float(np.mean([p.pca for p in same]))}
    reason = next((p.reason for p in same if p.reason), "")
    if reason:
        nothing = dict.fromkeys(("value", "low", "high"), math.nan)
        return same[0].model_copy(update=common | nothing | {"reason": reason})
    value, margin = math.exp(drawn.mean()), log_margin(in_blocks, drawn)
    ends = {"low": value * math.exp(-margin), "high": value * math.exp(margin)}
    return same[0].model_copy(update=common | {"value": value} | ends)


def kind_of(points: Sequence[ProfilePoint], in_blocks: NDArray[np.float64]) -> str:
    """The shape of one network's curve by the images alone; "unknown" if it has none."""
    known = [k for k, point in enumerate(points) if not point.reason]
    if points[0].reason or points[-1].reason or len(known) < FEWEST:
        return "unknown"
    depths = [points[k].depth for k in known]
    return shape_of([points[k].value for k in known], in_blocks[known], depths).kind
