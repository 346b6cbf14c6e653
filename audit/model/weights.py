"""From the content of a checkpoint to one set of weights that may be believed."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from audit.model.reading import Content
from audit.model.stored import ITEM_BYTES, Other, Stored
from audit.record import AuditError
from reports.text import visible

Choice = Literal["only", "raw", "ema"]
Found = dict[str, Stored]
Weights = dict[str, Tensor]

EMA_KEYS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
RAW_KEYS = ("state_dict", "model", "model_state_dict", "net")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "timm_model.")
FLOATS = ("float16", "bfloat16", "float32", "float64")
WHOLE = ("int64", "int32", "int16", "uint8", "bool")


def choose(
    content: object, name: str, wanted: Literal["ema", "raw"] | None
) -> tuple[Found, str, Choice]:
    """Find the weights in a checkpoint.

    Args:
        content: What the file held.
        name: The file's name, safe to show.
        wanted: Which set to take if there are two; None takes the averaged one, as timm does.

    Returns:
        The weights, not yet read, with shared wrapper prefixes removed; the key that they stood
        under (empty if they are the whole content); and which of two sets they are.

    Raises:
        AuditError: MODEL_NO_WEIGHTS.
    """
    if not isinstance(content, Mapping):
        raise _no_weights(name, f"holds {_what(content)}")
    found: dict[str, str] = {}
    for label, keys in (("ema", EMA_KEYS), ("raw", RAW_KEYS)):
        key = next((k for k in keys if _holds_weights(content.get(k))), None)
        if key is not None:
            found[label] = key
    if wanted is not None and found and wanted not in found:
        other = "averaged (EMA)" if wanted == "ema" else "raw"
        raise _no_weights(name, f"holds no {other} weights; drop `--weights {wanted}`")
    if not found:
        if wanted == "ema":
            raise _no_weights(name, "holds no averaged (EMA) weights; drop `--weights ema`")
        return _cleaned(content, name), "", "only"
    label = wanted or ("ema" if "ema" in found else "raw")
    inner = content[found[label]]
    nested = next((k for k in RAW_KEYS if _holds_weights(inner.get(k))), None)
    weights = _cleaned(inner if nested is None else inner[nested], name)
    choice: Choice = "only" if len(found) == 1 else "ema" if label == "ema" else "raw"
    return weights, found[label], choice


def _holds_weights(value: object) -> bool:
    """Whether a value maps names to tensors, directly or one level deeper."""
    if not isinstance(value, Mapping):
        return False
    inner = [value, *(value[k] for k in RAW_KEYS if isinstance(value.get(k), Mapping))]
    return any(isinstance(v, Stored) for level in inner for v in level.values())


def _no_weights(name: str, what: str) -> AuditError:
    return AuditError(
        "MODEL_NO_WEIGHTS",
        f"the state dict of a model is needed, but {name!r} {what}. Save `model.state_dict()`.",
    )


def _what(value: object) -> str:
    if value is None:
        return "`None`"
    if isinstance(value, Stored):
        return "one tensor"
    kind = value.name if isinstance(value, Other) else type(value).__name__
    return f"a {visible(kind, 40)}"


def _cleaned(entries: Mapping[Any, Any], name: str) -> Found:
    """Check that a mapping is name to tensor, and strip prefixes that all names share."""
    if not any(isinstance(value, Stored) for value in entries.values()):
        keys = ", ".join(repr(visible(str(k), 40)) for k in list(entries)[:3])
        raise _no_weights(name, f"holds no weights, only {keys}" if keys else "holds nothing")
    for key, value in entries.items():
        if not isinstance(key, str) or not isinstance(value, Stored):
            what = f"holds {_what(value)} under {visible(str(key), 60)!r} among its weights"
            raise _no_weights(name, what)
    weights = dict(entries)
    while prefix := next((p for p in PREFIXES if all(k.startswith(p) for k in weights)), None):
        weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def check(weights: Found, expected: Mapping[str, Tensor], architecture: str) -> None:
    """Hold names, shapes and types of weights against what the architecture expects.

    Args:
        weights: As found in the file.
        expected: The architecture's own state dict; only shapes and types are looked at.
        architecture: For the message.

    Raises:
        AuditError: MODEL_ARCH_MISMATCH, MODEL_DTYPE or MODEL_CORRUPT.
    """
    missing = sorted(expected.keys() - weights.keys())
    surplus = sorted(weights.keys() - expected.keys())
    reshaped = [
        f"{visible(k, 60)} ({_shape(weights[k])} instead of {_shape(expected[k])})"
        for k in sorted(weights.keys() & expected.keys())
        if weights[k].shape != expected[k].shape
    ]
    problems = [
        f"{verb} {_listed(names)}"
        for verb, names in (("lacks", missing), ("has beside", surplus), ("differs in", reshaped))
        if names
    ]
    if problems:
        raise AuditError(
            "MODEL_ARCH_MISMATCH",
            f"the weights are not those of {architecture}: the file {'; it '.join(problems)}. "
            "Give the right `--model`, `--model-kwargs`, `--img-size` or `--in-chans`.",
        )
    for key in sorted(expected):
        _check_type(key, weights[key], expected[key])


def without_constants(weights: Found, outline: nn.Module) -> Found:
    """Leave out buffers that a network makes when it is built.

    A TorchScript archive holds them beside the weights, without saying which is which.

    Args:
        weights: All tensors of the archive.
        outline: The network without values.

    Returns:
        The weights, less those that the network has as buffers outside its state dict.
    """
    kept = outline.state_dict().keys()
    made = {n: b.shape for n, b in outline.named_buffers() if n not in kept}
    return {k: v for k, v in weights.items() if made.get(k) != v.shape}


def _listed(names: list[str]) -> str:
    shown = ", ".join(visible(n, 100) for n in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _shape(tensor: Stored | Tensor) -> str:
    return "×".join(str(n) for n in tensor.shape) or "a single number"


def _check_type(key: str, given: Stored, expected: Tensor) -> None:
    what = given.odd
    if not what and given.dtype not in (FLOATS if expected.is_floating_point() else WHOLE):
        what = f"is of type {given.dtype}"
    if what:
        raise AuditError(
            "MODEL_DTYPE",
            f"an audit needs weights of 16, 32 or 64-bit floating point, but {visible(key, 80)!r} "
            f"{what}. Save the model before quantising it.",
        )
    held = given.numel if given.storage is None else given.storage.size // ITEM_BYTES[given.dtype]
    if given.numel > held:
        raise AuditError(
            "MODEL_CORRUPT",
            f"every weight must be in the file, but {visible(key, 80)!r} declares {given.numel:,} "
            f"values and the file holds {held:,} of them. Save `model.state_dict()` anew, with "
            "`.contiguous()` for tensors that repeat their values, or copy the file again.",
        )


def converted(content: Content, weights: Found, expected: Mapping[str, Tensor]) -> Weights:
    """Read all weights, in the types of the architecture (float32), and check their values.

    Args:
        content: The file that holds them.
        weights: As `check` has let them pass.
        expected: The architecture's own state dict; only its types are looked at.

    Raises:
        AuditError: MODEL_NOT_FINITE, also for negative variances of batch norm.
    """
    result = {key: content.tensor(weights[key]).to(like.dtype) for key, like in expected.items()}
    for key, value in result.items():
        what = None
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            share = 1 - torch.isfinite(value).double().mean().item()
            what = f"holds NaN or infinite values ({math.ceil(100 * share)} % of {value.numel()})"
        elif key.endswith("running_var") and bool((value < 0).any()):
            what = "holds negative variances"
        if what is not None:
            raise AuditError(
                "MODEL_NOT_FINITE",
                f"every weight must be a finite number, but {visible(key, 80)!r} {what}. Training "
                "diverged or the file is damaged: use an earlier checkpoint.",
            )
    return result


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names (sorted), shapes, types and bytes of a state dict, hexadecimal."""
    digest = hashlib.sha256()
    for key in sorted(weights):
        value = weights[key].detach().cpu().contiguous()
        digest.update(f"{len(key)} {key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
