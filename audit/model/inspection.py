"""What a model file is, told without data: everything that an audit would find out by itself.

An inspection goes through the same steps as `audit.model.checkpoint.load_subject` and keeps what
it learnt before the first step that refuses.
"""

import contextlib
import copy
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from audit.core.errors import AuditError
from audit.core.sizes import Size
from audit.model import checkpoint, recorded, signatures
from audit.model.files.content import Content, read_content
from audit.model.files.descriptions import TensorEntry
from audit.model.files.sandbox import Parsing, is_sparse
from audit.model.hub import Place, locate
from audit.model.identity import Identity, identify
from audit.model.network.split import find_cuts
from audit.model.recorded import recorded_args, recorded_name, spec_of
from audit.model.sanity import answer_to_noise, bytes_of, counted, hidden_width
from audit.model.sets import Found
from audit.model.spec import ModelSpec, default_config, resolve_preprocessing
from audit.model.weights import FLOATS, Weights, check, converted, weights_digest, without_constants
from audit.reports.text import visible

MOST_NAMED = 5  # entries or candidates that are listed by name

QUICK = 1.0  # second of processor time: above it shapes without values are followed faster

MOST_BYTES = 2**28  # of values that are read where nothing says that they are a network's


@dataclass
class Inspection:
    """What is known of a model file; None where it is not known.

    Attributes:
        name: Of the file, safe to show.
        bytes: Its size.
        sha256: Digest of the file.
        weights_sha256: Digest of the weights as an audit takes them, whatever the container.
        format: What it is, in words.
        weights: "only", or which of several sets is described: "raw", "ema" (averaged), its name.
        weights_key: Where they stand in the file; empty if they are the whole content.
        other_weights: By what `--weights` takes them: names of sets with the same names and shapes.
        left_out: What else stood among the weights, in words; empty if nothing did.
        entries: Number of tensors in its weights.
        precision: Number of their floating-point values by type.
        parameters: Of the network: what was learnt, without statistics of batch norm.
        not_finite: Names of entries with NaN or infinite values, as far as they are listed.
        not_finite_values: Number of such values; None if they were not read.
        zero: Names of layers whose weights are all zero, as far as they are listed.
        zero_layers: Number of such layers; None if they were not read.
        constant_logits: Whether two images of noise get the same logits.
        architecture: Name that timm knows.
        identified: How it is known, in words.
        candidates: Architectures that fit the weights' names and shapes.
        num_classes: Number of logits.
        class_names: As the file lists them.
        in_chans: Channels of the input.
        img_size: Of the input in pixels: the side of a square, or height and width.
        preprocessing: From image to input.
        pretrained: Whether training began from other weights: yes, no, unknown, or as given.
        recorded: What the training script wrote down beside the weights.
        can: What an audit could do with it, one sentence each.
        cannot: What it could not, and why.
        reason: Code of the refusal; empty if an audit would take the file.
        message: The refusal in one sentence.
    """

    name: str
    bytes: int | None = None
    sha256: str | None = None
    weights_sha256: str | None = None
    format: str | None = None
    weights: str | None = None
    weights_key: str = ""
    other_weights: dict[str, str] = field(default_factory=dict)
    left_out: str = ""
    entries: int | None = None
    precision: dict[str, int] | None = None
    parameters: int | None = None
    not_finite: list[str] = field(default_factory=list)
    not_finite_values: int | None = None
    zero: list[str] = field(default_factory=list)
    zero_layers: int | None = None
    constant_logits: bool | None = None
    architecture: str | None = None
    identified: str | None = None
    candidates: list[dict[str, Any]] = field(default_factory=list)
    num_classes: int | None = None
    class_names: list[str] | None = None
    in_chans: int | None = None
    img_size: Size | None = None
    preprocessing: dict[str, Any] | None = None
    pretrained: str | None = None
    recorded: dict[str, Any] = field(default_factory=dict)
    can: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    reason: str = ""
    message: str = ""


def inspect_model(path: Path, begun: Parsing | None = None, **given: Any) -> Inspection:
    """Find out all that can be told of a model file without data.

    Args:
        path: As for `load_subject`.
        begun: Already at work on this file, if anything is.
        given: Its keyword arguments, and `pretrained_on`.

    Returns:
        What is known; with the reason if an audit would refuse the file.
    """
    found = Inspection(visible(path.name or str(path), 80))
    try:
        place = locate(path)
        path = place.file
        with read_content(path, begun) as content:
            found.sha256 = content.digest
            found.bytes = os.fstat(content.file.fileno()).st_size
            describe(content, place, found, given)
    except AuditError as error:
        found.reason = error.reason
        found.message = str(error).removeprefix(f"{error.reason}: ")
        if found.sha256 is None:
            measure_file(path, found)
    return found


