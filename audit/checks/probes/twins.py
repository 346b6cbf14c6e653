"""The untrained control of the read-outs: errors of several networks, and how they vary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.evidence.setup import CutPoint
from audit.stats.effects import SeedNoise, Table, seed_noise

QUIET = seed_noise([], independent=True)
ONE_DRAW = "one untrained network: the interval leaves out how much its draw matters"
Key = tuple[str, ...]  # network, cut, loss


@dataclass(frozen=True)
class Twins:
    """Untrained networks of one architecture, which differ in their seed alone.

    Attributes:
        names: What they are called among the networks.
        tables: Errors (S, n) by cut; a cut that one of them lacks is left out.
        notes: What their read-outs are, by cut.
        of_accuracy: Run-to-run variation of their accuracy, pooled over the cuts.
        of_gain: Run-to-run variation of what the model gains over them, pooled over the cuts.
    """

    names: tuple[str, ...]
    tables: dict[str, Table]
    notes: dict[str, str]
    of_accuracy: SeedNoise
    of_gain: SeedNoise

    @property
    def words(self) -> str:
        """How many there are."""
        return said_of(len(self.names))


def said_of(networks: int) -> str:
    """How many untrained networks there are, and what follows for the interval."""
    return f"mean of {networks} untrained networks" if networks > 1 else ONE_DRAW


def twins_of(
    names: Sequence[str],
    cuts: Sequence[CutPoint],
    errors: Mapping[Key, NDArray[np.float64]],
    notes: Mapping[Key, str],
) -> Twins:
    """Put the read-outs of untrained networks together.

    One network gives the features of all cuts, so the cuts do not vary independently: all of them
    together have one degree of freedom less than there are networks.

    Args:
        names: What the networks are called.
        cuts: Where they are read out.
        errors: Errors (n,) of each read-out.
        notes: What each read-out is.
    """
    tables, gains, told = {}, [], {}
    for cut in cuts:
        keys = [(name, cut.name, "logistic") for name in names]
        if all(key in errors for key in keys):
            tables[cut.name] = np.stack([errors[key] for key in keys])
            each = dict.fromkeys(notes[key] for key in keys)
            told[cut.name] = "; ".join([*each, said_of(len(names))])
            own = errors.get(("subject", cut.name, "logistic"))
            gains += [] if own is None else [tables[cut.name] - own]
    of_accuracy = seed_noise([*tables.values()], independent=False)
    of_gain = seed_noise(gains, independent=False)
    return Twins(tuple(names), tables, told, of_accuracy, of_gain)
