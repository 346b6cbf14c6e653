"""Controls of both transfer experiments: networks that must return to what they began from.

BnB+ must end within 2 points of its base at its cut, and the classifier learned anew within 1,
which counts for every cut. One that ends lower shows that the budget of retraining is too small:
then no effect is measured. One that is shown to end higher shows that the base was not trained to
its end: then BnB+ minus BnB holds what longer training gains, and is no co-adaptation. A network
that ends a little above its base, within the same points, is as good as back.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.evidence.setup import CutPoint
from audit.stats.effects import Effect, Table, difference, seed_noise

HEAD_RETURNS, TUNED_RETURNS = 0.01, 0.02  # how far from its base a control may end


def failed_controls(
    cuts: Sequence[CutPoint],
    frozen: Mapping[str, Table],
    tuned: Mapping[str, Table],
    base: Table,
    origin: str,
    missing: Mapping[str, str],
) -> dict[str, str]:
    """Why a cut cannot be trusted, by its name; absent if its controls come back.

    Args:
        cuts: All of them.
        frozen: Errors of BnB by cut.
        tuned: Of BnB+.
        base: Errors of what they should return to.
        origin: What that is, in words: "the model".
        missing: Why a cut was not measured, by its name.
    """
    small, trouble = "the retraining budget is too small to tell", {}
    for cut in (c for c in cuts if c.name not in missing):
        lost = float(tuned[cut.name].mean() - base.mean())
        if lost > TUNED_RETURNS:
            trouble[cut.name] = (
                f"BnB+ at {cut.name} ends {100 * lost:.1f} points below {origin} (2 are allowed): "
                + small
            )
    head = head_of(cuts)
    reason = (
        "there is no cut before the classifier, so that no control shows whether it can be told"
    )
    if head is not None and head in missing:
        reason = f"the control before the classifier is missing: {missing[head]}"
    elif head is not None:
        lost = float(frozen[head].mean() - base.mean())
        if lost <= HEAD_RETURNS:
            return trouble
        reason = (
            f"learning only the classifier anew ends {100 * lost:.1f} points below {origin} "
            f"(1 is allowed): {small}"
        )
    return {cut.name: reason for cut in cuts if cut.name not in missing}


def still_learning(
    cuts: Sequence[CutPoint],
    frozen: Mapping[str, Table],
    tuned: Mapping[str, Table],
    base: Table,
    origin: str,
    groups: NDArray[np.int64] | None,
    *,
    independent: bool,
) -> dict[str, str]:
    """Why co-adaptation at a cut cannot be told from longer training, by its name.

    Args:
        cuts: All of them.
        frozen: Errors of BnB by cut, as far as there are.
        tuned: Of BnB+.
        base: Errors of what they began from.
        origin: What that is, in words: "the model".
        groups: (n,) of the images, or None.
        independent: See `audit.curves.seed_noise`.
    """
    head = head_of(cuts)
    if head is not None and head in frozen:
        (effect,) = gained({head: frozen[head]}, base, groups, independent=independent).values()
        if effect.low > HEAD_RETURNS:
            what = "learning only the classifier anew"
            reason = above(what, effect, origin, "1 is allowed")
            return {cut.name: reason for cut in cuts}
    found = gained(tuned, base, groups, independent=independent)
    return {
        name: above(f"BnB+ at {name}", effect, origin, "2 are allowed")
        for name, effect in found.items()
        if effect.low > TUNED_RETURNS
    }


def gained(
    tables: Mapping[str, Table],
    base: Table,
    groups: NDArray[np.int64] | None,
    *,
    independent: bool,
) -> dict[str, Effect]:
    """How far above its base each network ends, a fraction."""
    noise = seed_noise([table - base for table in tables.values()], independent=independent)
    lost = {name: difference(table, base, groups, noise) for name, table in tables.items()}
    return {name: Effect(-e.value, -e.high, -e.low) for name, e in lost.items()}


def above(what: str, effect: Effect, origin: str, allowed: str) -> str:
    """That a network ends above its base, and what follows."""
    value, low, high = (f"{100 * number:.1f}" for number in effect)
    return (
        f"{what} ends {value} points ({low} to {high}) above {origin} ({allowed}): {origin} was "
        "not trained to its end, so that co-adaptation cannot be told from longer training"
    )


def head_of(cuts: Sequence[CutPoint]) -> str | None:
    """The cut with only the classifier behind it."""
    return next((cut.name for cut in cuts if cut.head), None)
