"""A network as a graph of operations, and what of it lies before and after a place in the graph.

A trace bakes in whether a module was training, so a network has two: one for each mode.
"""

import contextlib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
import torchvision
from timm.models._features_fx import get_notrace_functions, get_notrace_modules
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.feature_extraction import NodePathTracer

ROOT = "net."  # the network's name inside `Whole`
DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)


class Whole(nn.Module):
    """Calls a network with one argument, so that its optional arguments are not traced."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Pass through."""
        return self.net(x)


@dataclass(frozen=True)
class Trace:
    """The graph of one mode of a network.

    Attributes:
        root: Holds the network as `net`.
        nodes: Operations in order of execution.
        names: Name of each node: the path of its module, then the operation.
        dependent: Nodes whose value depends on the input.
    """

    root: nn.Module
    nodes: tuple[fx.Node, ...]
    names: tuple[str, ...]
    dependent: frozenset[fx.Node]

    def span(self, module: str) -> tuple[int, int] | None:
        """First and last position of a module's nodes; None if it is not in the graph."""
        found = [i for i, n in enumerate(self.names) if n == module or n.startswith(module + ".")]
        return (found[0], found[-1]) if found else None

    def live(self, position: int) -> tuple[fx.Node, ...]:
        """Input-dependent values made up to a position (inclusive) and used after it."""
        place = {node: i for i, node in enumerate(self.nodes)}
        return tuple(
            node
            for node in self.nodes[: position + 1]
            if node in self.dependent and any(place[user] > position for user in node.users)
        )

    def needed(self, nodes: Iterable[fx.Node]) -> list[fx.Node]:
        """Input-independent nodes that the given ones need, in order of execution."""
        seen: set[fx.Node] = set()
        queue = [node for node in nodes if node in self.dependent or node.op == "output"]
        while queue:
            for source in queue.pop().all_input_nodes:
                if source not in self.dependent and source not in seen:
                    seen.add(source)
                    queue.append(source)
        return [node for node in self.nodes if node in seen]

    def tensors(self, nodes: tuple[fx.Node, ...]) -> set[int]:
        """Identities of all parameters and buffers that the given nodes use."""
        used: set[int] = set()
        for node in (*self.needed(nodes), *(n for n in nodes if n in self.dependent)):
            if node.op == "call_module":
                module = self.root.get_submodule(str(node.target))
                used.update(id(t) for t in (*module.parameters(), *module.buffers()))
            elif node.op == "get_attr":
                used.add(id(_attribute(self.root, str(node.target))))
        return used

    def is_dropout(self, position: int) -> bool:
        """Whether the node drops values in training and does nothing else."""
        node = self.nodes[position]
        if node.op == "call_module":
            return isinstance(self.root.get_submodule(str(node.target)), DROPOUT)
        return node.target is torch.nn.functional.dropout

    def is_pool(self, position: int) -> bool:
        """Whether the node is a pooling layer with a window (not a global one)."""
        node = self.nodes[position]
        if node.op != "call_module":
            return False
        return isinstance(self.root.get_submodule(str(node.target)), nn.MaxPool2d | nn.AvgPool2d)


def _attribute(root: nn.Module, path: str) -> Any:
    value: Any = root
    for part in path.split("."):
        value = getattr(value, part)
    return value


@contextlib.contextmanager
def in_mode(network: nn.Module, training: bool) -> Iterator[None]:
    """Have all modules of a network in one mode; each gets its own back."""
    modes = {module: module.training for module in network.modules()}
    try:
        for module in modes:
            module.training = training
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def caches(network: nn.Module) -> list[tuple[nn.Module, str, dict[Any, Any]]]:
    """Plain dicts that modules hold, with their names.

    Some attention layers keep values there between calls. Such a value would be traced as a
    constant, and a traced one left behind would break the network.
    """
    return [
        (module, name, value)
        for module in network.modules()
        for name, value in vars(module).items()
        if type(value) is dict and not name.startswith("_")
    ]


