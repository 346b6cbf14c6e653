"""Which architecture a file's weights belong to: said by the caller or the file, or found."""

from collections.abc import Mapping
from typing import NamedTuple

from audit.core.errors import AuditError
from audit.model import signatures
from audit.model.files.descriptions import TensorEntry
from audit.model.signatures import Candidate
from audit.model.spec import default_config, require_known
from audit.reports.text import visible

GIVEN = "given with --model"
RECORDED = "recorded in the file"
FOUND = "found by its keys and shapes"
PREPARED = ("mean", "std", "interpolation", "crop_pct", "crop_mode", "input_size")


class Identity(NamedTuple):
    """An architecture, and how it is known.

    Attributes:
        architecture: A name that timm knows.
        how: GIVEN, RECORDED or FOUND.
        img_size: Side of the input that the shapes of the weights imply, if they do.
    """

    architecture: str
    how: str
    img_size: int | None


def identify(given: str | None, recorded: object, weights: Mapping[str, TensorEntry]) -> Identity:
    """Decide on an architecture.

    Args:
        given: By the caller, who wins.
        recorded: In the file.
        weights: Their names and shapes; looked up where neither says anything.

    Raises:
        AuditError: MODEL_ARCH_UNKNOWN if the name is not timm's, or if no architecture or more
            than one fits the weights.
    """
    candidates = signatures.find({key: value.shape for key, value in weights.items()})
    if given or recorded:
        name = require_known(given or recorded)
        base = name.partition(".")[0]
        same = [c for c in candidates if c.architecture.partition(".")[0] == base]
        return Identity(name, GIVEN if given else RECORDED, _side(same))
    exact = [candidate for candidate in candidates if candidate.exact]
    if len({c.function for c in exact}) == 1 and sum(c.own_size for c in exact) == 1:
        exact = [c for c in exact if c.own_size]  # the others were made for another size
    if not exact or not all(_alike(candidate, exact[0]) for candidate in exact):
        raise _undecided(candidates, weights)
    return Identity(exact[0].architecture, FOUND, _side(exact))


def _side(candidates: list[Candidate]) -> int | None:
    """The side that the shapes tell; none where they only agree with a default, which is no square.

    Position embeddings tell how many patches there are, not how they lie.
    """
    if not candidates:
        return None
    first = candidates[0]
    height, width = default_config(first.architecture).get("input_size", (3, 1, 1))[1:]
    return None if first.own_size and height != width else first.kwargs.get("img_size")


def _alike(a: Candidate, b: Candidate) -> bool:
    """Whether two architectures compute the same, and timm prepares images alike for both."""
    if a.architecture == b.architecture:
        return True
    mine, other = default_config(a.architecture), default_config(b.architecture)
    compared = PREPARED[:-1] if "img_size" in a.kwargs else PREPARED  # the shapes tell the size
    same = all(mine.get(key) == other.get(key) for key in compared)
    return bool(a.function) and a.function == b.function and same


def _begin_with(weights: Mapping[str, TensorEntry]) -> str:
    """How the names of weights begin, in words."""
    heads = list(dict.fromkeys(key.partition(".")[0] for key in weights if "." in key))
    shown = ", ".join(repr(visible(f"{head}.", 40)) for head in heads[:4])
    more = f" and {len(heads) - 4} more" if len(heads) > 4 else ""
    return f"; their names begin with {shown}{more}" if shown else ""


def _undecided(candidates: tuple[Candidate, ...], weights: Mapping[str, TensorEntry]) -> AuditError:
    names = ", ".join(visible(c.architecture) for c in candidates[:6])
    more = f" and {len(candidates) - 6} more" if len(candidates) > 6 else ""
    if candidates and candidates[0].exact:
        why = f"its weights fit {len(candidates)} alike ({names}{more})"
        remedy = "Give one of them with `--model NAME`"
    elif candidates:
        why = f"its weights are named like those of {names}{more}, but have other shapes"
        remedy = "Give `--model NAME`, and `--model-kwargs` for what it was built with"
    else:
        why = signatures.unusable() or "its weights fit none that timm knows" + _begin_with(weights)
        remedy = "Give `--model NAME`, with a name from `timm.list_models()`"
    return AuditError(
        "MODEL_ARCH_UNKNOWN",
        f"the file does not say which architecture it is, and {why}. {remedy}.",
    )
