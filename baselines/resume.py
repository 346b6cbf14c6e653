"""A training that was stopped goes on where it was: what must be kept of it, as plain tensors.

A run is replayed: the steps that were done before the stop are counted and skipped, and behind the
last of them weights, momenta and random states are put back. What follows is then the same, bit by
bit, as if nothing had happened, on the processor with as many threads. (A GPU rounds as it likes,
and draws dropout anew.)
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]
TRUNK, COPY, BRANCH = "trunk.", "copy.", "branch."
WEIGHTS, MOMENTA = "weights.", "momenta."


class StateSaver(Protocol):
    """Keeps the state of one training; it decides how often."""

    def load(self) -> Tensors | None:
        """What was kept last."""
        ...

    def save(self, take: Callable[[], Tensors], *, last: bool = False) -> object:
        """Keep a copy of what `take` gives, or do nothing if the last time was not long ago."""
        ...


class Batches:
    """Indices of batch after batch; every image once per epoch, a fresh order each.

    Attributes:
        order: What is left of this epoch.
        generator: Draws the order.
    """

    def __init__(self, n: int, size: int, generator: torch.Generator):
        self.n, self.size, self.generator = n, size, generator
        self.order = torch.empty(0, dtype=torch.int64)

    def __next__(self) -> Tensor:
        while len(self.order) < self.size:
            drawn = torch.randperm(self.n, generator=self.generator)
            self.order = torch.cat([self.order, drawn])
        batch, self.order = self.order[: self.size], self.order[self.size :]
        return batch


class TrainingState:
    """Where a training is, and what it needs to go on from there.

    Attributes:
        network: That is trained.
        optimizer: Of it.
        batches: The order of images.
        steps: Done so far, those of branches counted.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        batches: Batches,
        keeper: StateSaver | None,
    ):
        self.network, self.optimizer, self.batches = network, optimizer, batches
        self.keeper, self.steps = keeper, 0
        self.finished: Tensors = {}  # the branches
        kept = keeper.load() if keeper else None
        self.kept = kept if kept is not None and fits(kept, network) else {}
        self.before = int(self.kept["steps"]) if self.kept else 0

    def skips(self, net: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """Whether the next step was done before the stop; behind the last one all is put back.

        Args:
            net: What the step is about: the network, or the copy of a branch.
            optimizer: Of it.
        """
        if self.steps >= self.before:
            return False
        self.steps += 1
        if self.steps == self.before:
            restore(self.network, self.optimizer, part(self.kept, TRUNK))
            if net is not self.network:
                restore(net, optimizer, part(self.kept, COPY))
            self.finished = {k: v for k, v in self.kept.items() if k.startswith(BRANCH)}
            self.batches.order = self.kept["order"]
            self.batches.generator.set_state(self.kept["generator"])
            torch.set_rng_state(self.kept["global"])
            self.kept = self.finished
        return True

    def stepped(self, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """A step is done."""
        self.steps += 1
        if self.keeper:
            self.keeper.save(lambda: self.state(net, optimizer))

    def branched(self, share: float, net: nn.Module) -> None:
        """The copy of a branch is finished, or was before the stop."""
        prefix = f"{BRANCH}{share:g}."
        known = part(self.kept, prefix)
        if known:
            net.load_state_dict(known, strict=False)
        elif self.keeper:
            self.finished |= named(distinct(net), prefix)

    def end(self) -> None:
        """The training is done; the weights are all that matters now."""
        if self.keeper and self.steps > self.before:
            self.keeper.save(lambda: self.state(self.network, None), last=True)

    def state(self, net: nn.Module, optimizer: torch.optim.Optimizer | None) -> Tensors:
        """All that decides what follows; without an optimiser, nothing does."""
        found = {
            "steps": torch.tensor(self.steps),
            "order": self.batches.order,
            "generator": self.batches.generator.get_state(),
            "global": torch.get_rng_state(),
        }
        own = snapshot(self.network, self.optimizer if optimizer else None)
        found |= named(own, TRUNK) | self.finished
        return found if net is self.network else found | named(snapshot(net, optimizer), COPY)


def distinct(net: nn.Module) -> Tensors:
    """Parameters and buffers by name, each once: parts of a network that is split share them."""
    found = {id(value): name for name, value in reversed(net.state_dict(keep_vars=True).items())}
    return {name: value for name, value in net.state_dict().items() if name in {*found.values()}}


def snapshot(net: nn.Module, optimizer: torch.optim.Optimizer | None) -> Tensors:
    """Weights, buffers and momenta by name."""
    state = optimizer.state_dict()["state"] if optimizer else {}
    momenta = {f"{place}.{name}": value for place in state for name, value in state[place].items()}
    return named(distinct(net), WEIGHTS) | named(
        {name: value for name, value in momenta.items() if isinstance(value, Tensor)}, MOMENTA
    )


def restore(net: nn.Module, optimizer: torch.optim.Optimizer, found: Tensors) -> None:
    """The inverse of `taken`; momenta take the strides of their parameters, as they had them."""
    net.load_state_dict(part(found, WEIGHTS), strict=False)  # each once is all of them
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.state.clear()
    for key, value in part(found, MOMENTA).items():
        place, _, name = key.partition(".")
        like = parameters[int(place)]
        fitting = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
        optimizer.state[like][name] = fitting


def fits(kept: Tensors, network: nn.Module) -> bool:
    """Whether what was kept is of a network with the same names and shapes."""
    own = {name: value.shape for name, value in distinct(network).items()}
    weights = {name: value.shape for name, value in part(kept, TRUNK + WEIGHTS).items()}
    return own == weights and {"steps", "order", "generator", "global"} <= set(kept)


def named(tensors: Tensors, prefix: str) -> Tensors:
    """The same under longer names."""
    return {prefix + name: value.detach() for name, value in tensors.items()}


def part(tensors: Tensors, prefix: str) -> Tensors:
    """Those under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
