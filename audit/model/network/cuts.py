"""Where a network may be cut in two: after the stem, after each stage, before the classifier.

A cut is found once, from the network's graph, and described by plain names, so that it holds for
every network of the same architecture. Architectures that cannot be traced are cut by the order in
which their modules run (`audit.model.network.cuts_untraced`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import fx, nn

from audit.core.errors import AuditError
from audit.model.network.fixed_size import for_size
from audit.model.network.trace import Trace, in_mode, measure, trace

CutKind = Literal["stem", "stage", "head"]
ENOUGH = 4  # stem, stages and head counted together
BATCH = 2


@dataclass(frozen=True)
class Cut:
    """One place between two operations.

    Attributes:
        name: "stem", the module that ends there ("layer3", "blocks.5"), or "head": everything but
            the classifier lies before it.
        depth: Share of the network's multiply-adds before it, 0 to 1. The last stage and the head
            have the same where only pooling or a norm lies between them.
        kind: Stem, stage or head.
        traced: Whether the network can be split in two modules here.
        before: Entries of the state dict used before the cut only.
        after: Entries used after it only.
        shared: Entries used on both sides; not empty means that nothing can be frozen here.
        unassigned: Entries used on neither side; not empty means that nothing can be frozen here.
        modules: Modules that run before the cut only; frozen, they stay in eval mode.
        ends: Last operation before the cut in the graphs of eval and train mode; empty if untraced.
        shapes: Shapes of the values that cross the cut, without the batch; empty if untraced.
        module: Whose end (at the head: whose start) an untraced cut is; empty if traced.
        fixed: Shape (C, H, W) of the input that the graph was made for; empty if for any.
    """

    name: str
    depth: float
    kind: CutKind
    traced: bool
    before: tuple[str, ...]
    after: tuple[str, ...]
    shared: tuple[str, ...]
    unassigned: tuple[str, ...]
    modules: tuple[str, ...]
    ends: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    module: str = ""
    fixed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Landmark:
    """A place by the name of the module that begins or ends there, for either mode's graph."""

    name: str
    kind: CutKind
    module: str
    at: Literal["start", "end"]

    def position(self, traced: Trace) -> int | None:
        """The last node before the place; None if the module is not in the graph."""
        span = traced.span(self.module)
        if span is None:
            return None
        if self.at == "end":
            position = span[1]
            while self.kind == "stem" and traced.is_pool(position + 1):
                if len(traced.live(position + 1)) > len(traced.live(position)):
                    break  # the pooling of a branch
                position += 1  # a stem's own pooling makes the value that crosses smaller
            return position
        position = span[0] - 1
        while position > 0 and traced.is_dropout(position):
            position -= 1  # dropout belongs to the part that trains
        return position if position > 0 else None


def cuts_of(
    network: nn.Module, shape: tuple[int, int, int], *, fixed: bool = False
) -> tuple[Cut, ...]:
    """Find the cuts of a network that can be traced.

    Args:
        network: A timm model; its mode stays as it is.
        shape: (C, H, W) of its input.
        fixed: Whether the graph is made for inputs of this size alone (see `fixed_size`).

    Returns:
        In order of execution: stem, stages, head; at least `ENOUGH` where the architecture has
        so many.

    Raises:
        Exception: Of any type, if the network cannot be traced.
    """
    traces = (trace(network, training=False), trace(network, training=True))
    if fixed:
        traces = (for_size(traces[0], shape), for_size(traces[1], shape))
    like = next(network.parameters())
    x = torch.zeros(BATCH, *shape, dtype=like.dtype, device=like.device)
    with in_mode(network, training=False):
        shapes, work = measure(traces[0], x)
    cuts: list[Cut] = []
    for stages in (feature_modules(network), block_modules(network)):
        marks = landmarks(stages, classifier_name(network), traces[0], work)
        found = _cuts_at(marks, network, traces, shapes, work)
        cuts = found if len(found) > len(cuts) else cuts
        if len(cuts) >= ENOUGH:
            break
    return tuple(replace(cut, fixed=shape) for cut in cuts) if fixed else tuple(cuts)


def feature_modules(network: nn.Module) -> list[str]:
    """Names of the modules that end timm's stages; empty if a name is absent or repeated."""
    info = getattr(network, "feature_info", None) or []
    rows = info if isinstance(info, list) else getattr(info, "info", [])
    names = [str(row.get("module", "")) for row in rows]
    known = dict(network.named_modules())
    return names if len(set(names)) == len(names) and all(n in known for n in names) else []


