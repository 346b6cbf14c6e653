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
from audit.model.weights import Weights, check, converted, weights_digest
from audit.reports.text import visible


@dataclass(frozen=True)
class Subject:
    """The classifier being audited.

    Attributes:
        name: Name of the file or folder, without its ending, safe to show.
        spec: Builds the same architecture with fresh weights.
        preprocessing: Steps from image to input.
        model: The network with its weights, eval mode, float32, CPU.
        weights_digest: SHA-256 of the weights as audited, independent of the container.
        file: File that holds the weights: the one given, or the one in the folder given.
        file_digest: SHA-256 of that file.
        container: What the file is, in words.
        identified: How the architecture is known, in words.
        weights: "only" if the file held one set of weights; else which was taken: "raw", "ema"
            (averaged), or the set's name.
        pretrained: Whether training began from other weights, as far as the file says.
        class_names: Class names in the order of the logits, if the file has them.
        natural_order: Whether timm's training script numbered the class folders, "2" before "10".
        training_args: Plain values that the training script recorded.
        beside: Other contents that could be taken for the weights, one sentence each.
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

    Nothing in the file is run, and its values are read only after names, shapes and types have
    been found to be those of the architecture.

    Args:
        path: A timm training checkpoint, a state dict (plain or wrapped), safetensors, an archive
            of TorchScript or torch.export, or a folder saved for the Hub; or a name of timm whose
            pretrained weights are on this disk.
        model: timm architecture; needed if neither the file nor its weights say it.
        model_kwargs: Further arguments of the architecture.
        num_classes: Number of classes; must agree with the weights.
        img_size: Size of the input, in pixels.
        in_chans: Channels of the input, 1 or 3.
        weights: Set of weights to audit if the file has several: "raw", "ema" or its name.
            Defaults to averaged before raw ones.

    Raises:
        AuditError: The file or what it holds cannot be audited; codes begin with "MODEL_".
    """
    options = ModelOptions(model, model_kwargs, num_classes, img_size, in_chans, weights)
    place = locate(path)
    with read_content(place.file) as content:
        file = read_file(place, content, options)
        decision = decide(file, file.identity())
        expected = decision.outline.state_dict()
        check(decision.weights, expected, visible(decision.spec.architecture))
        recorded.require_images(decision.spec)
        hidden_width(decision.outline, decision.spec)
        values = converted(content, decision.weights, expected)
    return filled(decision, values)


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
