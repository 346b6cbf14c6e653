"""Where a network is: what it is given goes there, what it gives comes back to the processor.

Images, labels and results stay on the processor; a network may be on another device. So no caller
needs to know where it is, but the one that put it there.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

PROCESSOR = torch.device("cpu")


def device_of(network: nn.Module) -> torch.device:
    """The device of a network's first parameter; the processor if it has none."""
    first = next(network.parameters(), None)
    return PROCESSOR if first is None else first.device


def rounding(network: nn.Module, precision: str) -> AbstractContextManager[Any]:
    """Where a network's products are of that precision: "float32" (all as it is) or "bfloat16"."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device_of(network).type, torch.bfloat16)


def moved(value: Any, device: torch.device) -> Any:
    """A tensor on a device, or a tuple of tensors; everything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    return tuple(moved(one, device) for one in value) if type(value) is tuple else value


def called(network: nn.Module, *inputs: Any) -> Any:
    """What a network gives for inputs that are on the processor; it stays where the network is."""
    device = device_of(network)
    return network(*(moved(value, device) for value in inputs))