def block_modules(network: nn.Module) -> list[str]:
    """Names of the elements of the outermost Sequential and ModuleList children."""
    level: list[tuple[str, nn.Module]] = list(network.named_children())
    while level:
        lists = [(n, m) for n, m in level if isinstance(m, nn.Sequential | nn.ModuleList)]
        names = [f"{n}.{child}" for n, m in lists for child, _ in m.named_children()]
        if len(names) >= ENOUGH - 2:
            return names
        level = [(f"{n}.{child}", c) for n, m in level for child, c in m.named_children()]
    return []


def classifier_name(network: nn.Module) -> str:
    """Path of the layer that makes the logits, the first of them if there are several.

    Raises:
        AuditError: MODEL_ARCHITECTURE if there is none.
    """
    getter = getattr(network, "get_classifier", None)
    layer = getter() if callable(getter) else None
    layers = layer if isinstance(layer, tuple | list) else (layer,)
    for name, module in network.named_modules():
        if module is layers[0] and not isinstance(module, nn.Identity):
            return f"{name}.0" if isinstance(module, nn.ModuleList) else name
    raise AuditError(
        "MODEL_ARCHITECTURE",
        f"an audit needs a classifier, but {type(network).__name__} has no layer that makes "
        "logits.",
        "Save the model with its classifier.",
    )


def landmarks(
    stages: Iterable[str], classifier: str, traced: Trace, work: list[int]
) -> list[Landmark]:
    """Name the places: the stem by the first stage, the stages by their ends, then the head.

    Args:
        stages: Modules that end stages, in any order.
        classifier: The layer that makes the logits.
        traced: Trace in eval mode.
        work: Multiply-adds up to each node.
    """
    spans = [(span, name) for name in stages if (span := traced.span(name)) is not None]
    spans.sort(key=lambda pair: pair[0][1])
    marks: list[Landmark] = []
    if spans:
        (first, last), name = spans[0]
        outside, inside = work[first - 1], work[last] - work[first - 1]
        if outside and inside:
            marks.append(Landmark("stem", "stem", name, "start"))
        else:  # the first "stage" is the stem, or the layer that ends it
            marks.append(Landmark("stem", "stem", name, "end"))
            spans = spans[1:]
    marks += [Landmark(name, "stage", name, "end") for _, name in spans]
    return [*marks, Landmark("head", "head", classifier, "start")]


def _cuts_at(
    marks: list[Landmark],
    network: nn.Module,
    traces: tuple[Trace, Trace],
    shapes: Mapping[str, tuple[int, ...] | None],
    work: list[int],
) -> list[Cut]:
    """Turn places into cuts, leaving out those where the network cannot be split."""
    usable: list[tuple[Landmark, int, int]] = []
    for mark in marks:
        evaluated, trained = (mark.position(traced) for traced in traces)
        if evaluated is None or trained is None:
            continue
        crossing = [traces[0].live(evaluated), traces[1].live(trained)]
        if _crosses(crossing[0], shapes) and len(crossing[0]) == len(crossing[1]):
            usable.append((mark, evaluated, trained))
    head = next((place for mark, place, _ in usable if mark.kind == "head"), None)
    rising: list[tuple[Landmark, int, int]] = []
    for mark, evaluated, trained in usable:
        if mark.kind != "head" and head is not None and evaluated >= head:
            continue
        if not rising or (evaluated > rising[-1][1] and trained > rising[-1][2]):
            rising.append((mark, evaluated, trained))
    narrow = [row for row in rising if len(traces[0].live(row[1])) == 1]
    places = {round(work[evaluated] / max(work[-1], 1), 2) for _, evaluated, _ in narrow}
    rising = narrow if len(places) >= ENOUGH else rising
    return distinct(_cut(network, mark, traces, (e, t), shapes, work) for mark, e, t in rising)


def distinct(cuts: Iterable[Cut]) -> list[Cut]:
    """Leave out stages that only pool or rectify what the cut before them gives."""
    kept: list[Cut] = []
    for cut in cuts:
        same = kept and kept[-1].before == cut.before and kept[-1].depth == cut.depth
        if cut.kind == "head" or not same:
            kept.append(cut)
    return kept


def _crosses(nodes: tuple[fx.Node, ...], shapes: Mapping[str, tuple[int, ...] | None]) -> bool:
    """Whether the values are tensors with the images along their first axis."""
    crossing = [shapes.get(node.name) for node in nodes]
    return bool(crossing) and all(shape and shape[0] == BATCH for shape in crossing)


