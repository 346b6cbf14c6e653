"""The sets of weights in a checkpoint, and which of them is audited: none is dropped in silence.

A file may hold averaged weights beside the raw ones, a teacher beside a student, the loss beside
the network. A set is a mapping of names to tensors, or the part of one whose names begin alike and
belong to an architecture.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from audit.core.errors import AuditError
from audit.model.files.descriptions import OpaqueValue, TensorEntry
from audit.reports.text import visible

Found = dict[str, TensorEntry]
Fits = Callable[[Found], bool]
EMA_KEYS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
RAW_KEYS = ("state_dict", "model", "model_state_dict", "net")
INNER_KEYS = (*RAW_KEYS, "module")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "timm_model.")
AVERAGED = frozenset({"ema", "swa", "averaged", "average", "shadow"})  # words of a name
LIGHTNING_RAW = "current_model_state"  # where it stands, `state_dict` holds averaged weights
COUNTERS = ("n_averaged",)  # of torch's AveragedModel, beside the weights
DEEPEST = 3  # mappings in mappings, and parts of names
FEWEST = 8  # entries: no network has fewer
MOST_GROUPS = 64  # parts of names at one level
MOST_NAMED = 4


class Set(NamedTuple):
    """One set of weights in a file.

    Attributes:
        where: The keys that lead to it, joined with dots; empty: the whole file.
        prefix: Prefix of its names there, with the dot; empty for the whole mapping.
        label: "ema" or "raw" where its name says so, else empty.
        name: Name that a user gives to choose it.
        weights: Without prefixes; None if something else stands among them.
        mapping: The mapping in the file.
        known: Whether it stands where training scripts put a model.
    """

    where: str
    prefix: str
    label: str
    name: str
    weights: Found | None
    mapping: Mapping[Any, Any]
    known: bool


class Beside(NamedTuple):
    """Another set with the same names and shapes as the one that was taken.

    Attributes:
        name: Where it stands, safe to show.
        take: Value of `--weights` that takes it.
    """

    name: str
    take: str

    def __str__(self) -> str:
        return f"the file also holds {self.name!r}, which `--weights {self.take}` takes"


class ChosenWeights(NamedTuple):
    """The weights that are audited.

    Attributes:
        weights: Not yet read, without prefixes that all names share.
        key: Key in the file; empty if they are the whole content.
        name: Name of the set, safe to show; empty if they are the whole content.
        choice: "only" if there is no other set like it; else "raw" or "ema" where its name says
            so, else its name.
        beside: Other sets with the same names and shapes.
        left_out: Other contents next to the weights, in words; empty if there are none.
    """

    weights: Found
    key: str
    name: str
    choice: str
    beside: tuple[Beside, ...]
    left_out: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know beside the choice, one sentence each."""
        return (*map(str, self.beside), *([self.left_out] if self.left_out else []))


def choose(content: object, name: str, wanted: str | None, fits: Fits) -> ChosenWeights:
    """Choose the weights in a checkpoint.

    Args:
        content: Content of the file.
        name: The file's name, safe to show.
        wanted: "raw", "ema" or the name of a set; None takes averaged weights before raw ones, as
            timm does.
        fits: Whether names and shapes belong to an architecture (to the named one if there is).

    Raises:
        AuditError: MODEL_NO_WEIGHTS, or MODEL_DTYPE if they are quantised.
    """
    if not isinstance(content, Mapping):
        raise no_weights(name, f"holds {_what(content)}")
    sets = sets_in(content, fits)
    if not any(s.known for s in sets) and any(isinstance(v, TensorEntry) for v in content.values()):
        sets = []  # weights among other things: which are meant is not for us to say
    if not sets:
        sets = [Set("", "", "raw", "", cleaned(content, name), content, True)]  # or a refusal
    taken = picked(sets, name, wanted)
    weights = cleaned(taken.mapping, name) if taken.weights is None else taken.weights
    alike = [s for s in sets if s is taken or _shapes(s.weights) == _shapes(weights)]
    calls = {s.name: _call(s, alike) for s in alike}
    return ChosenWeights(
        weights,
        taken.where,
        visible(taken.name, 80),
        calls[taken.name] if len(alike) > 1 else "only",
        tuple(Beside(visible(s.name, 80), calls[s.name]) for s in alike if s is not taken),
        left_out(taken, alike),
    )


