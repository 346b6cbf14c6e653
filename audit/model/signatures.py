"""Which architecture do these weights belong to? A look-up by names and shapes, without building.

A bare state dict names no architecture, but its names and shapes nearly do. The index beside this
file holds two digests of each of timm's architectures: one of the names of its weights, the
classifier's left out, and one of names and shapes, in which the dimensions that follow the number
of classes, the input's channels or its size are masked. How those dimensions depend on them is
kept as a polynomial, so that a match also says what they are.

The index belongs to one version of timm (`audit.model.index` makes it); with another one nothing
is found, and `unusable` says why.
"""

import functools
import gzip
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INDEX = Path(__file__).with_name("signatures.json.gz")
Shapes = Mapping[str, tuple[int, ...]]
VARIABLES = ("num_classes", "in_chans", "img_size")
LARGEST = {"num_classes": 10**6, "in_chans": 64, "img_size": 4096}
DIGEST = 6  # bytes; a thousand architectures collide by chance with probability 1e-9


@dataclass(frozen=True)
class Candidate:
    """An architecture that weights may belong to.

    Attributes:
        architecture: A name of `timm.list_models()`.
        kwargs: What the shapes say of `num_classes`, `in_chans` and `img_size`; what they do not
            say is left out.
        exact: Whether names and shapes agree; otherwise only the names do, and the architecture
            was built with other arguments.
        function: Equal for architectures that compute the same from the same weights; they differ
            at most in what timm has noted about preprocessing. Empty if unknown.
        why: One sentence.
        own_size: Whether the size that the shapes tell is the architecture's default.
    """

    architecture: str
    kwargs: dict[str, Any]
    exact: bool
    function: str
    why: str
    own_size: bool = False


@dataclass(frozen=True)
class Rule:
    """How one dimension follows one variable v: (a + b·v + c·v²) / d.

    Attributes:
        key: Key of the state dict.
        dim: Dimension of its shape.
        variable: One of VARIABLES.
        terms: a, b, c and d, integers; all 0 if only the default is known.
        default: The architecture's own value of the variable, 0 if it does not matter.
        size: The dimension's size there, which rounding may keep off the polynomial.
    """

    key: str
    dim: int
    variable: str
    terms: tuple[int, int, int, int]
    default: int = 0
    size: int = 0

    def holds(self, value: int, size: int) -> bool:
        """Whether the dimension has this size where the variable has this value."""
        if value == self.default:
            return size == self.size
        a, b, c, d = self.terms
        return d > 0 and a + b * value + c * value * value == d * size


@dataclass(frozen=True)
class KnownArchitecture:
    """One architecture of the index.

    Attributes:
        architecture: Its name.
        shapes: Digest of names and masked shapes.
        function: See `Candidate`.
        rules: Rules of what is masked, and how it varies.
    """

    architecture: str
    shapes: str
    function: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Index:
    """All architectures of one version of timm.

    Attributes:
        timm: The version.
        classifiers: Entries of any architecture that follow the number of classes.
        entries: Architectures by the digest of names.
    """

    timm: str
    classifiers: frozenset[str]
    entries: Mapping[str, tuple[KnownArchitecture, ...]]

    def rules(self, architecture: str) -> tuple[Rule, ...]:
        """How an architecture's shapes vary; empty if it is not in the index."""
        every = (entry for found in self.entries.values() for entry in found)
        return next((entry.rules for entry in every if entry.architecture == architecture), ())


def names_digest(keys: Iterable[str], classifiers: frozenset[str]) -> str:
    """Digest of the names of weights, the classifier's left out."""
    return _digest(key for key in sorted(keys) if key not in classifiers)


def shapes_digest(shapes: Shapes, rules: Sequence[Rule], classifiers: frozenset[str]) -> str:
    """Digest of names and shapes, the classifier left out, the dimensions of the rules masked."""
    masked = {(rule.key, rule.dim) for rule in rules}
    return _digest(
        f"{key} {['*' if (key, i) in masked else n for i, n in enumerate(shapes[key])]}"
        for key in sorted(shapes)
        if key not in classifiers
    )


def _digest(lines: Iterable[str]) -> str:
    text = "\n".join(lines).encode(errors="surrogatepass")
    return hashlib.blake2b(text, digest_size=DIGEST).hexdigest()


@functools.cache
def read_index(path: Path = INDEX) -> Index:
    """Read the index that belongs to the package.

    Raises:
        OSError: If it is missing.
    """
    raw = json.loads(gzip.decompress(path.read_bytes()))
    rules = [Rule(k, d, VARIABLES[v], tuple(t), *more) for k, d, v, t, *more in raw["rules"]]
    entries: dict[str, list[KnownArchitecture]] = {}
    for name, names, shapes, function, chosen in raw["entries"]:
        entry = KnownArchitecture(
            name, shapes, function, tuple(rules[i] for i in raw["rule_sets"][chosen])
        )
        entries.setdefault(names, []).append(entry)
    frozen = {names: tuple(found) for names, found in entries.items()}
    return Index(raw["timm"], frozenset(raw["classifiers"]), frozen)