def _cut(
    network: nn.Module,
    mark: Landmark,
    traces: tuple[Trace, Trace],
    positions: tuple[int, int],
    shapes: Mapping[str, tuple[int, ...] | None],
    work: list[int],
) -> Cut:
    """Describe a cut by names that hold for every network of the architecture."""
    before: set[int] = set()
    after: set[int] = set()
    ran: list[set[str]] = [set(), set()]
    for traced, position in zip(traces, positions, strict=True):
        parts = (traced.nodes[: position + 1], traced.nodes[position + 1 :])
        before |= traced.tensors(parts[0])
        after |= traced.tensors(parts[1])
        ran[0] |= _modules(traced, 0, position + 1)
        ran[1] |= _modules(traced, position + 1, len(traced.nodes))
    sides = assign(network, before, after)
    crossing = [shapes[node.name] for node in traces[0].live(positions[0])]
    return Cut(
        name=mark.name,
        depth=work[positions[0]] / max(work[-1], 1),
        kind=mark.kind,
        traced=True,
        **sides._asdict(),
        modules=frozen_modules(network, set(sides.before), ran[0] - ran[1]),
        ends=tuple(t.names[p] for t, p in zip(traces, positions, strict=True)),
        shapes=tuple(shape[1:] for shape in crossing if shape is not None),
    )


def _modules(traced: Trace, start: int, stop: int) -> set[str]:
    """Paths of all modules that run between two positions."""
    paths: set[str] = set()
    for i in range(start, stop):
        node, parts = traced.nodes[i], traced.names[i].split(".")
        if node in traced.dependent:
            last = len(parts) if node.op == "call_module" else len(parts) - 1
            paths.update(".".join(parts[:n]) for n in range(1, last + 1))
    return paths


class Sides(NamedTuple):
    """Entries of the state dict by the side of a cut that uses them; see `Cut`."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    shared: tuple[str, ...]
    unassigned: tuple[str, ...]


def assign(network: nn.Module, before: set[int], after: set[int]) -> Sides:
    """Sort the entries of the state dict by the side of the cut that uses them.

    An entry that no operation uses (a table from which constants were made) belongs where all
    others of its module, or of the nearest module around it, belong. A buffer that both sides read
    belongs before.

    Args:
        network: Whose state dict is meant.
        before: Identities of the tensors used before the cut.
        after: Identities of the tensors used after the cut.
    """
    learned = {id(parameter) for parameter in network.parameters()}
    sides: dict[str, str] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        uses = (id(tensor) in before, id(tensor) in after)
        if all(uses):
            sides[name] = "shared" if id(tensor) in learned else "before"
        elif any(uses):
            sides[name] = "before" if uses[0] else "after"
    for name in network.state_dict():
        if name not in sides:
            sides[name] = _side_of_neighbours(name, sides)
    return Sides(*(tuple(n for n in sides if sides[n] == group) for group in Sides._fields))


def _side_of_neighbours(name: str, sides: Mapping[str, str]) -> str:
    owner = name.rpartition(".")[0]
    while owner:
        around = {side for other, side in sides.items() if other.startswith(owner + ".")}
        if around:
            return around.pop() if len(around) == 1 else "unassigned"
        owner = owner.rpartition(".")[0]
    return "unassigned"


def frozen_modules(network: nn.Module, before: set[str], ran: Iterable[str]) -> tuple[str, ...]:
    """Modules that a frozen prefix keeps in eval mode, with everything inside them.

    Args:
        network: Whose modules are meant.
        before: Entries of the state dict before the cut.
        ran: Modules known to run before the cut only.
    """
    owned: dict[str, list[str]] = {}
    for entry in network.state_dict():
        for owner in _around(entry)[:-1]:
            owned.setdefault(owner, []).append(entry)
    tops = {m for m, entries in owned.items() if before.issuperset(entries)} | set(ran)
    return tuple(
        name for name, _ in network.named_modules() if name and not tops.isdisjoint(_around(name))
    )


def foreign(network: nn.Module, cut: Cut) -> AuditError:
    """Return the refusal of a cut that was found on another architecture."""
    return AuditError(
        "MODEL_ARCHITECTURE",
        f"the cut {cut.name!r} belongs to another architecture than {type(network).__name__}.",
        "Find the cuts of this network.",
    )


def _around(name: str) -> list[str]:
    """The path itself and those of all modules around it."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
