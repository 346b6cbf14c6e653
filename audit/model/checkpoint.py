"""The audited model, rebuilt from a file that nobody vouches for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from audit.model.inert import plain
from audit.model.reading import Content, read_content
from audit.model.spec import (
    MAX_SIDE,
    ModelSpec,
    Preprocessing,
    default_config,
    require_harmless,
    require_known,
    resolve_preprocessing,
)
from audit.model.weights import Choice, Weights, check, choose, converted, weights_digest
from audit.record import AuditError
from reports.text import visible

# Arguments of timm's training script that change what is built: recorded name, model's argument.
RECORDED = {
    "gp": "global_pool",
    "drop": "drop_rate",
    "drop_path": "drop_path_rate",
    "bn_eps": "bn_eps",
    "bn_momentum": "bn_momentum",
}


@dataclass(frozen=True)
class Subject:
    """The classifier being audited.

    Attributes:
        name: Of the file, without its ending, safe to show.
        spec: Builds the same architecture with fresh weights.
        preprocessing: From image to input.
        model: The network with its weights, eval mode, float32, CPU.
        weights_digest: SHA-256 of the weights as audited, independent of the container.
        file_digest: SHA-256 of the file.
        container: What the file is, in words.
        weights: Whether the file held one set, or which of raw and averaged was taken.
        pretrained: Whether training began from other weights, as far as the file says.
        class_names: In the order of the logits, if the file names them.
        training_args: Plain values that the training script recorded.
    """

    name: str
    spec: ModelSpec
    preprocessing: Preprocessing
    model: nn.Module
    weights_digest: str
    file_digest: str
    container: str
    weights: Choice
    pretrained: Literal["yes", "no", "unknown"]
    class_names: tuple[str, ...] | None
    training_args: dict[str, Any]


def load_subject(
    path: Path,
    *,
    model: str | None = None,
    model_kwargs: dict[str, Any] | None = None,
    num_classes: int | None = None,
    img_size: int | None = None,
    in_chans: int | None = None,
    weights: Literal["ema", "raw"] | None = None,
) -> Subject:
    """Read a checkpoint and rebuild its network.

    What the caller gives wins over what the file records, and that over timm's defaults; class
    count and input channels are read off the weights.

    Args:
        path: A timm training checkpoint, a state dict (plain or wrapped), or safetensors.
        model: timm architecture, needed where the file does not name it.
        model_kwargs: Further arguments of the architecture.
        num_classes: What the caller believes; must agree with the weights.
        img_size: Side of the square input in pixels.
        in_chans: 1 or 3.
        weights: Which set to audit where the file holds raw and averaged ones (default: averaged).

    Raises:
        AuditError: The file or what it holds cannot be audited; codes begin with "MODEL_".
    """
    content = read_content(path)
    name = visible(path.name, 80)
    state, key, choice = choose(content.value, name, weights)
    record = content.value if key else {}
    args = plain(record.get("args")) if "args" in record else {}
    args = args if isinstance(args, dict) else {}
    recorded = record.get("arch") if isinstance(record.get("arch"), str) else args.get("model")
    architecture = require_known(model or recorded)

    kwargs = _model_kwargs(args, model_kwargs, img_size)
    side = _side(kwargs, args, img_size, architecture)
    spec = ModelSpec(architecture, kwargs, num_classes or 1000, in_chans or 3, side)
    spec = _fitted(spec, state, args, num_classes, in_chans)
    expected = spec.outline().state_dict()
    check(state, expected, visible(architecture))
    state = converted(state, expected)
    network = spec.build(seed=0)
    network.load_state_dict(state, strict=True)
    return Subject(
        name=visible(path.stem, 80),
        spec=spec,
        preprocessing=resolve_preprocessing(args, spec),
        model=network,
        weights_digest=weights_digest(network.state_dict()),
        file_digest=content.digest,
        container=_container(content, key),
        weights=choice,
        pretrained=_pretrained(args),
        class_names=_class_names(record, spec.num_classes),
        training_args=args,
    )


def _model_kwargs(
    args: Mapping[str, Any], given: dict[str, Any] | None, img_size: int | None
) -> dict[str, Any]:
    """Arguments of the architecture: recorded, then overridden by the caller's."""
    recorded = args.get("model_kwargs")
    kwargs = require_harmless(recorded if isinstance(recorded, dict) else {})
    kwargs |= {RECORDED[k]: v for k, v in args.items() if k in RECORDED and v}
    kwargs |= require_harmless({} if given is None else given)
    if img_size is not None and "img_size" in kwargs:
        kwargs["img_size"] = img_size
    return kwargs


