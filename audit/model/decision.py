"""What a model file says of itself, and what it is taken to be: the first two steps of loading.

`read_file` gathers what file and folder say, `decide` makes of it one record of what the model is.
An audit fills and checks that record (`audit.model.checkpoint`), an inspection prints it.
"""

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from audit.core.errors import AuditError
from audit.core.sizes import Size
from audit.model import recorded, signatures
from audit.model.files.content import Content
from audit.model.hub import Place
from audit.model.identity import Identity, identify
from audit.model.sets import ChosenWeights, Found, choose
from audit.model.spec import (
    ModelSpec,
    Preprocessing,
    default_config,
    require_known,
    resolve_preprocessing,
)
from audit.model.weights import without_constants
from audit.reports.text import visible

CONTAINERS = {
    "safetensors": "safetensors",
    "torchscript": "TorchScript archive, its weights read without running it",
    "exported": "torch.export archive, its weights read without running it",
}


@dataclass(frozen=True)
class ModelOptions:
    """What the caller says of a model; None leaves it to the file.

    Attributes:
        model: timm architecture.
        model_kwargs: Further arguments of the architecture.
        num_classes: Number of logits.
        img_size: Size of the input, in pixels.
        in_chans: Number of channels of the input.
        weights: Set of weights to take where the file holds several.
    """

    model: str | None = None
    model_kwargs: dict[str, Any] | None = None
    num_classes: int | None = None
    img_size: Size | None = None
    in_chans: int | None = None
    weights: str | None = None


@dataclass(frozen=True)
class ModelFile:
    """What a model file and its folder say, not yet believed.

    Attributes:
        place: Where the weights are, and what is next to them.
        content: Content of the file.
        options: What the caller says, who wins over the file.
        record: Entries of the file by name, its weights included.
        args: Plain values that the training script recorded.
        recorded_name: What the file says its architecture is.
        chosen: The set of weights that is taken, and the others.
    """

    place: Place
    content: Content
    options: ModelOptions
    record: Mapping[Any, Any]
    args: dict[str, Any]
    recorded_name: object
    chosen: ChosenWeights

    @property
    def container(self) -> str:
        """What the file is, in words."""
        return f"{self._kind} in a folder for the Hub" if self.place.args else self._kind

    @property
    def _kind(self) -> str:
        if self.content.kind in CONTAINERS:
            return CONTAINERS[self.content.kind]
        if not self.chosen.key:
            return "plain state dict"
        if "pytorch-lightning_version" in self.record:
            return "Lightning checkpoint"
        if "arch" in self.record or "args" in self.record:
            return "timm training checkpoint"
        return f"wrapped state dict ({visible(self.chosen.key, 40)!r})"

    @property
    def pretrained(self) -> Literal["yes", "no", "unknown"]:
        """Whether training began from other weights, as far as the file says."""
        return "yes" if self.place.fetched else recorded.pretrained(self.args)

    @property
    def candidates(self) -> tuple[signatures.Candidate, ...]:
        """Architectures that the weights may belong to, by names and shapes alone."""
        return signatures.find({k: v.shape for k, v in self.chosen.weights.items()})

    def identity(self) -> Identity:
        """Find the architecture: the caller's, the recorded one, or that of the weights.

        Raises:
            AuditError: MODEL_ARCH_UNKNOWN.
        """
        return identify(self.options.model, self.recorded_name, self.chosen.weights)


@dataclass(frozen=True)
class Decision:
    """What a model file is taken to be.

    Attributes:
        file: What the file says.
        identity: The architecture, and how it is known.
        spec: Builds the architecture with the classes, channels and size of these weights.
        outline: The network without values.
        weights: Its weights, not yet read.
        class_names: Class names in the order of the logits, if the file names them.
    """

    file: ModelFile
    identity: Identity
    spec: ModelSpec
    outline: nn.Module
    weights: Found
    class_names: tuple[str, ...] | None

    @property
    def preprocessing(self) -> Preprocessing:
        """From image to input: what is recorded, else timm's configuration.

        Raises:
            AuditError: MODEL_ARGS if what is recorded cannot be used.
        """
        return resolve_preprocessing(self.file.args, self.spec)

    @property
    def is_size_guessed(self) -> bool:
        """Whether only the number of patches tells a size, and not the architecture's own one."""
        args, size = self.file.args, self.spec.img_size
        told = args.get("input_size") or args.get("img_size") or self.spec.kwargs.get("img_size")
        own = default_config(self.spec.architecture).get("input_size", (3, 224, 224))[-1]
        return not (told or self.file.options.img_size) and size == self.identity.img_size != own


def read_file(place: Place, content: Content, options: ModelOptions) -> ModelFile:
    """Gather what a model file and its folder say, and choose one of its sets of weights.

    Raises:
        AuditError: MODEL_NO_WEIGHTS, or MODEL_DTYPE if they are quantised.
    """
    record = content.value if isinstance(content.value, Mapping) else {}
    args = place.args | recorded.recorded_args(record)
    named, base = recorded.recorded_name(record, args), ""
    with contextlib.suppress(AuditError):  # which follows when the architecture is asked for
        base = require_known(options.model or named).partition(".")[0]

    @functools.cache
    def names() -> frozenset[str]:
        spec = recorded.spec_of(base, args, options.model_kwargs, options.img_size, None)
        return frozenset(recorded.outlined(spec).state_dict())

    def fits(part: Found) -> bool:
        found = signatures.find({key: value.shape for key, value in part.items()})
        if not base:
            return bool(found)
        return any(c.architecture == base for c in found) or part.keys() == names()

    chosen = choose(content.value, content.name, options.weights, fits)
    return ModelFile(place, content, options, record, args, named, chosen)


def decide(file: ModelFile, identity: Identity) -> Decision:
    """Decide what a model file is.

    What the caller says wins over what the file records, that over what names and shapes of the
    weights imply, and that over timm's defaults; class count and input channels are read off the
    weights.

    Args:
        file: What the file says.
        identity: Its architecture, from `ModelFile.identity`.

    Raises:
        AuditError: MODEL_ARGS, MODEL_CLASS_MISMATCH or MODEL_ARCH_MISMATCH.
    """
    args, given, weights = file.args, file.options, file.chosen.weights
    spec = recorded.spec_of(
        identity.architecture, args, given.model_kwargs, given.img_size, identity.img_size
    )
    spec = recorded.fitted(spec, weights, args, given.num_classes, given.in_chans)
    outline = recorded.outlined(spec)
    if file.content.kind == "torchscript":
        weights = without_constants(weights, outline)
    recorded.require_classifier(spec, outline, weights)
    listed = file.place.class_names
    known = file.record if listed is None else {"class_names": listed}
    names = recorded.class_names(known, spec.num_classes)
    return Decision(file, identity, spec, outline, weights, names)
