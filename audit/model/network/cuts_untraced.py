"""Cuts of a network that cannot be traced, found by running it.

A cut is the end of a module. What lies before is what the module's output depends on; what lies
after is what the logits still depend on when that output is held fixed. Both are asked of autograd.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from audit.model.network.cuts import (
    Cut,
    CutKind,
    assign,
    block_modules,
    classifier_name,
    distinct,
    feature_modules,
    frozen_modules,
)
from audit.model.network.trace import in_mode, with_gradients, without_gradients


def untraced_cuts(network: nn.Module, shape: tuple[int, int, int]) -> tuple[Cut, ...]:
    """Find cuts at the ends of stages, or of blocks where stages are not named.

    Args:
        network: A timm model; its mode stays as it is.
        shape: (C, H, W) of its input.

    Returns:
        In order of execution; the first is called the stem if it is no block.
    """
    like = next(network.parameters())
    x = torch.zeros(1, *shape, dtype=like.dtype, device=like.device)
    with in_mode(network, training=False), with_gradients(network, wanted=True):
        return _cuts(network, x)


def _cuts(network: nn.Module, x: Tensor) -> tuple[Cut, ...]:
    classifier = classifier_name(network)
    top = classifier.split(".")[0]  # the head may be a list of layers itself
    names = feature_modules(network) or block_modules(network)
    names = [name for name in names if name.split(".")[0] != top]
    work = work_of(network, [*names, classifier], x)
    total = work[""].end
    ordered = sorted((n for n in names if n in work), key=lambda n: work[n].order)
    cuts = []
    for i, name in enumerate([*ordered, classifier]):
        kind: CutKind = "head" if name == classifier else "stage"
        if i == 0 < len(ordered) and not (work[name].start and work[name].end > work[name].start):
            kind = "stem"  # the first "stage" is the stem, or the layer that ends it
        before, after = _sides(network, name, kind == "head", x)
        sides = assign(network, before, after)
        cuts.append(
            Cut(
                name=name if kind == "stage" else kind,
                depth=(work[name].start if kind == "head" else work[name].end) / total,
                kind=kind,
                traced=False,
                **sides._asdict(),
                modules=frozen_modules(network, set(sides.before), ()),
                module=name,
            )
        )
    return tuple(distinct(cuts))


class ModuleWork(NamedTuple):
    """When a module ended, and the operations counted at its start and end."""

    order: int
    start: int
    end: int


def work_of(network: nn.Module, names: Sequence[str], x: Tensor) -> dict[str, ModuleWork]:
    """Run the network once and count; modules that did not run are left out.

    Args:
        network: A network in eval mode.
        names: Names of the modules that are watched.
        x: (N, C, H, W).

    Returns:
        By name, and under "" the whole network.
    """
    work: dict[str, ModuleWork] = {}
    starts: dict[str, int] = {}
    counter = FlopCounterMode(display=False)

    def watch(name: str) -> None:
        def begin(*_: Any) -> None:
            starts[name] = counter.get_total_flops()

        def end(*_: Any) -> None:
            work[name] = ModuleWork(len(work), starts[name], counter.get_total_flops())

        module = network.get_submodule(name)
        hooks.enter_context(module.register_forward_pre_hook(begin))
        hooks.enter_context(module.register_forward_hook(end))

    with ExitStack() as hooks, without_gradients(network), counter:
        for name in names:
            watch(name)
        network(x)
    work[""] = ModuleWork(len(work), 0, max(counter.get_total_flops(), 1))
    return work


def _sides(network: nn.Module, name: str, at_start: bool, x: Tensor) -> tuple[set[int], set[int]]:
    """Identities of the parameters before and after the end (or start) of a module."""
    caught: list[Tensor] = []

    def hold(value: Any) -> Any:
        """Catch the tensors of a value, and pass on copies without a history."""
        if isinstance(value, Tensor):
            caught.append(value)
            return value.detach().clone()
        if isinstance(value, tuple | list):
            return type(value)(hold(v) for v in value)
        return value

    module = network.get_submodule(name)
    hook = (
        module.register_forward_pre_hook(lambda _, args: hold(args))
        if at_start
        else module.register_forward_hook(lambda _, __, value: hold(value))
    )
    parameters = list(network.parameters())
    with hook:
        logits = network(x)
    sides = []
    for values in (caught, [logits]):
        tops = [v.sum() for v in values if v.requires_grad]
        grads = _grads(tops, parameters)
        sides.append({id(p) for p, g in zip(parameters, grads, strict=False) if g is not None})
    return sides[0], sides[1]


def _grads(tops: list[Tensor], parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    if not tops:
        return ()
    return torch.autograd.grad(tops, parameters, retain_graph=True, allow_unused=True)