def sets_in(content: Mapping[Any, Any], fits: Fits) -> list[Set]:
    """All sets of weights, those that training scripts write first."""
    if _is_pure(content):
        return _sets_at((), content, fits, averaged=False)
    found = []
    for where, mapping in _mappings(content, (), DEEPEST):
        averaged = where == ("state_dict",) and LIGHTNING_RAW in content
        found += _sets_at(where, mapping, fits, averaged)
    order = {key: i for i, key in enumerate((*RAW_KEYS, *EMA_KEYS))}
    return sorted(found, key=lambda s: (not s.known, order.get(s.where.split(".")[0], len(order))))


def _mappings(
    content: Mapping[Any, Any], where: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """Mappings inside one that hold tensors: the innermost, where they lie in each other."""
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Mapping) or not depth:
            continue
        place = (*where, key)
        inner = list(_mappings(value, place, depth - 1))
        yield from inner
        likely = _is_known(place) or (_is_pure(value) and len(value) >= FEWEST)
        if not inner and likely and any(isinstance(v, TensorEntry) for v in value.values()):
            yield place, value


def _is_known(where: tuple[str, ...]) -> bool:
    """Whether training scripts put a model there."""
    first, *rest = where
    return first in (*RAW_KEYS, *EMA_KEYS) and all(key in INNER_KEYS for key in rest)


def _is_pure(entries: Mapping[Any, Any]) -> bool:
    """Whether a mapping is of names to tensors alone."""
    pairs = entries.items()
    return bool(entries) and all(
        isinstance(k, str) and isinstance(v, TensorEntry) for k, v in pairs
    )


def _sets_at(
    where: tuple[str, ...], mapping: Mapping[Any, Any], fits: Fits, averaged: bool
) -> list[Set]:
    """The mapping as one set, or its parts that are networks."""
    at = ".".join(where)
    known = not where or _is_known(where)
    label = _label(at, known, averaged)
    if not _is_pure(mapping):
        return [Set(at, "", label, at, None, mapping, known)]
    entries = completed(dict(mapping))
    groups = networks(entries, fits)
    if len(groups) > 1:
        return [
            Set(
                at,
                prefix,
                _label(prefix, all(f"{p}." in PREFIXES for p in prefix.split(".")[:-1]), averaged),
                f"{at}.{prefix}".strip("."),
                weights,
                mapping,
                known,
            )
            for prefix, weights in groups
        ]
    prefix, weights = groups[0] if groups else ("", stripped(entries))
    return [Set(at, prefix, label, at or prefix.strip("."), weights, mapping, known)]


def _label(name: str, raw: bool, averaged: bool) -> str:
    words = set(re.split(r"[^a-z]+", name.lower()))
    if averaged or words & AVERAGED:
        return "ema"
    return "raw" if raw or name == LIGHTNING_RAW else ""


def networks(entries: Found, fits: Fits, depth: int = DEEPEST) -> list[tuple[str, Found]]:
    """Parts whose names begin alike and belong to an architecture.

    Returns:
        The prefix and what stands under it, without it; the whole with an empty prefix if it
        belongs to an architecture itself.
    """
    if len(entries) < FEWEST:
        return []
    if fits(entries):
        return [("", entries)]
    parts: dict[str, Found] = {}
    for key, value in entries.items():
        head, dot, rest = key.partition(".")
        if dot:
            parts.setdefault(head, {})[rest] = value
    if not depth or len(parts) > MOST_GROUPS:
        return []
    return [
        (f"{head}.{prefix}", found)
        for head, part in parts.items()
        for prefix, found in networks(part, fits, depth - 1)
    ]


def completed(entries: Found) -> Found:
    """Without counters of averaging; with batch norm's counters where an old file has none."""
    entries = {k: v for k, v in entries.items() if not (k in COUNTERS and v.numel == 1)}
    if any(key.endswith("num_batches_tracked") for key in entries):
        return entries
    layers = [key.removesuffix("running_var") for key in entries if key.endswith("running_var")]
    counted = [layer for layer in layers if f"{layer}running_mean" in entries]
    return entries | {f"{layer}num_batches_tracked": TensorEntry("int64", ()) for layer in counted}


def stripped(entries: Found) -> Found:
    """Without the usual prefixes that all names share."""
    while prefix := next((p for p in PREFIXES if all(k.startswith(p) for k in entries)), None):
        entries = {key.removeprefix(prefix): value for key, value in entries.items()}
    return entries


