"""What a checkpoint says of its network beside the weights, and what the weights say themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from audit.core.errors import AuditError
from audit.core.sizes import MAX_RATIO, MAX_SIDE, Size, is_size, parsed, shown
from audit.model import signatures
from audit.model.files.descriptions import TensorEntry, plain
from audit.model.guard import limited
from audit.model.spec import ModelSpec, default_config, require_harmless
from audit.reports.text import visible


def recorded_name(record: Mapping[Any, Any], args: dict[str, Any]) -> Any:
    """What the file says its architecture is, not yet believed."""
    return record.get("arch") if isinstance(record.get("arch"), str) else args.get("model")


def recorded_args(record: Mapping[Any, Any]) -> dict[str, Any]:
    """The arguments of the training script, as far as they are plain."""
    args = plain(record.get("args"))
    return args if isinstance(args, dict) else {}


def spec_of(
    architecture: str,
    args: dict[str, Any],
    given: dict[str, Any] | None,
    img_size: Size | None,
    implied: int | None,
) -> ModelSpec:
    """The architecture with timm's class count and channels, which `fitted` replaces."""
    kwargs = model_kwargs(args, given, img_size)
    size = input_size(kwargs, args, img_size, implied, architecture)
    return ModelSpec(architecture, kwargs, 1000, 3, size)


# Arguments of timm's training script that change what is built: recorded name, model's argument.
RECORDED = {
    "gp": "global_pool",
    "drop": "drop_rate",
    "drop_path": "drop_path_rate",
    "bn_eps": "bn_eps",
    "bn_momentum": "bn_momentum",
}

NAMES = ("class_names", "classes", "class_to_idx", "idx_to_class")
MOST_EXTRA = 2**31  # bytes of buffers that are made when building, and stored in no file


def model_kwargs(
    args: Mapping[str, Any], given: dict[str, Any] | None, img_size: Size | None
) -> dict[str, Any]:
    """Arguments of the architecture: recorded, then overridden by the caller's."""
    recorded = args.get("model_kwargs")
    kwargs = require_harmless(recorded if isinstance(recorded, dict) else {})
    kwargs |= {RECORDED[k]: v for k, v in args.items() if k in RECORDED and v}
    kwargs |= require_harmless({} if given is None else given)
    _require_shares(kwargs)
    if img_size is not None and "img_size" in kwargs:
        kwargs["img_size"] = img_size
    return kwargs


def _require_shares(kwargs: Mapping[str, Any]) -> None:
    """Refuse shares of what is dropped that are none: most networks fail on them only when run."""
    for key, value in kwargs.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key.endswith("_rate") and number and not 0 <= value <= 1:
            raise AuditError(
                "MODEL_ARGS",
                f"{visible(key, 60)} is a share between 0 and 1, but is given as {value:g}.",
                "Change `--model-kwargs` or the checkpoint's args.",
            )


def input_size(
    kwargs: Mapping[str, Any],
    args: Mapping[str, Any],
    img_size: Size | None,
    implied: int | None,
    architecture: str,
) -> Size:
    """Size of the input in pixels: the caller's, the recorded one, the weights', timm's default.

    Raises:
        AuditError: MODEL_ARGS if it is no size.
    """
    config = default_config(architecture)
    candidates = (
        img_size,
        kwargs.get("img_size"),
        args.get("input_size"),  # as timm: before the side of a square
        args.get("img_size"),
        implied,
        config.get("input_size"),
    )
    found = next((c for c in candidates if c is not None), 224)
    size = parsed(found[-2:] if isinstance(found, (list, tuple)) else found)
    if not is_size(size):
        raise AuditError(
            "MODEL_ARGS",
            f"the input must have sides of 1 to {MAX_SIDE} pixels, one at most {MAX_RATIO} "
            f"times the other, but its size is given as {visible(str(found), 60)}.",
            "Give `--img-size N`, or `--img-size HEIGHTxWIDTH`.",
        )
    return size


def fitted(
    spec: ModelSpec,
    weights: Mapping[str, TensorEntry],
    args: Mapping[str, Any],
    num_classes: int | None,
    in_chans: int | None,
) -> ModelSpec:
    """Read class count and input channels off the weights, where the caller does not say."""
    shapes = {key: value.shape for key, value in weights.items()}
    told = signatures.implied(spec.architecture.partition(".")[0], shapes)
    told = _by_names_of_layers(spec, shapes) | told
    if in_chans is None:
        in_chans = told.get("in_chans", _recorded_channels(args))
    held = told.get("num_classes")
    if held is not None and num_classes is not None and held != num_classes:
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            f"the weights give {held} classes, but {num_classes} were asked for.",
            "Audit the model on the classes that it was trained for.",
        )
    recorded = args.get("num_classes")
    classes = held or num_classes or (recorded if type(recorded) is int else spec.num_classes)
    return ModelSpec(spec.architecture, spec.kwargs, classes, in_chans, spec.img_size)


