"""From the weights that a file holds to values that may be believed."""

import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from audit.core.errors import AuditError
from audit.model.files.content import Content
from audit.model.files.descriptions import ITEM_BYTES, TensorEntry
from audit.model.sets import Found
from audit.reports.text import visible

Weights = dict[str, Tensor]
FLOATS = ("float16", "bfloat16", "float32", "float64")
WHOLE = ("int64", "int32", "int16", "uint8", "bool")
MOST_READ = 4  # times the bytes that the file holds for weights: weights may share theirs
ROOM = 2**28  # bytes that may be read from any file


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
            f"the weights are not those of {architecture}: the file {'; it '.join(problems)}.",
            "Give the right `--model`, `--model-kwargs`, `--img-size` or `--in-chans`.",
        )
    for key in sorted(expected):
        _check_type(key, weights[key], expected[key])
    _check_sum(weights)


def _check_sum(weights: Found) -> None:
    """Refuse weights that would take far more memory than they fill in the file."""
    parts = [w for w in weights.values() if w.storage is not None]
    read = sum(max(w.numel, w.extent) * ITEM_BYTES[w.dtype] for w in parts)
    held = sum(storage.size for storage in {w.storage for w in parts} if storage is not None)
    if read > MOST_READ * held + ROOM:
        raise AuditError(
            "MODEL_CORRUPT",
            f"every weight must be in the file, but its weights declare {read:,} bytes and "
            f"share the same {held:,}.",
            "Save `model.state_dict()` anew, with `.clone()` for each tensor.",
        )


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


def _shape(tensor: TensorEntry | Tensor) -> str:
    return "×".join(str(n) for n in tensor.shape) or "a single number"


def _check_type(key: str, given: TensorEntry, expected: Tensor) -> None:
    what = given.odd
    allowed: tuple[str, ...] = FLOATS if expected.is_floating_point() else WHOLE
    if key.endswith("num_batches_tracked"):
        allowed = WHOLE + FLOATS  # a count, which old scripts averaged or cast with the weights
    if not what and given.dtype not in allowed:
        what = f"is of type {given.dtype}"
    if what:
        raise AuditError(
            "MODEL_DTYPE",
            "an audit needs weights of 16, 32 or 64-bit floating point, but "
            f"{visible(key, 80)!r} {what}.",
            "Save the model before quantising it.",
        )
    held = given.numel if given.storage is None else given.storage.size // ITEM_BYTES[given.dtype]
    if given.numel > held:
        raise AuditError(
            "MODEL_CORRUPT",
            f"every weight must be in the file, but {visible(key, 80)!r} declares "
            f"{given.numel:,} values and the file holds {held:,} of them.",
            "Save `model.state_dict()` anew, with `.contiguous()` for tensors that repeat "
            "their values, or copy the file again.",
        )


def converted(content: Content, weights: Found, expected: Mapping[str, Tensor]) -> Weights:
    """Read all weights, in the types of the architecture (float32), and check their values.

    Args:
        content: The file that holds them.
        weights: As `check` has let them pass.
        expected: The architecture's own state dict; only its types are looked at.

    Raises:
        AuditError: MODEL_NOT_FINITE, also for negative variances of batch norm; MODEL_MEMORY.
    """
    try:
        result = {
            k: _alone(content.tensor(weights[k]).to(like.dtype)) for k, like in expected.items()
        }
    except MemoryError:
        held = sum(like.numel() for like in expected.values()) * 4 / 2**30
        raise AuditError(
            "MODEL_MEMORY",
            f"the weights alone take {held:.1f} GiB, but there is less free memory.",
            "Audit the model on a larger machine.",
        ) from None
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
                f"every weight must be a finite number, but {visible(key, 80)!r} {what}.",
                "Training diverged or the file is damaged: use an earlier checkpoint.",
            )
    return result


def _alone(values: Tensor) -> Tensor:
    """The same values without the gaps between them."""
    return values.clone() if values.untyped_storage().nbytes() > values.nbytes else values


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names (sorted), shapes, types and bytes of a state dict, hexadecimal."""
    digest = hashlib.sha256()
    for key in sorted(weights):
        value = weights[key].detach().cpu().contiguous()
        digest.update(f"{len(key)} {key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