def picked(sets: list[Set], name: str, wanted: str | None) -> Set:
    """The set that is asked for; averaged before raw weights where nobody asks."""
    known = [s for s in sets if s.known]
    shapes = [_shapes(s.weights) for s in known]
    usual = [s for s in sets if s.known or _shapes(s.weights) in shapes] or sets
    if wanted is not None:
        found = [s for s in usual if s.label == wanted]
        if wanted == "raw" and len(usual) == 1 and not usual[0].label:
            found = usual
        found += [s for s in sets if wanted in (s.name, visible(s.name, 80))]
        if not found:
            raise no_weights(name, _none_such(wanted, sets))
        return found[0]
    for label in ("ema", "raw"):
        for found_set in usual:
            if found_set.label == label:
                return found_set
    if len(usual) > 1:
        raise AuditError(
            "MODEL_NO_WEIGHTS",
            f"an audit is of one network, but {name!r} holds weights under {_names(usual)}.",
            "Say which with `--weights KEY`.",
        )
    return usual[0]


def _none_such(wanted: str | None, sets: list[Set]) -> str:
    words = {"ema": "averaged (EMA) weights", "raw": "raw weights"}
    what = words.get(wanted or "", f"weights under {visible(wanted or '', 60)!r}")
    held = f", only under {_names(sets)}" if sets and sets[0].name else ""
    return f"holds no {what}{held}; drop `--weights {visible(wanted or '', 60)}`"


def _names(sets: list[Set]) -> str:
    shown = ", ".join(repr(visible(s.name, 60)) for s in sets[:MOST_NAMED])
    return shown + (f" and {len(sets) - MOST_NAMED} more" if len(sets) > MOST_NAMED else "")


def _call(one: Set, alike: list[Set]) -> str:
    """What `--weights` takes a set by: the first of a label by the label, others by their name."""
    first = next((s for s in alike if s.label == one.label), None)
    return one.label if one.label and first is one else visible(one.name, 80)


def _shapes(weights: Found | None) -> dict[str, tuple[int, ...]] | None:
    return None if weights is None else {key: value.shape for key, value in weights.items()}


def left_out(taken: Set, alike: list[Set]) -> str:
    """What stood among the weights and is no part of them, in words."""
    others = tuple(s.prefix for s in alike if s.where == taken.where)
    counts: dict[str, int] = {}
    for key in taken.mapping if taken.prefix else ():
        if not key.startswith(others) and key not in COUNTERS:
            head = key.partition(".")[0]
            counts[head] = counts.get(head, 0) + 1
    if not counts:
        return ""
    parts = [f"{n:,} under {visible(head, 40)!r}" for head, n in counts.items()]
    more = f" and {len(parts) - MOST_NAMED} more" if len(parts) > MOST_NAMED else ""
    return f"left out beside {visible(taken.prefix, 60)!r}: {', '.join(parts[:MOST_NAMED])}{more}"


def cleaned(entries: Mapping[Any, Any], name: str) -> Found:
    """Check that a mapping is of names to tensors, and strip prefixes that all names share.

    Raises:
        AuditError: MODEL_NO_WEIGHTS, or MODEL_DTYPE if it is quantised.
    """
    if not any(isinstance(value, TensorEntry) for value in entries.values()):
        keys = ", ".join(repr(visible(str(k), 40)) for k in list(entries)[:3])
        raise no_weights(name, f"holds no weights, only {keys}" if keys else "holds nothing")
    for key, value in entries.items():
        if "_packed_params" in str(key):  # torch's quantised layers
            raise AuditError(
                "MODEL_DTYPE",
                "an audit needs weights of 16, 32 or 64-bit floating point, but "
                f"{visible(str(key), 80)!r} is quantised.",
                "Save the model before quantising it.",
            )
        if not isinstance(key, str) or not isinstance(value, TensorEntry):
            what = f"holds {_what(value)} under {visible(str(key), 60)!r} among its weights"
            raise no_weights(name, what)
    return stripped(completed(dict(entries)))


def no_weights(name: str, what: str) -> AuditError:
    """The refusal of a file without weights that can be audited."""
    return AuditError(
        "MODEL_NO_WEIGHTS",
        f"the state dict of a model is needed, but {name!r} {what}.",
        "Save `model.state_dict()`.",
    )


def _what(value: object) -> str:
    if value is None:
        return "`None`"
    if isinstance(value, TensorEntry):
        return "one tensor"
    kind = value.name if isinstance(value, OpaqueValue) else type(value).__name__
    return f"a {visible(kind, 40)}"
