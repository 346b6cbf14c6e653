"""Arithmetic of drawing: scales, ticks, how wide a text is, labels that do not overlap."""

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from audit.reports.text import cell, visible

_NARROW = frozenset("iljI.,:;'|!()[]{}/\\ tfr")
_BROAD = frozenset("mwMW@%—−+=<>∞")
_HUGE = 1e300  # differences of larger numbers would overflow


def finite(values: Iterable[float]) -> list[float]:
    """Keep what can be placed on an axis."""
    return [min(max(v, -_HUGE), _HUGE) for v in values if math.isfinite(v)]


def ticks(values: Sequence[float], most: int = 6) -> list[float]:
    """Round numbers whose first and last enclose all values.

    Args:
        values: Finite, in any order. Equal values get room on both sides; none gives no ticks.
        most: About how many ticks.
    """
    if not values:
        return []
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        room = abs(low) * 0.1 or 0.5
        low, high = low - room, high + room
    step = _round_step((high - low) / max(1, most - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1, 2, 5) if m * power >= rough * 0.999), 10 * power)


def tick_labels(positions: Sequence[float], percent: bool, points: bool = False) -> list[str]:
    """Print ticks with as many decimals as their distance needs; points have no sign."""
    factor, sign = (100.0, " %") if percent else (100.0 if points else 1.0, "")
    if not positions:
        return []
    step = (positions[1] - positions[0]) * factor if len(positions) > 1 else 1.0
    if step < 1e-6 or max(map(abs, positions)) * factor >= 1e7:
        return [cell(p * factor) + sign for p in positions]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    texts = [f"{p * factor:,.{decimals}f}" for p in positions]
    return [("0" if float(t.replace(",", "")) == 0 else t.replace("-", "−")) + sign for t in texts]


def scale(domain: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    """Map the range of `domain` linearly to start .. end, cutting off what lies outside."""
    low, high = (min(domain), max(domain)) if domain else (0.0, 1.0)

    def place(value: float) -> float:
        share = (min(max(value, low), high) - low) / ((high - low) or 1.0)
        return start + share * (end - start)

    return place


def text_width(text: str, size: float) -> float:
    """About how wide a text is, in the unit of `size`, on the safe side for common fonts."""
    return sum(_em(character) for character in text) * size


def _em(character: str) -> float:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0.0
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 1.1
    if character in _NARROW:
        return 0.37
    if character in _BROAD:
        return 0.95
    return 0.74 if character.isupper() else 0.62


def fit(text: str, width: float, size: float) -> str:
    """Make a text visible and cut it so that it is no wider than `width`."""
    shown = visible(text)
    if text_width(shown, size) <= width + 0.01:
        return shown
    limit = min(len(shown), int(width / (0.37 * size)))
    while limit > 1 and text_width(visible(shown, limit), size) > width:
        limit -= 1
    return visible(shown, max(2, limit))


def wrap(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines no wider than `width`; a longer word is cut."""
    lines: list[str] = []
    for word in visible(text, 600).split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(fit(word, width, size))
    return lines


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart until no two are nearer than `gap`, each as little as need be.

    Args:
        wanted: Positions in any order.
        gap: Least distance.
        low: No position below this, if there is room.
        high: None above this.

    Returns:
        New positions, in the order of `wanted`.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[int]] = []  # neighbours that touch, moved as one block
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(min(max(wanted[index], low), high))
        while len(groups) > 1 and _touch(groups, centres, gap):
            _merge(groups, centres, wanted, gap, (low, high))
    moved = [0.0] * len(wanted)
    for group, centre in zip(groups, centres, strict=True):
        for rank, index in enumerate(group):
            moved[index] = centre + (rank - (len(group) - 1) / 2) * gap
    return moved


def _touch(groups: list[list[int]], centres: list[float], gap: float) -> bool:
    needed = (len(groups[-1]) + len(groups[-2])) / 2 * gap
    return centres[-1] - centres[-2] < needed - 1e-9


def _merge(
    groups: list[list[int]],
    centres: list[float],
    wanted: Sequence[float],
    gap: float,
    bounds: tuple[float, float],
) -> None:
    """Join the last two blocks around the mean of what they want, inside the bounds."""
    last = groups.pop()
    groups[-1] += last
    centres.pop()
    half = (len(groups[-1]) - 1) / 2 * gap
    centre = sum(wanted[i] for i in groups[-1]) / len(groups[-1])
    centres[-1] = max(min(centre, bounds[1] - half), bounds[0] + half)
