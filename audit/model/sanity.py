"""Networks that cannot tell images apart: weights of zeros, logits that no image changes.

Such a file is in order and an audit takes it, but whoever looks at it should be told.
"""

import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from audit.core.errors import AuditError
from audit.core.sizes import flag, shown, size_of
from audit.model.files.content import Content
from audit.model.files.descriptions import ITEM_BYTES, TensorEntry
from audit.model.guard import limited
from audit.model.network.split import outputs
from audit.model.spec import ModelSpec, default_config
from audit.model.weights import FLOATS
from audit.reports.text import visible

NOISE_SECONDS = 10.0  # of processor time, for the answer to noise
MOST_PARAMETERS = 150_000_000
LARGEST_SIDE = 512  # pixels
UNLIMITED = 2**42  # bytes: a limit on memory would end some libraries' threads, and the process
ROUNDING = 1e-6  # of the largest logit


def same_for_all(logits: torch.Tensor) -> bool:
    """Whether every image got the same logits, up to rounding: (N, K), N at least 2."""
    spread = (logits.amax(dim=0) - logits.amin(dim=0)).max()
    return bool(spread <= ROUNDING * logits.abs().max())


@dataclass(frozen=True)
class NoiseResponse:
    """What a network makes of two images of noise.

    Attributes:
        width: Values of its last hidden layer.
        classes: Number of logits.
        constant: Whether both images got the same logits; None if these are no finite numbers.
        seconds: Processor time of the run, in seconds.
    """

    width: int
    classes: int
    constant: bool | None
    seconds: float


def answer_to_noise(network: nn.Module, spec: ModelSpec) -> NoiseResponse | None:
    """Run a network once on two images of noise.

    Args:
        network: With its weights, in eval mode.
        spec: Gives the input's shape.

    Returns:
        None if the network is too large to be run in passing, or does not run.
    """
    parameters = sum(p.numel() for p in network.parameters())
    if parameters > MOST_PARAMETERS or max(spec.input_shape[1:]) > LARGEST_SIDE:
        return None
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, *spec.input_shape, generator=generator)
    start = time.process_time()
    try:
        with limited(NOISE_SECONDS, UNLIMITED), torch.inference_mode():
            hidden, logits = outputs(network, x)
    except Exception:  # too slow, or an architecture that does not run on its own input
        return None
    constant = same_for_all(logits) if bool(logits.isfinite().all()) else None
    return NoiseResponse(hidden.shape[1], logits.shape[1], constant, time.process_time() - start)


CHUNK = 2**22  # values that are read at a time


def counted(
    content: Content, weights: Mapping[str, TensorEntry]
) -> tuple[dict[str, int], list[str]]:
    """Read all floating-point values, a part at a time.

    Args:
        content: The file that holds them.
        weights: Entries of the file; those that are no weights, or are refused later, are skipped.

    Returns:
        Number of NaN and infinite values of each entry that has any, and names of entries of two
        axes or more that hold zeros only.
    """
    not_finite: dict[str, int] = {}
    zero: list[str] = []
    for key, stored in weights.items():
        if not bytes_of(stored):
            continue
        wrong, empty = 0, True
        for values in _parts(content, stored):
            if not bool(torch.isfinite(values.sum())):  # finite values may have an infinite sum
                wrong += int((~torch.isfinite(values)).sum())
            empty = empty and not bool(values.any())
        if wrong:
            not_finite[key] = wrong
        elif empty and len(stored.shape) > 1:
            zero.append(key)
    return not_finite, zero


def bytes_of(stored: TensorEntry) -> int:
    """Bytes of one tensor's values; 0 for what is no weight, or is refused later."""
    if stored.odd or stored.storage is None or stored.dtype not in FLOATS:
        return 0
    size = stored.numel * ITEM_BYTES[stored.dtype]
    return 0 if size > stored.storage.size else size  # declares more than there is


def _parts(content: Content, stored: TensorEntry) -> Iterator[Tensor]:
    """The values of one tensor, in whatever order they lie in the file."""
    if stored.extent != stored.numel:  # with gaps between its values
        yield content.tensor(stored)
        return
    for start in range(0, stored.numel, CHUNK):
        n = min(CHUNK, stored.numel - start)
        part = replace(stored, shape=(n,), stride=(1,), offset=stored.offset + start)
        yield content.tensor(part)


PASS_SECONDS = 20.0  # of processor time, for the pass on the meta device
TRIAL = 3.0  # for each attempt to find out what it fails on
TRIALS = 6.0  # after which none begins


def hidden_width(outline: nn.Module, spec: ModelSpec) -> int:
    """Number of values of the last hidden layer, after a forward pass on the meta device.

    Args:
        outline: The network without values.
        spec: Specification of that network; gives the input's shape.

    Raises:
        AuditError: MODEL_ARGS if it would run with another size or without one of its arguments,
            MODEL_ARCH_MISMATCH if it does not run for another reason, MODEL_ARCHITECTURE if it
            gives no row of logits an image.
    """
    try:
        return _run(outline, spec, PASS_SECONDS)
    except AuditError:
        if not spec.kwargs:
            raise
    except Exception:  # whatever an architecture raises on what it does not take
        pass
    raise _refusal(spec)


def _run(outline: nn.Module, spec: ModelSpec, seconds: float) -> int:
    x = torch.zeros(2, *spec.input_shape, device="meta")
    hooks = [
        m.register_forward_hook(_no_pixels) for m in outline.modules() if isinstance(m, nn.Conv2d)
    ]
    try:
        with limited(seconds), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hidden, logits = outputs(outline, x)
    finally:
        for hook in hooks:
            hook.remove()
    if logits.shape[1] != spec.num_classes:
        raise ValueError
    return hidden.shape[1]


def _no_pixels(module: nn.Module, given: object, out: Tensor) -> None:
    """Fail as a real convolution does; on the meta device torch 2.6 gives an empty image."""
    if 0 in out.shape:
        raise ValueError


def _runs(spec: ModelSpec) -> bool:
    try:
        with limited(TRIAL):
            outline = spec.outline()
        return bool(_run(outline, spec, TRIAL))
    except Exception:
        return False


def _refusal(spec: ModelSpec) -> AuditError:
    name = visible(spec.architecture)
    start = time.process_time()
    own = size_of(*default_config(spec.architecture).get("input_size", (3, 224, 224))[1:])
    others = {k: v for k, v in spec.kwargs.items() if k != "img_size"}
    if own != spec.img_size and _runs(replace(spec, kwargs=others, img_size=own)):
        return AuditError(
            "MODEL_ARGS",
            f"{name} does not run on {shown(spec.img_size)} pixels: that is too small for it, "
            "or no multiple of what it needs.",
            f"Give `--img-size N`; its own is {flag(own)}.",
        )
    for key, value in spec.kwargs.items():
        if time.process_time() - start > TRIALS:
            break
        if _runs(replace(spec, kwargs={k: v for k, v in spec.kwargs.items() if k != key})):
            return AuditError(
                "MODEL_ARGS",
                f"{name} does not run with {visible(key, 60)}={visible(repr(value), 60)}.",
                "Change it with `--model-kwargs`, or leave it out of the checkpoint's args.",
            )
    given = "".join(f", {k}={v!r}" for k, v in spec.kwargs.items())
    return AuditError(
        "MODEL_ARCH_MISMATCH",
        f"{name} does not run for {shown(spec.img_size)} pixels, "
        f"in_chans={spec.in_chans}{visible(given)}.",
        "Change `--model-kwargs` or `--img-size`.",
    )
