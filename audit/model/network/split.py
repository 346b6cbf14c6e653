"""One network, cut in two: what it gives before its classifier, and how to retrain a part of it.

How transferable are features in deep neural networks? (Yosinski et al. 2014, arXiv:1411.1792)
freezes the first n layers and trains the rest anew. Here "frozen" includes the running statistics
of batch norm, and the new part begins with the architecture's own initialisation.
"""

import contextlib
from typing import Any

import torch
from torch import Tensor, fx, nn

from audit.core.errors import AuditError
from audit.model.network.cuts import ENOUGH, Cut, classifier_name, cuts_of, foreign
from audit.model.network.cuts_untraced import untraced_cuts
from audit.model.network.fixed_size import for_size
from audit.model.network.trace import Trace, in_mode, trace
from audit.model.spec import ModelSpec

__all__ = ["Cut", "check_split", "find_cuts", "outputs", "reinitialise_after", "split"]
TOLERANCE = 1e-5  # of the largest logit


def outputs(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Last hidden layer and logits of one forward pass.

    Args:
        model: A timm model, usually in eval mode.
        x: (N, C, H, W).

    Returns:
        Pre-logits (N, D), flattened if they are spatial, and logits (N, K), equal to `model(x)`.

    Raises:
        AuditError: MODEL_ARCHITECTURE if the model has no such layers.
    """
    features: Any = getattr(model, "forward_features", None)
    head: Any = getattr(model, "forward_head", None)
    if features is None or head is None:
        raise _unfit(model, "has no `forward_features` and `forward_head`")
    classifier_name(model)  # without a classifier these would be features
    trunk = features(x)
    logits = head(trunk.clone() if isinstance(trunk, Tensor) else trunk)  # may work in place
    hidden = head(trunk, pre_logits=True)
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise _unfit(model, "does not give one row of logits an image")
    if not isinstance(hidden, Tensor) or len(hidden) != len(x):
        raise _unfit(model, "does not give one last hidden layer an image")
    return hidden.flatten(1), logits


def _unfit(model: nn.Module, what: str) -> AuditError:
    return AuditError(
        "MODEL_ARCHITECTURE",
        f"an audit needs a classifier of timm's form, but {type(model).__name__} {what}.",
        "Audit another architecture, or wrap this one.",
    )


def find_cuts(model: nn.Module, shape: tuple[int, int, int]) -> tuple[Cut, ...]:
    """Find where a network may be cut: stem, ends of stages, last hidden layer.

    Args:
        model: A timm model; its mode and weights stay as they are.
        shape: (C, H, W) of its input.

    Returns:
        In order, depths never falling; none where the network cannot be run piece by piece.

    Raises:
        AuditError: MODEL_ARCHITECTURE if the model has no classifier.
    """
    classifier_name(model)  # raises
    traced: tuple[Cut, ...] = ()
    untraced: tuple[Cut, ...] = ()
    # both fail in as many ways as there are architectures; the rest of an audit goes on
    with contextlib.suppress(Exception):
        traced = cuts_of(model, shape)
    if _spread(traced) >= ENOUGH:
        return traced
    with contextlib.suppress(Exception):
        fixed = cuts_of(model, shape, fixed=True)
        traced = fixed if _spread(fixed) > _spread(traced) else traced
    if _spread(traced) >= ENOUGH:
        return traced
    with contextlib.suppress(Exception):
        untraced = untraced_cuts(model, shape)
    return untraced if _spread(untraced) > _spread(traced) else traced


def _spread(cuts: tuple[Cut, ...]) -> int:
    """Number of stem and stages at truly different depths, and the head; those that can freeze."""
    usable = [cut for cut in cuts if not cut.shared + cut.unassigned]
    depths = {round(cut.depth, 2) for cut in usable if cut.kind != "head"}
    return len(depths) + any(cut.kind == "head" for cut in usable)


class StayInEval:
    """Takes the place of a module's `train`: the module stays in eval mode.

    Args:
        module: Already in eval mode.
    """

    def __init__(self, module: nn.Module):
        self.module = module

    def __call__(self, mode: bool = True) -> nn.Module:
        return self.module


def reinitialise_after(
    donor: nn.Module, spec: ModelSpec, cut: Cut, seed: int, freeze: bool
) -> nn.Module:
    """Copy what lies before a cut into a fresh network; what lies after begins anew.

    Args:
        donor: Same architecture as `spec`; stays as it is. A fresh network of another seed makes
            the untrained control.
        spec: Builds the fresh network.
        cut: A cut of this architecture.
        seed: Random seed of the fresh part.
        freeze: Whether the copied part keeps its values: parameters without gradient, modules in
            eval mode whatever `.train()` asks, so that running statistics stay too.

    Returns:
        The new network, in train mode but for its frozen modules.

    Raises:
        AuditError: MODEL_ARCHITECTURE if the cut does not divide the parameters in two.
    """
    for names, what in ((cut.shared, "both sides"), (cut.unassigned, "neither side")):
        if names:
            raise AuditError(
                "MODEL_ARCHITECTURE",
                f"a part of the network is frozen at {cut.name!r}, but {names[0]!r} is used on "
                f"{what} of the cut.",
                "Choose other cuts, or leave out the transfer check.",
            )
    network, values = spec.build(seed), donor.state_dict()
    own = network.state_dict(keep_vars=True)
    with torch.no_grad():
        for name in cut.before:
            own[name].copy_(values[name])
    network.train()
    if freeze:
        for name in cut.before:
            own[name].requires_grad_(False)
        for path in cut.modules:
            module = network.get_submodule(path)
            module.training = False
            module.__dict__["train"] = StayInEval(module)
    return network


class Prefix(nn.Module):
    """What lies before a cut: from the input to the values that cross. Always in eval mode.

    Shapes:
        input: (N, C, H, W).
        output: A tuple of tensors, each with N along the first axis.
    """

    def __init__(self, graph: fx.GraphModule):
        super().__init__()
        self.graph = graph
        self.train(False)

    def train(self, mode: bool = True) -> "Prefix":
        """Stay in eval mode: the graph was traced there."""
        super().train(False)
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run up to the cut."""
        self.train(False)  # its modules are the network's own, and the network may train
        return tuple(self.graph(x))


class Suffix(nn.Module):
    """What lies after a cut: from the values that cross to the logits, in either mode.

    Shapes:
        input: A tuple of tensors, as `Prefix` gives it, whole or indexed along the first axis.
        output: (N, K) logits.
    """

    def __init__(self, evaluated: fx.GraphModule, trained: fx.GraphModule):
        super().__init__()
        self.evaluated = evaluated
        self.trained = trained

    def forward(self, values: tuple[Tensor, ...]) -> Tensor:
        """Run from the cut on."""
        graph = self.trained if self.training else self.evaluated
        return graph(*(value.clone() for value in values))  # it may work in place


def split(network: nn.Module, cut: Cut) -> tuple[Prefix, Suffix]:
    """Cut a network in two modules, which share its parameters and buffers.

    Args:
        network: Its mode stays as it is; the suffix takes it over.
        cut: With `traced`.

    Raises:
        AuditError: MODEL_ARCHITECTURE if the network cannot be split there.
    """
    if not cut.traced:
        raise AuditError(
            "MODEL_ARCHITECTURE",
            f"{type(network).__name__} cannot be split at {cut.name!r}, because its operations "
            "cannot be traced.",
            "Run the whole network instead.",
        )
    suffixes = []
    for training, end in zip((False, True), cut.ends, strict=True):
        traced = trace(network, training)
        if cut.fixed:
            channels, height, width = cut.fixed
            traced = for_size(traced, (channels, height, width))
        if end not in traced.names:
            raise foreign(network, cut)
        position = traced.names.index(end)
        suffixes.append(_suffix(traced, position))
        if not training:
            prefix = _prefix(traced, position)
    suffix = Suffix(*suffixes)
    suffix.training = network.training
    return Prefix(prefix), suffix


def _prefix(traced: Trace, position: int) -> fx.GraphModule:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in traced.nodes[: position + 1]:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in traced.live(position)))
    return fx.GraphModule(traced.root, graph, "Prefix")


