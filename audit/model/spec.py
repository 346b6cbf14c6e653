"""What is needed to build a network again, without its weights."""

import contextlib
import difflib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data import resolve_data_config
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from audit.core.errors import AuditError
from audit.core.sizes import Size, height_width, shown
from audit.reports.text import visible

# Arguments of timm.create_model that reach for the network or the disk, or change what is built.
FORBIDDEN = frozenset(
    {
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "checkpoint_path",
        "cache_dir",
        "features_only",
        "scriptable",
        "exportable",
        "no_jit",
        "num_classes",
        "in_chans",
        "model_name",
        "device",
        "dtype",
    }
)

CROP_MODES = ("center", "squash")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input.

    Attributes:
        img_size: Of the input, in pixels.
        in_chans: 1 (grey) or 3 (RGB).
        mean: Of each channel on the scale 0 to 1, subtracted.
        std: Of each channel, divided by; positive.
        interpolation: Resampling by its timm name ("bicubic").
        crop_pct: Share of the resized image's shorter side that the centre crop keeps.
        crop_mode: "center" keeps the image's shape when resizing, "squash" gives it the input's.
    """

    img_size: Size
    in_chans: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str = "center"


@dataclass(frozen=True)
class ModelSpec:
    """A timm architecture with all that determines its shape; plain values only.

    Attributes:
        architecture: A name that `timm.list_models()` knows, possibly with a tag.
        kwargs: Further arguments of `timm.create_model`.
        num_classes: Number of logits.
        in_chans: Channels of the input.
        img_size: Of the input, in pixels; told only to architectures bound to one size.
    """

    architecture: str
    kwargs: dict[str, Any]
    num_classes: int
    in_chans: int
    img_size: Size

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the input."""
        return (self.in_chans, *height_width(self.img_size))

    def build(self, seed: int) -> nn.Module:
        """A fresh network in eval mode; the global random state stays as it is."""
        sized = {"img_size": self.img_size} if is_bound_to_size(self.architecture) else {}
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            model: nn.Module = timm.create_model(
                self.architecture,
                pretrained=False,
                num_classes=self.num_classes,
                in_chans=self.in_chans,
                **sized | self.kwargs,
            )
        return model.eval()

    def outline(self) -> nn.Module:
        """The network without values (on the meta device): shapes only, whatever its size.

        Raises:
            AuditError: MODEL_ARCH_MISMATCH if the architecture cannot be built this way.
        """
        try:
            with without_values():
                return self.build(seed=0)
        except Exception:  # timm raises a dozen types; none of its words are for the user
            given = "".join(f", {k}={v!r}" for k, v in self.kwargs.items())
            raise AuditError(
                "MODEL_ARCH_MISMATCH",
                f"{visible(self.architecture)} cannot be built for {shown(self.img_size)} "
                f"pixels, in_chans={self.in_chans}, "
                f"num_classes={self.num_classes}{visible(given)}.",
                "Change `--model-kwargs` or `--img-size`.",
            ) from None


def is_bound_to_size(architecture: str) -> bool:
    """Whether the architecture must be told its input's size (timm's `fixed_input_size`)."""
    return bool(default_config(architecture).get("fixed_input_size"))


def default_config(architecture: str) -> dict[str, Any]:
    """The configuration that timm has for an architecture; empty if it has none."""
    config = timm.models.get_pretrained_cfg(architecture)
    return {} if config is None else config.to_dict()


def require_known(architecture: object) -> str:
    """Refuse what is no name of an architecture of the installed timm.

    Raises:
        AuditError: MODEL_ARCH_UNKNOWN, with the nearest names.
    """
    if not isinstance(architecture, str) or not architecture:
        raise AuditError(
            "MODEL_ARCH_UNKNOWN",
            "the file does not say which architecture its weights belong to.",
            "Give `--model NAME`, with a name from `timm.list_models()`.",
        )
    shown = visible(architecture, 80)
    if ":" in architecture or "/" in architecture:
        raise AuditError(
            "MODEL_ARCH_UNKNOWN",
            f"{shown!r} points to the network or the disk, which is never followed.",
            "Give `--model NAME` with a name from `timm.list_models()`.",
        )
    base, _, tag = architecture.partition(".")
    if not timm.models.is_model(base):
        near = difflib.get_close_matches(base[:80], timm.list_models(), 3)
        hint = f"Nearest: {', '.join(near)}" if near else "See `timm.list_models()`"
        raise AuditError(
            "MODEL_ARCH_UNKNOWN", f"timm {timm.__version__} has no architecture {shown!r}. {hint}."
        )
    if tag and architecture not in timm.list_models(f"{base}.*", pretrained=True):
        raise AuditError(
            "MODEL_ARCH_UNKNOWN",
            f"timm knows {visible(base)} but not its variant {shown!r}.",
            "Leave out what follows the dot.",
        )
    return architecture


