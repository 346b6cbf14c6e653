"""Makes the index of `audit.model.signatures`: `python -m audit.model.index`.

Each architecture is built without values (on the meta device): as it is, with other classes and
channels, and in other sizes if it can be told one. What differs is masked, and how it differs
becomes a rule. Takes about ten minutes of one processor core.
"""

import argparse
import functools
import gzip
import hashlib
import json
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from torch import nn

from audit.model.signatures import INDEX, VARIABLES, Rule, Shapes, names_digest, shapes_digest
from audit.model.spec import without_values

CLASSES = (1009, 1013)  # primes, so that no width is mistaken for a class count
CHANNELS = (3, 1)
STEPS = (448, 480, 384)  # sizes are multiples of one of these, so that patches and windows fit

APART = frozenset(  # attributes of modules that say nothing of what they compute
    {"_parameters", "_buffers", "_modules", "training", "feature_info", "pretrained_cfg"}
    | {"default_cfg"}
)


class ExaminedArchitecture(NamedTuple):
    """What the index keeps of one architecture, with plain shapes instead of digests."""

    architecture: str
    shapes: Shapes
    rules: tuple[Rule, ...]
    function: str


def build(architecture: str, **kwargs: Any) -> nn.Module:
    """A network without values.

    Raises:
        Exception: Of any type, where the architecture does not take the arguments.
    """
    with without_values(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: nn.Module = timm.create_model(architecture, pretrained=False, **kwargs)
    return model


def attempt(architecture: str, **kwargs: Any) -> nn.Module | None:
    """A network without values, or None where the architecture does not take the arguments."""
    try:
        return build(architecture, **kwargs)
    except Exception:  # timm's architectures refuse arguments in a dozen ways
        return None


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the state dict."""
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def examine(architecture: str) -> ExaminedArchitecture:
    """Build one architecture in several ways, and find out what its shapes follow."""
    now, then = CLASSES
    plain = build(architecture, num_classes=now)
    shapes = shapes_of(plain)
    side = int(plain.pretrained_cfg["input_size"][-1])  # type: ignore[index]
    sized, found = resized(architecture, shapes, side)
    other = attempt(architecture, num_classes=then, in_chans=CHANNELS[1])
    other = other or build(architecture, num_classes=then)
    rules: list[Rule] = []
    for key, dim, a, b in differing(shapes, shapes_of(other)):
        if (a, b) == CLASSES:
            rules.append(Rule(key, dim, "num_classes", (0, 1, 0, 1)))
        else:
            terms = polynomial(dict(zip(CHANNELS, (a, b), strict=True)))
            rules.append(Rule(key, dim, "in_chans", terms))
    return ExaminedArchitecture(
        architecture, shapes, (*rules, *found), function_digest(sized or plain)
    )


def resized(architecture: str, shapes: Shapes, side: int) -> tuple[nn.Module | None, list[Rule]]:
    """Build an architecture in other sizes.

    Args:
        architecture: Its name.
        shapes: Of its default size, which is `side`.
        side: In pixels.

    Returns:
        A network of a size that does not depend on the default one, and the rules of what follows
        the size; None and no rules if the architecture cannot be told one.
    """
    chosen: list[nn.Module] = []
    found: dict[int, Shapes] = {}
    for step in STEPS:
        models = built(architecture, step, (1,) if step != side else (1, 2))
        if models is None:
            continue
        chosen.append(models[step])
        found = {size: shapes_of(model) for size, model in models.items()}
        if not any(list(differing(shapes, other)) for other in found.values()):
            return chosen[0], []
        more = built(architecture, step, {1, 2, 3} - {size // step for size in found}) or {}
        found |= {size: shapes_of(model) for size, model in more.items()}
        rules = size_rules(found, shapes, side)
        if rules is not None:
            return chosen[0], rules
    if not chosen:
        return None, []
    varying = [(key, dim) for other in found.values() for key, dim, *_ in differing(shapes, other)]
    return chosen[0], [
        Rule(key, dim, "img_size", (0, 0, 0, 0), side, shapes[key][dim])
        for key, dim in sorted(set(varying))
    ]


def built(architecture: str, step: int, times: Iterable[int]) -> dict[int, nn.Module] | None:
    """Networks by size, for some multiples of a step; None if one of them cannot be built."""
    models: dict[int, nn.Module] = {}
    for size in (step * i for i in times):
        model = attempt(architecture, num_classes=CLASSES[0], img_size=size)
        if model is None:
            return None
        models[size] = model
    return models


def size_rules(found: Mapping[int, Shapes], shapes: Shapes, side: int) -> list[Rule] | None:
    """Rules of what follows the size.

    Args:
        found: Shapes by size, three of them.
        shapes: Of the default size.
        side: The default size.

    Returns:
        The rules, or None if polynomials of second degree without a fraction as their constant do
        not explain all dimensions.
    """
    if len(found) < 3 or any(other.keys() != shapes.keys() for other in found.values()):
        return None
    one, *others = found.values()
    varying = sorted({(key, dim) for other in others for key, dim, *_ in differing(one, other)})
    rules = []
    for key, dim in varying:
        terms = polynomial({size: found[size][key][dim] for size in found})
        rules.append(Rule(key, dim, "img_size", terms, side, shapes[key][dim]))
        if terms[0] % terms[3]:
            return None  # rounding: three points always lie on some parabola
    masked = shapes_digest(shapes, rules, frozenset())
    return rules if shapes_digest(one, rules, frozenset()) == masked else None


def differing(a: Shapes, b: Shapes) -> Iterator[tuple[str, int, int, int]]:
    """Every dimension that differs between two state dicts: key, which, in one, in the other."""
    for key in sorted(a.keys() & b.keys()):
        if len(a[key]) == len(b[key]):
            for dim, (now, then) in enumerate(zip(a[key], b[key], strict=True)):
                if now != then:
                    yield key, dim, now, then


def polynomial(points: Mapping[int, int]) -> tuple[int, int, int, int]:
    """Coefficients a, b, c and d of (a + b·v + c·v²) / d through two or three points.

    Newton's divided differences; d is the least common denominator.
    """
    x, y = list(points), [Fraction(value) for value in points.values()]
    slope = (y[1] - y[0]) / (x[1] - x[0])
    bend = Fraction(0)
    if len(x) == 3:
        bend = ((y[2] - y[1]) / (x[2] - x[1]) - slope) / (x[2] - x[0])
    terms = (y[0] - slope * x[0] + bend * x[0] * x[1], slope - bend * (x[0] + x[1]), bend)
    d = math.lcm(*(term.denominator for term in terms))
    a, b, c = (int(term * d) for term in terms)
    return a, b, c, d


def function_digest(model: nn.Module) -> str:
    """Digest of all that decides what a network computes from its weights.

    Types of all modules, and their plain attributes. Equal digests mean equal logits; unequal ones
    may differ in a name alone.
    """
    digest = hashlib.blake2b(digest_size=6)
    for name, module in model.named_modules():
        digest.update(f"{name} {type(module).__qualname__}\n".encode())
        for key in sorted(vars(module).keys() - APART):
            digest.update(f"{key} {described(vars(module)[key], 5)}\n".encode())
    return digest.hexdigest()


def described(value: object, depth: int) -> str:
    """A value in words that do not depend on where it lies in memory."""
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return repr(value)
    if isinstance(value, nn.Module | torch.Tensor) or depth == 0:
        return type(value).__qualname__
    if isinstance(value, functools.partial):
        return described([value.func, value.args, value.keywords], depth - 1)
    if isinstance(value, Mapping):
        pairs = sorted((str(k), described(v, depth - 1)) for k, v in value.items())
        return f"{pairs}"
    if isinstance(value, tuple | list):
        return f"{[described(v, depth - 1) for v in value]}"
    if isinstance(value, set | frozenset):
        return f"{sorted(described(v, depth - 1) for v in value)}"
    named = getattr(value, "__qualname__", None)
    if named is not None:
        return f"{getattr(value, '__module__', '')}.{named}"
    return f"{type(value).__qualname__} {described(getattr(value, '__dict__', {}), depth - 1)}"


def packed(found: Sequence[ExaminedArchitecture]) -> bytes:
    """The content of the index's file; the same bytes for the same architectures."""
    classifiers = frozenset(
        rule.key for one in found for rule in one.rules if rule.variable == "num_classes"
    )
    rules = sorted({rule for one in found for rule in one.rules}, key=repr)
    places = {rule: i for i, rule in enumerate(rules)}
    sets = sorted({tuple(sorted(places[r] for r in one.rules)) for one in found})
    entries = [
        [
            one.architecture,
            names_digest(one.shapes, classifiers),
            shapes_digest(one.shapes, one.rules, classifiers),
            one.function,
            sets.index(tuple(sorted(places[r] for r in one.rules))),
        ]
        for one in found
    ]
    content = {
        "timm": timm.__version__,
        "classifiers": sorted(classifiers),
        "rules": [
            [r.key, r.dim, VARIABLES.index(r.variable), r.terms]
            + ([r.default, r.size] if r.default else [])
            for r in rules
        ],
        "rule_sets": sets,
        "entries": entries,
    }
    text = json.dumps(content, separators=(",", ":"))
    return gzip.compress(text.encode(), 9, mtime=0)


def main() -> None:
    """Make the index and put it in its place."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=INDEX)
    parser.add_argument("names", nargs="*", help="only these architectures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = options.names or timm.list_models()
    found = []
    for i, name in enumerate(names):
        found.append(examine(name))
        if i % 50 == 49:
            print(f"{i + 1} of {len(names)}", file=sys.stderr, flush=True)
    temporary = options.out.with_name(f".{options.out.name}.part")
    temporary.write_bytes(packed(found))
    temporary.replace(options.out)


if __name__ == "__main__":
    main()