def measure_file(file: Path, found: Inspection) -> None:
    """Size and digest of a file that was refused, if it is a regular file that can be read."""
    with contextlib.suppress(OSError, ValueError):
        if file.is_file():
            found.bytes = file.stat().st_size
            with file.open("rb") as opened:
                if not is_sparse(opened):
                    found.sha256 = hashlib.file_digest(opened, "sha256").hexdigest()


def describe(content: Content, place: Place, found: Inspection, given: Mapping[str, Any]) -> None:
    """Go through the steps of an audit up to the first that refuses."""
    chosen = checkpoint.chosen_from(
        *(content, place, given.get("model"), given.get("model_kwargs")),
        *(given.get("img_size"), given.get("weights")),
    )
    weights, key, found.weights = chosen.weights, chosen.key, chosen.choice
    found.weights_key, found.left_out = chosen.name, chosen.left_out
    found.other_weights = {other.take: other.name for other in chosen.beside}
    record = content.value if key else {}
    found.format = checkpoint.container(content, key, place)
    measure(weights, found)
    args = place.args | recorded_args(record)
    found.recorded = {visible(key, 40): harmless(args[key]) for key in sorted(args)}
    found.pretrained = given.get("pretrained_on") or (
        "yes" if place.fetched else recorded.pretrained(args)
    )
    found.candidates = listed(signatures.find({k: v.shape for k, v in weights.items()}))

    try:
        name = recorded_name(record, args)
        identity = identified(given.get("model"), name, weights, found)
        found.architecture, found.identified = identity.architecture, identity.how
        spec = fitted_spec(identity, args, weights, given)
        outline = recorded.outlined(spec)
        if content.kind == "torchscript":
            weights = without_constants(weights, outline)
        recorded.require_classifier(spec, outline, weights)
        found.num_classes, found.in_chans = spec.num_classes, spec.in_chans
        found.img_size = spec.img_size
        if guessed(spec, identity, args, given):
            found.cannot.append(
                "say how its patches lie: a square is taken, --img-size HEIGHTxWIDTH says otherwise"
            )
        names = checkpoint.class_names(record, place, spec.num_classes)
        found.class_names = None if names is None else [visible(name, 80) for name in names]
        found.preprocessing = asdict(resolve_preprocessing(args, spec))
        expected = outline.state_dict()
        check(weights, expected, visible(spec.architecture))
    except AuditError:
        if sum(bytes_of(stored) for stored in weights.values()) <= MOST_BYTES:
            count(content, weights, found)
        raise
    count(content, weights, found)
    require_images(spec, found)
    if found.not_finite_values:
        raise not_finite(found)
    network = try_out(outline, converted(content, weights, expected), spec, found)
    say_what_for(network, spec, found)


def guessed(
    spec: ModelSpec, identity: Identity, args: Mapping[str, Any], given: Mapping[str, Any]
) -> bool:
    """Whether only the number of patches tells the size, and it is not the architecture's own."""
    told = args.get("input_size") or args.get("img_size") or spec.kwargs.get("img_size")
    own = default_config(spec.architecture).get("input_size", (3, 224, 224))[-1]
    return not told and not given.get("img_size") and spec.img_size == identity.img_size != own


def identified(
    model: str | None, name: object, weights: Mapping[str, TensorEntry], found: Inspection
) -> Identity:
    """The architecture; where several fit alike, the first of them, said so."""
    try:
        return identify(model, name, weights)
    except AuditError:
        exact = [c for c in found.candidates if c["exact"]]
        if model or name or len(exact) < 2:
            raise
    found.cannot.append(
        "say which architecture it is: an audit takes the one that is clearly best on images of "
        "the data, or --model says it"
    )
    first = exact[0]
    how = f"the first of {len(exact)} that fit alike"
    return Identity(first["architecture"], how, first["implied"].get("img_size"))


def harmless(value: object) -> object:
    """A recorded value; as text that is safe to show if it is no number."""
    return value if isinstance(value, bool | int | float | None) else visible(str(value), 200)


def measure(weights: Found, found: Inspection) -> None:
    """Entries, and values by type; nothing is read."""
    found.entries = sum(1 for stored in weights.values() if stored.storage or stored.odd)
    precision: dict[str, int] = {}
    for stored in weights.values():
        if stored.dtype in FLOATS and not stored.odd:
            precision[stored.dtype] = precision.get(stored.dtype, 0) + stored.numel
    found.precision = dict(sorted(precision.items()))


