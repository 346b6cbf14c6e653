"""Values of weights that are no finite numbers, and layers of zeros, counted in little memory."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from audit.model.reading import Content
from audit.model.stored import ITEM_BYTES, Stored
from audit.model.weights import FLOATS

CHUNK = 2**22  # values that are read at a time


class Counted(NamedTuple):
    """What was found in weights.

    Attributes:
        not_finite: Number of NaN and infinite values of each entry that has any.
        zero: Names of entries of two axes or more without any other value.
    """

    not_finite: dict[str, int]
    zero: list[str]


def counted(content: Content, weights: Mapping[str, Stored]) -> Counted:
    """Read all floating-point values, a part at a time.

    Args:
        content: The file that holds them.
        weights: What is no weight, or is refused later, is left out.
    """
    found = Counted({}, [])
    for key, stored in weights.items():
        if not bytes_of(stored):
            continue
        wrong, empty = 0, True
        for values in _parts(content, stored):
            if not bool(torch.isfinite(values.sum())):  # finite values may have an infinite sum
                wrong += int((~torch.isfinite(values)).sum())
            empty = empty and not bool(values.any())
        if wrong:
            found.not_finite[key] = wrong
        elif empty and len(stored.shape) > 1:
            found.zero.append(key)
    return found


def bytes_of(stored: Stored) -> int:
    """Bytes of one tensor's values; 0 for what is no weight, or is refused later."""
    if stored.odd or stored.storage is None or stored.dtype not in FLOATS:
        return 0
    size = stored.numel * ITEM_BYTES[stored.dtype]
    return 0 if size > stored.storage.size else size  # declares more than there is


def _parts(content: Content, stored: Stored) -> Iterator[Tensor]:
    """The values of one tensor, in whatever order they lie in the file."""
    if stored.extent != stored.numel:  # with gaps between its values
        yield content.tensor(stored)
        return
    for start in range(0, stored.numel, CHUNK):
        n = min(CHUNK, stored.numel - start)
        part = replace(stored, shape=(n,), stride=(1,), offset=stored.offset + start)
        yield content.tensor(part)
