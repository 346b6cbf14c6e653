"""The audited model, rebuilt from a file that nobody vouches for."""

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from audit.core.errors import AuditError
from audit.core.sizes import Size
from audit.model import recorded, signatures
from audit.model.files.content import Content, read_content
from audit.model.hub import Place, locate
from audit.model.identity import identify
from audit.model.recorded import recorded_args, recorded_name, spec_of
from audit.model.sanity import hidden_width
from audit.model.sets import ChosenWeights, Found, choose
from audit.model.spec import ModelSpec, Preprocessing, require_known, resolve_preprocessing
from audit.model.weights import FLOATS, check, converted, weights_digest, without_constants
from audit.reports.text import visible

KINDS = {
    "safetensors": "safetensors",
    "torchscript": "TorchScript archive, its weights read without running it",
    "exported": "torch.export archive, its weights read without running it",
}


@dataclass(frozen=True)
class Subject:
    """The classifier being audited.

    Attributes:
        name: Of the file or folder, without its ending, safe to show.
        spec: Builds the same architecture with fresh weights.
        preprocessing: From image to input.
        model: The network with its weights, eval mode, float32, CPU.
        weights_digest: SHA-256 of the weights as audited, independent of the container.
        file: That holds the weights: the one given, or the one in the folder given.
        file_digest: SHA-256 of it.
        container: What it is, in words.
        identified: How the architecture is known, in words.
        precision: Types of its floating-point weights as stored ("float16").
        weights: "only" if the file held one set of weights; else which was taken: "raw", "ema"
            (averaged), or the set's name.
        pretrained: Whether training began from other weights, as far as the file says.
        class_names: In the order of the logits, if the file names them.
        natural_order: Whether timm's training script numbered the class folders, "2" before "10".
        training_args: Plain values that the training script recorded.
        beside: What else the file holds that could be taken for its weights, one sentence each.
    """

    name: str
    spec: ModelSpec
    preprocessing: Preprocessing
    model: nn.Module
    weights_digest: str
    file: Path
    file_digest: str
    container: str
    identified: str
    precision: tuple[str, ...]
    weights: str
    pretrained: Literal["yes", "no", "unknown"]
    class_names: tuple[str, ...] | None
    natural_order: bool
    training_args: dict[str, Any]
    beside: tuple[str, ...] = ()


def load_subject(
    path: Path,
    *,
    model: str | None = None,
    model_kwargs: dict[str, Any] | None = None,
    num_classes: int | None = None,
    img_size: Size | None = None,
    in_chans: int | None = None,
    weights: str | None = None,
) -> Subject:
    """Read a checkpoint and rebuild its network.

    What the caller gives wins over what the file records, that over what its weights' names and
    shapes imply, and that over timm's defaults; class count and input channels are read off the
    weights. Nothing in the file is run, and its values are read only after names, shapes and types
    have been found to be those of the architecture.

    Args:
        path: A timm training checkpoint, a state dict (plain or wrapped), safetensors, an archive
            of TorchScript or torch.export, or a folder saved for the Hub; or a name of timm whose
            pretrained weights are on this disk.
        model: timm architecture; needed where neither the file nor its weights tell it.
        model_kwargs: Further arguments of the architecture.
        num_classes: What the caller believes; must agree with the weights.
        img_size: Of the input, in pixels.
        in_chans: 1 or 3.
        weights: Which set to audit where the file holds several: "raw", "ema" or its name
            (default: averaged before raw).

    Raises:
        AuditError: The file or what it holds cannot be audited; codes begin with "MODEL_".
    """
    place = locate(path)
    with read_content(place.file) as content:
        chosen = chosen_from(content, place, model, model_kwargs, img_size, weights)
        state, key = chosen.weights, chosen.key
        record = content.value if key else {}
        args = place.args | recorded_args(record)
        identity = identify(model, recorded_name(record, args), state)
        spec = spec_of(identity.architecture, args, model_kwargs, img_size, identity.img_size)
        spec = recorded.fitted(spec, state, args, num_classes, in_chans)
        outline = recorded.outlined(spec)
        if content.kind == "torchscript":
            state = without_constants(state, outline)
        expected = outline.state_dict()
        recorded.require_classifier(spec, outline, state)
        check(state, expected, visible(identity.architecture))
        recorded.require_images(spec)
        hidden_width(outline, spec)
        values = converted(content, state, expected)
    network = spec.build(seed=0)
    network.load_state_dict(values, strict=True)
    return Subject(
        name=visible(place.name, 80),
        spec=spec,
        preprocessing=resolve_preprocessing(args, spec),
        model=network,
        weights_digest=weights_digest(network.state_dict()),
        file=place.file,
        file_digest=content.digest,
        container=container(content, key, place),
        identified=identity.how,
        precision=tuple(sorted({w.dtype for w in state.values()} & set(FLOATS))),
        weights=chosen.choice,
        pretrained="yes" if place.fetched else recorded.pretrained(args),
        class_names=class_names(record, place, spec.num_classes),
        natural_order=recorded.natural_order(record, args),
        training_args=args,
        beside=chosen.notes,
    )


def candidates(path: Path, weights: str | None = None) -> tuple[signatures.Candidate, ...]:
    """Architectures that a file's weights may belong to, by names and shapes alone.

    Args:
        path: As for `load_subject`.
        weights: Likewise.

    Raises:
        AuditError: The file cannot be read, or holds no weights.
    """
    place = locate(path)
    with read_content(place.file) as content:
        chosen = chosen_from(content, place, None, None, None, weights)
    return signatures.find({k: v.shape for k, v in chosen.weights.items()})


def chosen_from(
    content: Content,
    place: Place,
    model: str | None,
    model_kwargs: dict[str, Any] | None,
    img_size: Size | None,
    weights: str | None,
) -> ChosenWeights:
    """The set of weights that is audited; arguments as those of `load_subject`."""
    record = content.value if isinstance(content.value, Mapping) else {}
    args = place.args | recorded_args(record)
    named = model or recorded_name(record, args)
    base = ""
    with contextlib.suppress(AuditError):  # which follows when the architecture is asked for
        base = require_known(named).partition(".")[0]

    @functools.cache
    def names() -> frozenset[str]:
        spec = spec_of(base, args, model_kwargs, img_size, None)
        return frozenset(recorded.outlined(spec).state_dict())

    def fits(part: Found) -> bool:
        found = signatures.find({key: value.shape for key, value in part.items()})
        if not base:
            return bool(found)
        return any(c.architecture == base for c in found) or part.keys() == names()

    return choose(content.value, content.name, weights, fits)


def class_names(record: dict[Any, Any], place: Place, num_classes: int) -> tuple[str, ...] | None:
    """Class names in the order of the logits, if the file or its folder lists as many."""
    known = {"class_names": place.class_names} if place.class_names is not None else record
    return recorded.class_names(known, num_classes)


def container(content: Content, key: str, place: Place) -> str:
    """What the file is, in words."""
    return f"{_kind(content, key)} in a folder for the Hub" if place.args else _kind(content, key)


def _kind(content: Content, key: str) -> str:
    if content.kind in KINDS:
        return KINDS[content.kind]
    if not key:
        return "plain state dict"
    record = content.value
    if "pytorch-lightning_version" in record:
        return "Lightning checkpoint"
    if "arch" in record or "args" in record:
        return "timm training checkpoint"
    return f"wrapped state dict ({visible(key, 40)!r})"
