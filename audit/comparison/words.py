"""Quantities and their changes in words."""

import math
from collections.abc import Mapping

from audit.comparison.change import EXACT_NOTE, Change
from audit.comparison.significance import LEVEL, more_than_noise
from audit.record import Measurement, Quantity, title_of
from audit.reports.document import Cell
from audit.reports.text import fixed, interval, number

QUANTITIES = {  # {} stands for the model
    "accuracy_gap.accuracy": "{}",
    "accuracy_gap.class_accuracy": "{}",
    "accuracy_gap.gain": "over {}",
    "accuracy_gap.balanced_gain": "over {}, classes weighed equally",
    "accuracy_gap.twin_minus_null": "sighted twin less the strongest null",
    "accuracy_gap.null_wrong": "accuracy where the strongest null is wrong",
    "accuracy_gap.null_right": "accuracy where the strongest null is right",
    "intrinsic_dimension.last_layer": "dimension, {}",
    "intrinsic_dimension.untrained": "dimension of the untrained twin, {}",
    "intrinsic_dimension.class": "dimension within {}",
    "intrinsic_dimension.log_ratio": "log ratio to the untrained twin, {}",
    "position.effect": "accuracy that coordinates add",
    "position.relocation": "cost of relocation, {}",
    "split_transfer.base": "baseB from scratch",
    "split_transfer.bnb": "B behind frozen layers of its own up to {}",
    "split_transfer.bnb_plus": "B behind its own layers up to {}, trained on",
    "split_transfer.anb": "B behind frozen layers of A up to {}",
    "split_transfer.anb_plus": "B behind layers of A up to {}, trained on",
    "split_transfer.untrained": "B behind untrained layers up to {}",
    "split_transfer.coadaptation": "co-adaptation of B at {}",
    "split_transfer.specialisation": "specialisation of A at {}",
    "split_transfer.gain": "gain of transferring up to {}",
    "transfer.base": "the whole model",
    "transfer.coadaptation": "co-adaptation at {}",
    "transfer.frozen": "layers before {} frozen",
    "transfer.tuned": "layers before {} trained on",
    "transfer.untrained": "untrained layers before {}",
}

NOISE = {
    "yes": "more than noise",
    "no": "no more than noise may explain",
    "cannot tell": "it has no interval, so whether it is noise cannot be told",
}


def quantity(m: Quantity) -> str:
    """A measurement in the reader's words; one that is not known here by its fields."""
    kind, title = f"{m.check}.{m.quantity}", title_of(m.of) if m.of else ""
    if kind in QUANTITIES:
        return QUANTITIES[kind].format(title)
    return ", ".join(part for part in (m.quantity.replace("_", " "), title, m.layer) if part)


def noise_words(change: Change) -> str:
    """Whether a change is more than noise, as the end of a sentence."""
    return NOISE[more_than_noise(change)]


def difference_unit(unit: str) -> str:
    """Unit of a difference: fractions differ by points."""
    return "points" if unit == "fraction" else unit


def row(change: Change, adjusted: Mapping[str, float] | None = None) -> dict[str, Cell]:
    """One line of a table of changes.

    Args:
        change: To be shown.
        adjusted: p-values after Holm, for a table that has that column.
    """
    unit = difference_unit(change.unit)
    cells: dict[str, Cell] = {
        "quantity": quantity(change),
        "A": number(change.before, change.unit),
        "B": number(change.after, change.unit),
        "change": signed(change.value, unit),
        "95 % interval": interval(change.low, change.high, unit),
        "n": f"{change.n:,}" if change.n else "–",
        "more than noise": more_than_noise(change),
    }
    if adjusted is not None:
        cells["after Holm"] = (
            ("yes" if adjusted[change.name] <= LEVEL else "no") if change.name in adjusted else "–"
        )
    return cells | {"how": how(change)}


def how(change: Change) -> str:
    """How a change was taken, in a word; why it has no interval where there is none."""
    if not change.low <= change.high:
        return change.note
    if change.paired:
        return "paired"
    return "counted" if change.note == EXACT_NOTE else "unpaired"


def signed(value: float, unit: str) -> str:
    """A difference with its sign: "+1.2 points"."""
    text = number(value, unit)
    return f"+{text}" if value > 0 and any(digit in text for digit in "123456789∞") else text


def with_interval(m: Measurement) -> str:
    """A value and, in brackets, its interval; of a dimension without the word."""
    if math.isnan(m.value):
        return number(m.value)
    if m.unit == "dimensions":
        return f"{fixed(m.value, 1)} ({fixed(m.low, 1)} to {fixed(m.high, 1)})"
    return f"{number(m.value, m.unit)} ({interval(m.low, m.high, m.unit)})"
