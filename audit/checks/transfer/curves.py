"""What both transfer experiments say with numbers: points of a curve, and effects.

An effect is a difference of two networks on the same images. Its variance has the images' part
(cluster-robust) and, from two seeds on, the seeds' part: tau^2 / S, where tau^2 is the variance
over seeds of the mean difference beyond what the images explain, pooled over the cuts.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.checks.transfer.outcomes import UNTRAINED, Retrained
from audit.evidence.setup import CutPoint
from audit.record import Measurement, Quantity, curve
from audit.reports.document import Cell, Role, Series
from audit.reports.text import interval, number
from audit.stats.effects import Effect, SeedNoise, Table, difference, seed_noise

ONE_SEED = "one seed: the interval holds the images' part of the variance only"


def point(
    what: Quantity,
    errors: Table,
    base: Table,
    groups: NDArray[np.int64],
    *,
    at: float,
    noise: SeedNoise,
    note: str = "",
) -> Measurement:
    """Accuracy of the networks of one kind at one cut, averaged over seeds."""
    lost, low, high = difference(errors, np.zeros_like(errors), groups, noise)
    return Measurement(
        **what.fields,
        value=1 - lost,
        unit="fraction",
        low=max(0.0, 1 - high),
        high=min(1.0, 1 - low),
        n=errors.shape[1],
        at=at,
        note=note,
        detail={"base_minus_this": float(errors.mean() - base.mean())},
    )


def effects(
    what: Quantity,
    cuts: Sequence[CutPoint],
    pairs: Mapping[str, tuple[Table, Table]],
    groups: NDArray[np.int64],
    missing: Mapping[str, str],
    *,
    independent: bool,
    remarks: Mapping[str, str] | None = None,
) -> list[Measurement]:
    """One effect at every cut, with intervals that hold for all cuts together.

    Args:
        what: The effect, without its cut.
        cuts: In order of depth.
        pairs: By cut: errors of the network that should be worse, and of the other.
        groups: (n,) near duplicates among the images.
        missing: Why a cut is not measured, by its name.
        independent: See `seed_noise`.
        remarks: What else to know of a measured effect, by the name of its cut.
    """
    usable = {k: pair for k, pair in pairs.items() if k not in missing}
    tables = [worse - better for worse, better in usable.values()]
    noise = seed_noise(tables, independent=independent)
    found = []
    for cut in cuts:
        reach = Effect(math.nan, math.nan, math.nan)
        note = missing.get(cut.name, "a network of this cut is missing")
        if cut.name in usable:
            worse, better = usable[cut.name]
            reach = difference(worse, better, groups, noise, len(cuts))
            told = (ONE_SEED if len(worse) == 1 else "", (remarks or {}).get(cut.name, ""))
            note = "; ".join(part for part in told if part)
        found.append(
            Measurement(
                **what.fields | {"of": cut.name},
                value=reach.value,
                unit="points",
                low=reach.low,
                high=reach.high,
                n=len(groups),
                note=note,
                at=cut.depth,
            )
        )
    return found


def not_cut(what: Quantity, why: str) -> Measurement:
    """An effect of a model that has no cut: no number, and why."""
    own = what.fields | {"of": "none"}
    return Measurement(**own, value=math.nan, unit="points", note=why)


def training_note(values: Retrained, seeds: int, mode: str) -> str:
    """How the networks of one kind at one cut were trained."""
    many = f", {seeds} seeds" if seeds > 1 else ""
    if seeds == 1 and mode == UNTRAINED:  # no effect is measured with it, whose note would say so
        many = f"; {ONE_SEED}"
    return f"{values.images} training images, {values.seen} seen, rate {values.rate:g}{many}"


def rows(measurements: Sequence[Measurement], base: str) -> tuple[dict[str, Cell], ...]:
    """The table behind the chart; `base` names the column of what each network lost."""
    return tuple(
        {
            "network": f"{m.quantity}.{m.of}" if m.of else m.quantity,
            "relative depth": None if m.at is None else round(m.at, 3),
            "value": number(m.value, m.unit),
            "95 % interval": interval(m.low, m.high, m.unit),
            base: number(m.detail["base_minus_this"], "points")
            if "base_minus_this" in m.detail
            else None,
            "n": m.n,
            "note": m.note,
        }
        for m in measurements
    )


def series(
    measurements: Sequence[Measurement], kinds: Mapping[str, tuple[str, Role]]
) -> tuple[Series, ...]:
    """One line a kind of network that was measured, by depth of the cut."""
    return tuple(
        curve(title, role, points)
        for kind, (title, role) in kinds.items()
        if (points := [m for m in measurements if m.quantity == kind and m.at is not None])
    )