def _side(
    kwargs: Mapping[str, Any], args: Mapping[str, Any], img_size: int | None, architecture: str
) -> int:
    """Side of the input in pixels: the caller's, the recorded one, timm's default."""
    config = default_config(architecture)
    candidates = (
        img_size,
        kwargs.get("img_size"),
        args.get("img_size"),
        args.get("input_size"),
        config.get("input_size"),
    )
    side = next((c for c in candidates if c is not None), 224)
    if isinstance(side, (list, tuple)) and side and len(set(side[-2:])) == 1:
        side = side[-1]
    if type(side) is not int or not 1 <= side <= MAX_SIDE:
        raise AuditError(
            "MODEL_ARGS",
            f"the input must be a square of 1 to {MAX_SIDE} pixels, but its size is given as "
            f"{visible(str(side), 60)}. Give `--img-size N`.",
        )
    return side


def _fitted(
    spec: ModelSpec,
    state: Weights,
    args: Mapping[str, Any],
    num_classes: int | None,
    in_chans: int | None,
) -> ModelSpec:
    """Read class count and input channels off the weights, where the caller does not say."""
    config = spec.outline().pretrained_cfg
    assert isinstance(config, Mapping)
    stem = _first(config.get("first_conv"))
    if in_chans is None:
        in_chans = _recorded_channels(args)
        if f"{stem}.weight" in state and state[f"{stem}.weight"].dim() == 4:
            in_chans = state[f"{stem}.weight"].shape[1]
    head = _first(config.get("classifier"))
    held = None
    for key in (f"{head}.weight", f"{head}.bias"):
        if key in state and state[key].dim() > 0:
            held = state[key].shape[0]
            break
    if held is not None and num_classes is not None and held != num_classes:
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            f"the weights give {held} classes, but {num_classes} were asked for. Audit the model "
            "on the classes that it was trained for.",
        )
    recorded = args.get("num_classes")
    classes = held or num_classes or (recorded if type(recorded) is int else spec.num_classes)
    return ModelSpec(spec.architecture, spec.kwargs, classes, in_chans, spec.img_size)


def _first(names: object) -> str | None:
    """The name of one layer, where timm names one, several or none."""
    if isinstance(names, (list, tuple)):
        names = names[0] if names else None
    return names if isinstance(names, str) else None


def _recorded_channels(args: Mapping[str, Any]) -> int:
    size = args.get("input_size")
    channels = args.get("in_chans") or (size[0] if isinstance(size, (list, tuple)) and size else 3)
    return channels if type(channels) is int and 0 < channels < 64 else 3


def _container(content: Content, key: str) -> str:
    if content.kind == "safetensors":
        return "safetensors"
    if not key:
        return "plain state dict"
    record = content.value
    if "pytorch-lightning_version" in record:
        return "Lightning checkpoint"
    if "arch" in record or "args" in record:
        return "timm training checkpoint"
    return f"wrapped state dict ({visible(key, 40)!r})"


def _pretrained(args: Mapping[str, Any]) -> Literal["yes", "no", "unknown"]:
    """Whether training began from other weights, as timm's script records it."""
    if args.get("pretrained") or args.get("initial_checkpoint") or args.get("pretrained_path"):
        return "yes"
    return "no" if args.get("pretrained") is False else "unknown"


def _class_names(record: Mapping[str, Any], num_classes: int) -> tuple[str, ...] | None:
    """Class names if the file lists as many as there are classes."""
    for key in ("class_names", "classes", "class_to_idx"):
        names = plain(record.get(key))
        if isinstance(names, dict):
            if set(map(type, names.values())) != {int}:
                continue
            names = sorted(names, key=names.__getitem__)
        if not isinstance(names, (list, tuple)) or len(names) != num_classes:
            continue
        if all(isinstance(name, str) for name in names):
            return tuple(names)
    return None