def count(content: Content, weights: Found, found: Inspection) -> None:
    """Values that are no finite numbers, and layers of zeros."""
    bad, zero = counted(content, weights)
    found.not_finite_values, found.zero_layers = sum(bad.values()), len(zero)
    found.not_finite = [visible(key, 80) for key in list(bad)[:MOST_NAMED]]
    found.zero = [visible(key, 80) for key in zero[:MOST_NAMED]]


def require_images(spec: ModelSpec, found: Inspection) -> None:
    """See whether an audit could show images to it; if not, that is said, too.

    Raises:
        AuditError: As an audit would.
    """
    try:
        recorded.require_images(spec)
    except AuditError as error:
        words = str(error).removeprefix(f"{error.reason}: ")
        found.cannot.append(f"be audited: {words[0].lower()}{words[1:].rstrip('.')}")
        raise


def try_out(outline: nn.Module, weights: Weights, spec: ModelSpec, found: Inspection) -> nn.Module:
    """Put the weights into their network and see whether it answers to its input at all.

    Returns:
        The network, without its weights if it takes its time.

    Raises:
        AuditError: As an audit would, if it does not run.
    """
    drawn = needs_drawing(outline, weights)
    width = hidden_width(outline, spec) if drawn else None  # not built if it would not run
    network = spec.build(seed=0) if drawn else copy.deepcopy(outline)
    network.load_state_dict(weights, strict=True, assign=not drawn)
    found.weights_sha256 = weights_digest(weights)
    answer = answer_to_noise(network, spec)
    if width is None:
        ran = answer is not None and answer.classes == spec.num_classes
        width = answer.width if answer and ran else hidden_width(outline, spec)
    found.can.append(
        "be audited: accuracy gap, and intrinsic dimension of its last hidden layer of "
        f"{width:,} values"
    )
    found.constant_logits = answer.constant if answer else None
    if found.constant_logits:
        found.cannot.append(
            "tell images apart: two images of noise get the same logits; an audit measures it all "
            "the same, and says so"
        )
    return network if answer and answer.seconds < QUICK else outline


def needs_drawing(outline: nn.Module, weights: Weights) -> bool:
    """Whether the network has values beside its weights, which only building it gives."""
    plain = [v for m in outline.modules() for v in vars(m).values() if isinstance(v, Tensor)]
    return bool(plain) or any(name not in weights for name, _ in outline.named_buffers())


def fitted_spec(
    identity: Identity, args: Mapping[str, Any], weights: Found, given: Mapping[str, Any]
) -> ModelSpec:
    """The architecture with the classes, channels and size of these weights."""
    size = given.get("img_size")
    spec = spec_of(
        identity.architecture, dict(args), given.get("model_kwargs"), size, identity.img_size
    )
    return recorded.fitted(spec, weights, args, given.get("num_classes"), given.get("in_chans"))


def listed(candidates: Sequence[signatures.Candidate]) -> list[dict[str, Any]]:
    """Candidates as plain values; those that compute the same as the first are marked."""
    return [
        {
            "architecture": c.architecture,
            "implied": c.kwargs,
            "exact": c.exact,
            "function": c.function,
            "same_function_as_first": bool(c.function) and c.function == candidates[0].function,
            "why": c.why,
        }
        for c in candidates
    ]


def not_finite(found: Inspection) -> AuditError:
    """The refusal of weights with NaN or infinite values."""
    names = ", ".join(found.not_finite)
    return AuditError(
        "MODEL_NOT_FINITE",
        f"every weight must be a finite number, but {found.not_finite_values:,} of them are NaN or "
        f"infinite ({names}). Training diverged or the file is damaged: use an earlier checkpoint.",
    )


def say_what_for(network: nn.Module, spec: ModelSpec, found: Inspection) -> None:
    """What an audit could measure of this network, and what it could not."""
    found.parameters = sum(p.numel() for p in network.parameters())
    cuts = find_cuts(network, spec.input_shape)
    usable = [cut for cut in cuts if not cut.shared + cut.unassigned]
    places = f"at {len(usable)} places, {usable[0].name} to {usable[-1].name}" if usable else ""
    if len(usable) < 2:
        found.cannot.append("be cut in two, so transfer and the profile of depth are left out")
    elif all(cut.traced for cut in usable):
        found.can.append(f"be cut in two {places}, for transfer and the profile of depth")
    else:
        found.can.append(f"be cut in two {places}, for transfer, without stored features")
        found.cannot.append("be traced, so what lies before a cut is computed again at every step")
    if found.class_names is None:
        found.cannot.append("name its classes: sorted folder names count, or --class-map says them")
    if found.pretrained == "unknown":
        found.cannot.append("say whether it was pre-trained on other data: --pretrained-on does")
