"""What a model file is, told without data: everything that an audit would find out by itself.

An inspection notes what `audit.model.decision` finds out for an audit, up to the first step that
refuses, and tries the network out.
"""

import contextlib
import copy
import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from audit.core.errors import AuditError
from audit.core.sizes import Size
from audit.model import recorded, signatures
from audit.model.decision import Decision, ModelFile, ModelOptions, decide, read_file
from audit.model.files.content import Content, read_content
from audit.model.files.sandbox import Parsing, is_sparse
from audit.model.hub import locate
from audit.model.identity import Identity
from audit.model.network.split import find_cuts
from audit.model.sanity import answer_to_noise, bytes_of, counted, hidden_width
from audit.model.sets import Found
from audit.model.spec import ModelSpec
from audit.model.weights import FLOATS, Weights, check, converted, weights_digest
from audit.reports.text import visible

MOST_NAMED = 5  # entries or candidates that are listed by name
QUICK = 1.0  # second of processor time: above it shapes without values are followed faster
MOST_BYTES = 2**28  # of values that are read where nothing says that they are a network's


@dataclass
class Inspection:
    """What is known of a model file; None where it is not known.

    Attributes:
        name: Name of the file, safe to show.
        bytes: Its size.
        sha256: Digest of the file.
        weights_sha256: Digest of the weights as an audit takes them, whatever the container.
        format: Container, in words.
        weights: "only", or which of several sets is described: "raw", "ema" (averaged), its name.
        weights_key: Where they stand in the file; empty if they are the whole content.
        other_weights: Names of sets with the same names and shapes, by what `--weights` takes them.
        left_out: Other contents next to the weights, in words; empty if there are none.
        entries: Number of tensors in its weights.
        precision: Number of their floating-point values by type.
        parameters: Number of learnt values of the network, without statistics of batch norm.
        not_finite: Names of entries with NaN or infinite values, as far as they are listed.
        not_finite_values: Number of such values; None if they were not read.
        zero: Names of layers whose weights are all zero, as far as they are listed.
        zero_layers: Number of such layers; None if they were not read.
        constant_logits: Whether two images of noise get the same logits.
        architecture: Name that timm knows.
        identified: How it is known, in words.
        candidates: Architectures that fit the weights' names and shapes.
        num_classes: Number of logits.
        class_names: Class names in the order of the logits, if the file has them.
        in_chans: Channels of the input.
        img_size: Size of the input in pixels: the side of a square, or height and width.
        preprocessing: From image to input.
        pretrained: Whether training began from other weights: yes, no, unknown, or as given.
        recorded: Arguments that the training script wrote into the file.
        can: Things that an audit could do with the file, one sentence each.
        cannot: Things that an audit could not do with it, and why.
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


def inspect_model(
    path: Path, begun: Parsing | None = None, *, pretrained_on: str | None = None, **given: Any
) -> Inspection:
    """Find out all that can be told of a model file without data.

    Args:
        path: Path of the model, as for `load_subject`.
        begun: Child process that already parses this file, if there is one.
        pretrained_on: Data that training began on, as the caller says. Defaults to the file's word.
        given: Keyword arguments of `load_subject`.

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
            file = read_file(place, content, ModelOptions(**given))
            say_file(file, found)
            found.pretrained = pretrained_on or file.pretrained
            decision = decided(file, found)
            require_images(decision.spec, found)
            require_finite(found)
            expected = decision.outline.state_dict()
            weights = converted(content, decision.weights, expected)
            network = try_out(decision, weights, found)
            say_what_for(network, decision.spec, found)
    except AuditError as error:
        found.reason = error.reason
        found.message = error.message
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


def say_file(file: ModelFile, found: Inspection) -> None:
    """Note what the file says; no value of its weights is read."""
    chosen, weights = file.chosen, file.chosen.weights.values()
    found.format = file.container
    found.weights, found.weights_key, found.left_out = chosen.choice, chosen.name, chosen.left_out
    found.other_weights = {other.take: other.name for other in chosen.beside}
    found.entries = sum(1 for stored in weights if stored.storage or stored.odd)
    floats = [stored for stored in weights if stored.dtype in FLOATS and not stored.odd]
    found.precision = {
        dtype: sum(stored.numel for stored in floats if stored.dtype == dtype)
        for dtype in sorted({stored.dtype for stored in floats})
    }
    found.recorded = {visible(key, 40): harmless(file.args[key]) for key in sorted(file.args)}
    found.candidates = listed(file.candidates)


def decided(file: ModelFile, found: Inspection) -> Decision:
    """Decide what the file is and note it, and count its values whether that succeeds or not.

    Raises:
        AuditError: As an audit would.
    """
    weights = file.chosen.weights
    try:
        identity = first_that_fits(file, found)
        found.architecture, found.identified = identity.architecture, identity.how
        decision = decide(file, identity)
        weights = decision.weights
        say_decision(decision, found)
        check(weights, decision.outline.state_dict(), visible(decision.spec.architecture))
    except AuditError:
        if sum(bytes_of(stored) for stored in weights.values()) <= MOST_BYTES:
            count(file.content, weights, found)
        raise
    count(file.content, weights, found)
    return decision


def say_decision(decision: Decision, found: Inspection) -> None:
    """Note what the file is taken to be."""
    spec, names = decision.spec, decision.class_names
    found.num_classes, found.in_chans = spec.num_classes, spec.in_chans
    found.img_size = spec.img_size
    if decision.is_size_guessed:
        found.cannot.append(
            "say how its patches lie: a square is taken, --img-size HEIGHTxWIDTH says otherwise"
        )
    found.class_names = None if names is None else [visible(name, 80) for name in names]
    found.preprocessing = asdict(decision.preprocessing)


def first_that_fits(file: ModelFile, found: Inspection) -> Identity:
    """Find the architecture; where several fit alike, the first of them, and note so."""
    try:
        return file.identity()
    except AuditError:
        exact = [c for c in found.candidates if c["exact"]]
        if file.options.model or file.recorded_name or len(exact) < 2:
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
        words = error.message
        found.cannot.append(f"be audited: {words[0].lower()}{words[1:].rstrip('.')}")
        raise


def try_out(decision: Decision, weights: Weights, found: Inspection) -> nn.Module:
    """Put the weights into their network and see whether it answers to its input at all.

    Returns:
        The network, without its weights if it takes its time.

    Raises:
        AuditError: As an audit would, if it does not run.
    """
    spec, outline = decision.spec, decision.outline
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


def require_finite(found: Inspection) -> None:
    """Refuse weights with NaN or infinite values, whose number is known.

    Raises:
        AuditError: MODEL_NOT_FINITE.
    """
    if found.not_finite_values:
        raise AuditError(
            "MODEL_NOT_FINITE",
            f"every weight must be a finite number, but {found.not_finite_values:,} of them "
            f"are NaN or infinite ({', '.join(found.not_finite)}).",
            "Training diverged or the file is damaged: use an earlier checkpoint.",
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