def unique_names() -> Callable[[str, fx.Node], str]:
    """Names operations by the module that they stand in; a repeated one gets a number."""
    seen: dict[str, int] = {}

    def name(module: str, node: fx.Node) -> str:
        path = module if node.op == "call_module" else f"{module}.{node}".removeprefix(".")
        path = re.sub(r"(?<=.)_[0-9]+$", "", path)  # fx counts repeats over the whole network
        seen[path] = seen.get(path, -1) + 1
        return f"{path}_{seen[path]}" if seen[path] else path

    return name


def trace(network: nn.Module, training: bool) -> Trace:
    """Trace a network in one mode; its own mode stays as it is.

    While it runs no other thread may run a network: tracing replaces how modules are called.

    Raises:
        Exception: Of any type, if the architecture cannot be traced.
    """
    leaves = [c for _, c in inspect.getmembers(torchvision.ops, inspect.isclass)]
    leaves = [c for c in leaves if issubclass(c, nn.Module)]
    # Batch norm counts its batches while it runs: traced through, it would count the trace.
    leaves += [*get_notrace_modules(), nn.modules.batchnorm._BatchNorm]
    functions = cast(tuple[Callable[..., Any], ...], tuple(get_notrace_functions()))
    tracer = NodePathTracer(
        leaf_modules=leaves,
        autowrap_functions=functions,
        autowrap_modules=(math, torchvision.ops),
    )
    tracer._get_node_qualname = unique_names()  # torchvision's own takes quadratic time
    kept = caches(network)
    try:
        for module, name, cache in kept:
            rest = {k: v for k, v in cache.items() if not isinstance(v, Tensor)}
            module.__dict__[name] = rest
        root = Whole(network)
        with in_mode(network, training):
            nodes = tuple(tracer.trace(root).nodes)
    finally:
        for module, name, cache in kept:
            module.__dict__[name] = cache
    names = [str(tracer.node_to_qualname.get(node, node.name)) for node in nodes]
    names = [name.removeprefix(ROOT) for name in names]
    return Trace(root, nodes, tuple(names), dependent_nodes(nodes))


def dependent_nodes(nodes: Iterable[fx.Node]) -> frozenset[fx.Node]:
    """Those whose value depends on the input; in order of execution."""
    dependent: set[fx.Node] = set()
    for node in nodes:
        if node.op == "placeholder" or any(n in dependent for n in node.all_input_nodes):
            dependent.add(node)
    return frozenset(dependent)


class Measured(fx.Interpreter):
    """Runs a traced network and notes each value's shape and the work done so far."""

    def __init__(self, traced: Trace):
        super().__init__(fx.GraphModule(traced.root, traced.nodes[0].graph))
        self.counter = FlopCounterMode(display=False)
        self.shapes: dict[str, tuple[int, ...] | None] = {}
        self.work: list[int] = []

    def run_node(self, n: fx.Node) -> Any:
        """Run one operation."""
        value = super().run_node(n)
        self.shapes[n.name] = tuple(value.shape) if isinstance(value, Tensor) else None
        self.work.append(self.counter.get_total_flops() // 2)
        return value


def measure(traced: Trace, x: Tensor) -> tuple[dict[str, tuple[int, ...] | None], list[int]]:
    """Run a traced network once, in eval mode.

    Args:
        traced: From `trace(..., training=False)`.
        x: (N, C, H, W).

    Returns:
        The shape of each node's value by the node's name (None for what is no tensor), and the
        multiply-adds of all nodes up to and including each one.
    """
    runner = Measured(traced)
    with without_gradients(traced.root), runner.counter:
        runner.run(x)
    return runner.shapes, runner.work


@contextlib.contextmanager
def without_gradients(network: nn.Module) -> Iterator[None]:
    """Run without gradients; no parameter asks for one either, which torch's counter trips over."""
    with with_gradients(network, wanted=False), torch.no_grad():
        yield


@contextlib.contextmanager
def with_gradients(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Have all parameters ask for a gradient, or none; each does as before afterwards."""
    asking = {parameter: parameter.requires_grad for parameter in network.parameters()}
    try:
        for parameter in asking:
            parameter.requires_grad_(wanted)
        yield
    finally:
        for parameter, before in asking.items():
            parameter.requires_grad_(before)