def require_harmless(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse arguments of an architecture that are not about its shape.

    Raises:
        AuditError: MODEL_ARGS.
    """
    refused = sorted(str(key) for key in kwargs if key in FORBIDDEN)
    if refused:
        raise AuditError(
            "MODEL_ARGS",
            f"model arguments may only describe the architecture, but {visible(refused[0])!r} "
            "was given.",
            "Remove it from `--model-kwargs` or from the checkpoint's args.",
        )
    return dict(kwargs)


def resolve_preprocessing(args: Mapping[str, Any], spec: ModelSpec) -> Preprocessing:
    """Preprocessing as timm resolves it: recorded arguments first, then its configuration.

    The mode of the crop is taken from what is recorded alone: timm's training script leaves the one
    in the configuration of the architecture aside, and cuts at the centre.

    Args:
        args: Of the training script, plain values; may be empty.
        spec: Gives the input's shape, and the architecture whose configuration fills the gaps.

    Raises:
        AuditError: MODEL_ARGS if recorded values cannot be used.
    """
    crop_mode = args.get("crop_mode") or "center"
    if crop_mode not in CROP_MODES:
        raise AuditError(
            "MODEL_ARGS",
            "images can be cut at their centre or squashed, but this model wants the crop "
            f"mode {visible(str(crop_mode), 60)!r}.",
            "Save its state dict and audit that with `--model`, if the centre will do.",
        )
    wanted = {k: args[k] for k in ("mean", "std", "interpolation", "crop_pct") if args.get(k)}
    if wanted.get("interpolation") == "random":  # drawn anew for each training image
        del wanted["interpolation"]
    shape = {"input_size": spec.input_shape}
    try:
        config = resolve_data_config(wanted | shape, default_config(spec.architecture))
        result = Preprocessing(
            spec.img_size,
            spec.in_chans,
            _per_channel(config["mean"], spec.in_chans),
            _per_channel(config["std"], spec.in_chans),
            str(config["interpolation"]),
            float(config["crop_pct"]),
            crop_mode,
        )
    except (AssertionError, TypeError, ValueError):
        raise _unusable("mean, std or crop_pct", wanted) from None
    numbers = (*result.mean, *result.std, result.crop_pct)
    if not all(map(math.isfinite, numbers)) or min(result.std) <= 0 or not 0 < result.crop_pct <= 1:
        raise _unusable("mean, std or crop_pct", wanted)
    if result.interpolation not in INTERPOLATIONS:
        raise _unusable("interpolation", wanted)
    return result


def _per_channel(values: Any, in_chans: int) -> tuple[float, ...]:
    """As many values as channels; a grey input takes the average of a colour configuration."""
    values = tuple(float(v) for v in values)
    return values if len(values) == in_chans else (sum(values) / len(values),) * in_chans


def _unusable(what: str, given: Mapping[str, Any]) -> AuditError:
    return AuditError(
        "MODEL_ARGS",
        f"the checkpoint records preprocessing that cannot be used ({what}): "
        f"{visible(str(dict(given)), 120)}.",
        "Correct the checkpoint's args.",
    )


# What initialises in place. On the meta device it changes nothing, but costs most of the time.
FILLS = frozenset(
    {
        *(Tensor.normal_, Tensor.uniform_, Tensor.erfinv_, Tensor.clamp_, Tensor.fill_),
        *(Tensor.zero_, Tensor.copy_, Tensor.mul_, Tensor.add_, Tensor.sub_, Tensor.div_),
    }
)


class Unfilled(TorchFunctionMode):
    """Leaves out whatever would fill a tensor that has no values."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call what was called, unless it would fill a tensor."""
        if func in FILLS and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """What is built inside has shapes but no values, and takes next to no memory or time."""
    with torch.device("meta"), Unfilled():
        yield