def unusable() -> str:
    """Why no architecture can be found by its weights; empty if it can."""
    installed = importlib.metadata.version("timm")
    try:
        made_for = read_index().timm
    except OSError:
        return "the index of architectures is missing from this installation"
    if made_for == installed:
        return ""
    return (
        f"the index of architectures was made for timm {made_for}, but {installed} is installed; "
        "`python -m audit.model.index` makes it anew"
    )


def find(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Candidate, ...]:
    """Find the architectures that weights may belong to.

    Args:
        shapes: Shapes of a state dict without wrapper prefixes.

    Returns:
        All architectures whose names and shapes agree, those of this size first; else all whose
        names agree; empty if there is none, or if the index is not for the installed timm.
    """
    if not shapes or unusable():
        return ()
    index = read_index()
    same_names = index.entries.get(names_digest(shapes, index.classifiers), ())
    exact = [c for entry in same_names if (c := _matched(entry, shapes, index)) is not None]
    if exact:
        return tuple(sorted(exact, key=lambda c: not c.own_size))
    why = "the names of the weights agree, their shapes do not: built with other arguments"
    return tuple(Candidate(e.architecture, {}, False, e.function, why) for e in same_names)


def implied(architecture: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """What shapes say of `num_classes` and `in_chans`, the architecture being known.

    Args:
        architecture: Its name, without a tag.
        shapes: Shapes of a state dict, whose widths may be others than the architecture's own.
    """
    rules = () if unusable() else read_index().rules(architecture)
    found = {}
    for variable in ("num_classes", "in_chans"):
        present = [r for r in rules if r.variable == variable and r.key in shapes]
        value = next(_solutions(present, shapes, LARGEST[variable]), None) if present else None
        if value is not None:
            found[variable] = value
    return found


def _matched(entry: KnownArchitecture, shapes: Shapes, index: Index) -> Candidate | None:
    """The candidate if every shape agrees for one value of each variable."""
    if shapes_digest(shapes, entry.rules, index.classifiers) != entry.shapes:
        return None
    kwargs: dict[str, int] = {}
    for variable in VARIABLES:
        rules = [r for r in entry.rules if r.variable == variable]
        present = [r for r in rules if r.key in shapes]
        if len(present) < len(rules) and (present or variable != "num_classes"):
            return None
        if not present:
            continue
        value = next(_solutions(present, shapes, LARGEST[variable]), None)
        if value is None:
            return None
        kwargs[variable] = value
    without = "" if "num_classes" in kwargs else "; the classifier is missing"
    why = f"names and shapes of all {len(shapes)} entries agree{without}"
    own = {rule.default for rule in entry.rules if rule.variable == "img_size"}
    own_size = own == {kwargs.get("img_size")}
    return Candidate(entry.architecture, kwargs, True, entry.function, why, own_size)


def _solutions(rules: Sequence[Rule], shapes: Shapes, largest: int) -> Iterator[int]:
    """Values of a variable that explain all dimensions that follow it."""
    sizes = [(r, shapes[r.key][r.dim]) for r in rules if r.dim < len(shapes[r.key])]
    if len(sizes) < len(rules):
        return
    first, size = sizes[0]
    a, b, c, d = first.terms
    values: Iterable[int] = range(1, largest + 1)
    if b and c == 0:
        values = (value,) if 0 < (value := (d * size - a) // b) <= largest else ()
    for value in (first.default, *values):
        if value and all(rule.holds(value, size) for rule, size in sizes):
            yield value


def choose(
    candidates: Sequence[Candidate], right: Mapping[str, Sequence[bool]]
) -> Candidate | None:
    """Choose by accuracy, if one is clearly best.

    Clearly: against every rival that computes something else, the exact interval of the share of
    images that the best alone gets right, among those that one of the two alone gets right, lies
    above one half (95 % for all rivals together; McNemar's exact test, so that a handful of images
    decides nothing).

    Args:
        candidates: From `find`.
        right: Whether each image is classified right, by architecture; one image in one place.

    Returns:
        The best, or None if it is not clear which that is.
    """
    from scipy.stats import binomtest

    scored = [c for c in candidates if c.architecture in right]
    if not scored:
        return None
    best = max(scored, key=lambda c: sum(right[c.architecture]))
    twin = best.function or None
    matching_architectures = [c for c in scored if c is not best and c.function != twin]
    for rival in matching_architectures:
        pairs = list(zip(right[best.architecture], right[rival.architecture], strict=True))
        alone = sum(a and not b for a, b in pairs)
        against = sum(b and not a for a, b in pairs)
        if not alone + against:
            return None
        interval = binomtest(alone, alone + against).proportion_ci(
            1 - 0.05 / len(matching_architectures)
        )
        if interval.low <= 0.5:
            return None
    return best
