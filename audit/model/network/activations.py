"""What a network computes at its cuts: one forward pass gives the values at all of them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils.hooks import RemovableHandle

from audit.model.network.cuts import Cut, foreign
from audit.model.network.trace import Trace, in_mode, trace

ROUNDING = 0.25  # by which the proportions of a small map may differ from the input's, as a log


def at_cuts(
    model: nn.Module, cuts: Sequence[Cut], batches: Iterable[Tensor]
) -> Iterator[dict[str, Tensor]]:
    """Run a network over images and give what it computes at its cuts.

    At a cut the *main* value is given: of the floating-point tensors that cross it and have the
    images along their first axis, the one with the most elements, the first of them if several
    have as many. (Most cuts are crossed by one tensor; a class token beside a map is left out.)

    Args:
        model: Stays as it is: it runs in eval mode without gradients and gets its mode back after
            every batch.
        cuts: Cuts of this architecture, in order, as `find_cuts` gives them: all traced or none.
        batches: Images (B, C, H, W) on the model's device, in its type. Read one by one.

    Yields:
        For each batch the values by the cut's name: (B, ...), float32, each a tensor of its own
        that nothing changes later. A cut without such a value is left out.

    Raises:
        AuditError: MODEL_ARCHITECTURE if a cut belongs to another architecture.
    """
    run = _graph(model, cuts) if all(cut.traced for cut in cuts) else None
    for x in batches:
        with torch.no_grad(), in_mode(model, training=False):
            values = _watch(model, cuts, x) if run is None else run(x)
        yield {name: value for name, value in values.items() if value is not None}


def pooled(value: Tensor, layout: str = "NCHW", shape: tuple[int, int] = (1, 1)) -> Tensor:
    """One vector an image: the mean over positions of a map, or over the tokens of a sequence.

    Where the channels of a map stand is read off its shape: the spatial axes have the proportions
    of the input, up to rounding where that is no square. Only a map that leaves it open (as many
    channels as rows, or other proportions) is read by `layout`, which `layout_of` finds for a
    network.

    Args:
        value: (B, D), a sequence (B, T, D), or a map (B, C, H, W) or (B, H, W, C). Of more axes
            the last one holds the channels.
        layout: "NCHW" or "NHWC".
        shape: Height and width of the input, or their proportions.

    Returns:
        (B, D).
    """
    if value.dim() <= 2:
        return value.flatten(1) if value.dim() == 2 else value[:, None]
    if value.dim() == 4 and _channels_first(value, layout, shape):
        return value.mean((2, 3))
    return value.flatten(1, -2).mean(1)


def _channels_first(value: Tensor, layout: str, shape: tuple[int, int]) -> bool:
    first, middle, last = value.shape[1:]
    height, width = shape
    rounding = 0.0 if height == width else ROUNDING

    def fits(rows: int, columns: int) -> bool:
        return abs(math.log(rows * width / (columns * height))) <= rounding

    if fits(first, middle) != fits(middle, last):
        return fits(middle, last)
    return layout != "NHWC"


def layout_of(model: nn.Module) -> str:
    """How a timm model lays out its maps: "NCHW" unless it says otherwise (`output_fmt`)."""
    stated = getattr(model, "output_fmt", "NCHW")
    return "NHWC" if str(getattr(stated, "value", stated)) == "NHWC" else "NCHW"


def main_value(values: Iterable[Any], images: int) -> Tensor | None:
    """The largest floating-point tensor with the images along its first axis, as a float32 copy.

    Args:
        values: Values that cross a cut, of any type.
        images: B.

    Returns:
        (B, ...), or None if there is none.
    """
    tensors = [v for v in values if isinstance(v, Tensor) and v.is_floating_point()]
    tensors = [v for v in tensors if v.dim() and len(v) == images]
    if not tensors:
        return None
    # a copy, because an operation behind the cut may work in place
    return max(tensors, key=Tensor.numel).to(torch.float32, copy=True)


def _graph(model: nn.Module, cuts: Sequence[Cut]) -> fx.GraphModule:
    """The network's graph up to its last cut; it gives the main values by the cut's name."""
    traced = trace(model, training=False)
    places: dict[int, list[str]] = {}
    for cut in cuts:
        if not cut.ends or cut.ends[0] not in traced.names:
            raise foreign(model, cut)
        places.setdefault(traced.names.index(cut.ends[0]), []).append(cut.name)
    return fx.GraphModule(traced.root, _with_outputs(traced, places), "AtCuts")


def _with_outputs(traced: Trace, places: Mapping[int, Sequence[str]]) -> fx.Graph:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    found: dict[str, Any] = {}
    for position, node in enumerate(traced.nodes[: max(places, default=0) + 1]):
        copies[node] = graph.node_copy(node, copies.__getitem__)
        if position in places:
            live = tuple(copies[value] for value in traced.live(position))
            images = graph.call_function(len, (copies[traced.nodes[0]],))
            main = graph.call_function(main_value, (live, images))
            found |= dict.fromkeys(places[position], main)
    graph.output(found)
    return graph


def _watch(model: nn.Module, cuts: Sequence[Cut], x: Tensor) -> dict[str, Tensor | None]:
    """Run the whole network and catch what its modules take or give."""
    found: dict[str, Tensor | None] = {}

    def attach(cut: Cut, module: nn.Module) -> RemovableHandle:
        def at_start(_: nn.Module, args: tuple[Any, ...]) -> None:
            found[cut.name] = main_value(_tensors(args), len(x))

        def at_end(_: nn.Module, __: tuple[Any, ...], value: Any) -> None:
            found[cut.name] = main_value(_tensors(value), len(x))

        if cut.kind == "head":
            return module.register_forward_pre_hook(at_start)
        return module.register_forward_hook(at_end)

    modules = dict(model.named_modules())
    with ExitStack() as hooks:
        for cut in cuts:
            if cut.module not in modules:
                raise foreign(model, cut)
            hooks.enter_context(attach(cut, modules[cut.module]))
        model(x)
    return {cut.name: found.get(cut.name) for cut in cuts}


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