def _suffix(traced: Trace, position: int) -> fx.GraphModule:
    """The rest of the graph; constants made before the cut and used after it are made again."""
    graph = fx.Graph()
    rest = traced.nodes[position + 1 :]
    copies = {node: graph.placeholder(node.name) for node in traced.live(position)}
    for node in (*traced.needed(rest), *rest):
        if node not in copies:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    return fx.GraphModule(traced.root, graph, "Suffix")


def check_split(network: nn.Module, cut: Cut, x: Tensor) -> None:
    """Make sure that the two parts together are the network, in eval mode.

    Args:
        network: Its mode stays as it is.
        cut: Where it is split.
        x: (N, C, H, W), at least two images.

    Raises:
        AuditError: MODEL_ARCHITECTURE if logits differ by more than 1e-5 of the largest, or if
            values that cross cannot be stored image by image.
    """
    with in_mode(network, training=False), torch.no_grad():
        prefix, suffix = split(network, cut)
        whole = network(x)
        values = prefix(x)
        parts = [suffix(values)]
        if all(len(v) == len(x) for v in values):
            parts.append(torch.cat([suffix(tuple(v[i : i + 1] for v in values)) for i in range(2)]))
    allowed = TOLERANCE * whole.abs().max().item()
    errors = [(part - whole[: len(part)]).abs().max().item() for part in parts]
    if len(parts) < 2 or not max(errors) <= allowed:
        raise AuditError(
            "MODEL_ARCHITECTURE",
            f"{type(network).__name__} split at {cut.name!r} gives other logits than the whole "
            f"(by {max(errors):.2g}).",
            "Run the whole network instead.",
        )