def _by_names_of_layers(spec: ModelSpec, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Classes and channels by the first and the last layer, which timm names."""
    config = default_config(spec.architecture) or outlined(spec).pretrained_cfg
    assert isinstance(config, Mapping)
    found = {}
    stem = shapes.get(f"{_first(config.get('first_conv'))}.weight", ())
    if len(stem) == 4:
        found["in_chans"] = stem[1]
    head = _first(config.get("classifier"))
    for key in (f"{head}.bias", f"{head}.weight"):
        if shapes.get(key):
            found["num_classes"] = shapes[key][0]
    return found


def outlined(spec: ModelSpec) -> nn.Module:
    """The network without values, within limits of time and memory.

    Raises:
        AuditError: MODEL_ARCH_MISMATCH if it cannot be built this way, or would be far larger than
            its weights.
    """
    with limited():
        outline = spec.outline()
    kept = outline.state_dict().keys()
    extra = sum(b.numel() * b.element_size() for n, b in outline.named_buffers() if n not in kept)
    if extra > MOST_EXTRA:
        raise AuditError(
            "MODEL_ARCH_MISMATCH",
            f"{visible(spec.architecture)} for {shown(spec.img_size)} pixels needs "
            f"{extra / 2**30:.0f} GiB beside its weights.",
            "Change `--model-kwargs` or `--img-size`.",
        )
    return outline


def _first(names: object) -> str | None:
    """The name of one layer, where timm names one, several or none."""
    if isinstance(names, (list, tuple)):
        names = names[0] if names else None
    return names if isinstance(names, str) else None


def _recorded_channels(args: Mapping[str, Any]) -> int:
    size = args.get("input_size")
    channels = args.get("in_chans") or (size[0] if isinstance(size, (list, tuple)) and size else 3)
    return channels if type(channels) is int and 0 < channels < 64 else 3


def pretrained(args: Mapping[str, Any]) -> Literal["yes", "no", "unknown"]:
    """Whether training began from other weights, as timm's script records it."""
    if args.get("pretrained") or args.get("initial_checkpoint") or args.get("pretrained_path"):
        return "yes"
    return "no" if args.get("pretrained") is False else "unknown"


def class_names(record: Mapping[str, Any], num_classes: int) -> tuple[str, ...] | None:
    """Class names if what is recorded lists as many as there are classes.

    Args:
        record: May hold a list, or a mapping of names to positions or of positions to names.
        num_classes: Number of logits.
    """
    for key in NAMES:
        names = plain(in_order(record.get(key)))
        if len(names) == num_classes and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None


def in_order(names: object) -> Sequence[Any]:
    """A list as it is, a mapping by its positions: keys, or values where these are numbers.

    Returns:
        Empty where positions are lacking or given twice.
    """
    if isinstance(names, dict):
        by_position = {v: k for k, v in names.items() if type(v) is int}
        by_position = by_position or {int(k): v for k, v in names.items() if _is_position(k)}
        if set(by_position) != set(range(len(names))):
            return ()
        return [by_position[i] for i in range(len(names))]
    return names if isinstance(names, (list, tuple)) else ()


def _is_position(key: object) -> bool:
    if type(key) is int:
        return True
    return isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10


def natural_order(record: Mapping[Any, Any], args: Mapping[str, Any]) -> bool:
    """Whether class folders have the numbers that timm's training script gives: "2" before "10".

    Only its saver writes a version beside the architecture; and where a class map or data from
    elsewhere than folders are recorded, these gave the numbers.
    """
    elsewhere = args.get("class_map") or args.get("dataset") not in (None, "", "folder")
    return record.keys() >= {"arch", "version"} and not elsewhere


def require_classifier(
    spec: ModelSpec, outline: nn.Module, weights: Mapping[str, TensorEntry]
) -> None:
    """Refuse weights that lack nothing but the classifier.

    Raises:
        AuditError: MODEL_ARCH_MISMATCH.
    """
    config = outline.pretrained_cfg
    assert isinstance(config, Mapping)
    heads = config.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    expected = outline.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    ends = tuple(f"{head}." for head in heads)
    alike = all(w.shape == expected[k].shape for k, w in weights.items() if k in expected)
    only_heads = bool(ends) and all(key.startswith(ends) for key in missing)
    if missing and only_heads and alike and weights.keys() <= expected.keys():
        raise AuditError(
            "MODEL_ARCH_MISMATCH",
            f"the classifier is missing: the weights are those of {visible(spec.architecture)} "
            f"without {', '.join(missing[:3])}, and an audit is of a network's answers.",
            "Save the state dict of the whole model.",
        )


def require_images(spec: ModelSpec) -> None:
    """Refuse a network that no folder of images in classes can be shown to.

    Raises:
        AuditError: MODEL_CHANNELS or MODEL_CLASS_MISMATCH.
    """
    if spec.in_chans not in (1, 3):
        raise AuditError(
            "MODEL_CHANNELS",
            f"images have one channel or three, but the model takes {spec.in_chans}.",
            "Such a model cannot be audited on an image folder.",
        )
    if spec.num_classes < 2:
        raise AuditError(
            "MODEL_CLASS_MISMATCH",
            "an audit needs one output a class and at least two classes, but the model has "
            f"{spec.num_classes}.",
            "Audit a classifier with two outputs or more.",
        )
