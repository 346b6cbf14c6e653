"""A graph for inputs of one size: what follows from the input's shape alone becomes a constant.

Many networks carry their grid along: the height and width of the map, tables of positions made for
them. In a graph these hang on the input, so that they would have to cross every cut beside the
features. For one size of input they are always the same.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from audit.model.network.trace import Trace, dependent_nodes

BATCHES = (2, 3)  # what is equal for both does not depend on the number of images
Value = int | float | bool | tuple[Any, ...] | torch.dtype


class Propagated(nn.Module):
    """Runs a graph without values and notes what its nodes give.

    Args:
        traced: Whose graph it is.
    """

    def __init__(self, traced: Trace):
        super().__init__()
        self.graph = fx.GraphModule(traced.root, traced.nodes[0].graph)

    def forward(self, x: Tensor) -> dict[str, Any]:
        """By the node's name; shapes stand for tensors."""
        found: dict[str, Any] = {}

        class Noting(fx.Interpreter):
            def run_node(self, n: fx.Node) -> Any:
                given = self.fetch_args_kwargs_from_env(n)
                args, kwargs = (fx.node.map_aggregate(part, nowhere) for part in given)
                found[n.name] = getattr(self, n.op)(n.target, args, kwargs)
                return found[n.name]

        Noting(self.graph).run(x)
        return found


def nowhere(value: Any) -> Any:
    """The meta device for a device; everything else as it is."""
    return torch.device("meta") if isinstance(value, torch.device) else value


def propagated(traced: Trace, shape: tuple[int, int, int], images: int) -> dict[str, Any]:
    """What every node gives for so many images, on the meta device; nothing real is touched.

    Raises:
        Exception: Of any type, where the network does not run without values.
    """
    runner = Propagated(traced)
    states = {**dict(runner.named_parameters()), **dict(runner.named_buffers())}
    empty = {name: torch.empty_like(value, device="meta") for name, value in states.items()}
    like = next(traced.root.parameters())
    x = torch.empty(images, *shape, dtype=like.dtype, device="meta")
    with torch.no_grad(), torch.device("meta"):
        found: dict[str, Any] = functional_call(runner, empty, (x,))
    return found


def for_size(traced: Trace, shape: tuple[int, int, int]) -> Trace:
    """The same graph, with constants for what inputs of this shape (C, H, W) determine.

    Raises:
        Exception: Of any type, where the network does not run without values.
    """
    few, more = (propagated(traced, shape, images) for images in BATCHES)
    constants: dict[fx.Node, Any] = {}
    for node in traced.nodes:
        if node not in traced.dependent or node.op in ("placeholder", "output"):
            continue
        if node.target is getattr and node.args[1] == "device":
            constants[node] = next(traced.root.parameters()).device
        elif is_plain(few[node.name]) and few[node.name] == more[node.name]:
            constants[node] = few[node.name]
    for node in traced.nodes:
        node.args = fx.node.map_arg(node.args, lambda n: constants.get(n, n))
        node.kwargs = fx.node.map_arg(node.kwargs, lambda n: constants.get(n, n))
    erase(traced.nodes, few)
    names = dict(zip(traced.nodes, traced.names, strict=True))
    names |= count_again([n for n in traced.nodes if not n._erased], names, (few, more))
    erase(traced.nodes, few)
    nodes = tuple(traced.nodes[0].graph.nodes)
    return Trace(traced.root, nodes, tuple(names[n] for n in nodes), dependent_nodes(nodes))


def count_again(
    nodes: Iterable[fx.Node], names: dict[fx.Node, str], values: tuple[dict[str, Any], ...]
) -> dict[fx.Node, str]:
    """Ask a tensor at hand for the number of images, instead of one before a cut.

    Args:
        nodes: Of the graph, which is changed.
        names: Of all nodes.
        values: Of all nodes, for each of BATCHES.

    Returns:
        Names of the new nodes.
    """
    added: dict[fx.Node, str] = {}
    for node in nodes:
        found = tuple(value[node.name] for value in values)
        if not is_plain(found) or found != BATCHES:
            continue
        for user in list(node.users):
            sources = (n for n in user.all_input_nodes if leads(n, values))
            source = next(sources, None)
            if source is not None and user.op != "output":
                with node.graph.inserting_before(user):
                    count = node.graph.call_method("size", (source, 0))
                user.replace_input_with(node, count)
                added[count] = f"{names[user]}.images"
    return added


def leads(node: fx.Node, values: tuple[dict[str, Any], ...]) -> bool:
    """Whether a node gives a tensor with the images along its first axis."""
    found = [value.get(node.name) for value in values]
    return all(
        isinstance(value, Tensor) and value.dim() > 0 and len(value) == images
        for value, images in zip(found, BATCHES, strict=True)
    )


def is_plain(value: object) -> bool:
    """Whether a value is made of numbers alone, or is a type of numbers."""
    if isinstance(value, tuple | list):
        return all(is_plain(item) for item in value)
    return isinstance(value, int | float | torch.dtype)


def erase(nodes: Iterable[fx.Node], values: dict[str, Any]) -> None:
    """Take out of the graph what nobody uses, unless it is a tensor (it may work in place)."""
    for node in reversed(list(nodes)):
        if node._erased:
            continue
        unused = not node.users and node.op in ("call_function", "call_method")
        if unused and not isinstance(values[node.name], Tensor):
            node.graph.erase_node(node)
