"""The audited model, rebuilt from a file that nobody vouches for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from audit.core.sizes import Size
from audit.model import recorded, signatures
from audit.model.decision import Decision, ModelOptions, decide, read_file
from audit.model.files.content import read_content
from audit.model.hub import locate
from audit.model.sanity import hidden_width
from audit.model.spec import ModelSpec, Preprocessing
from audit.model.weights import FLOATS, Weights, weights_digest
from audit.reports.text import visible


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
    options = ModelOptions(model, model_kwargs, num_classes, img_size, in_chans, weights)
    place = locate(path)
    with read_content(place.file) as content:
        file = read_file(place, content, options)
        decision = decide(file, file.identity())
        values = checked_values(decision)
    return filled(decision, values)


def checked_values(decision: Decision) -> Weights:
    """Read the weights of a model that an audit can take.

    Raises:
        AuditError: It cannot, for a reason that `decide` does not know.
    """
    decision.check()
    recorded.require_images(decision.spec)
    hidden_width(decision.outline, decision.spec)
    return decision.values()


def filled(decision: Decision, values: Weights) -> Subject:
    """Build the network that was decided on, with its weights."""
    file, spec = decision.file, decision.spec
    network = spec.build(seed=0)
    network.load_state_dict(values, strict=True)
    return Subject(
        name=visible(file.place.name, 80),
        spec=spec,
        preprocessing=decision.preprocessing,
        model=network,
        weights_digest=weights_digest(network.state_dict()),
        file=file.place.file,
        file_digest=file.content.digest,
        container=file.container,
        identified=decision.identity.how,
        precision=tuple(sorted({w.dtype for w in decision.weights.values()} & set(FLOATS))),
        weights=file.chosen.choice,
        pretrained=file.pretrained,
        class_names=decision.class_names,
        natural_order=recorded.natural_order(file.record, file.args),
        training_args=file.args,
        beside=file.chosen.notes,
    )


def candidates(path: Path, weights: str | None = None) -> tuple[signatures.Candidate, ...]:
    """Find the architectures that a file's weights may belong to, by names and shapes alone.

    Args:
        path: Path of the model, as for `load_subject`.
        weights: Set of weights, as for `load_subject`.

    Raises:
        AuditError: The file cannot be read, or holds no weights.
    """
    place = locate(path)
    with read_content(place.file) as content:
        return read_file(place, content, ModelOptions(weights=weights)).candidates
