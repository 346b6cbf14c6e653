"""One forward pass without values: does the network take its own input at all?

Many architectures are built without complaint from arguments, or for a size, that they fail on
when they run.
"""

import time
import warnings
from dataclasses import replace

import torch
from torch import nn

from audit.model.architecture import outputs
from audit.model.guard import limited
from audit.model.spec import ModelSpec, default_config
from audit.record import AuditError
from audit.sizes import flag, shown, size_of
from reports.text import visible

SECONDS = 20.0  # of processor time, for the pass
TRIAL = 3.0  # for each attempt to find out what it fails on
TRIALS = 6.0  # after which none begins


def hidden_width(outline: nn.Module, spec: ModelSpec) -> int:
    """Number of values of the last hidden layer, after a forward pass on the meta device.

    Args:
        outline: The network without values.
        spec: It was built from; gives the input's shape.

    Raises:
        AuditError: MODEL_ARGS if it would run with another size or without one of its arguments,
            MODEL_ARCH_MISMATCH if it does not run for another reason, MODEL_ARCHITECTURE if it
            gives no row of logits an image.
    """
    try:
        return _run(outline, spec, SECONDS)
    except AuditError:
        if not spec.kwargs:
            raise
    except Exception:  # whatever an architecture raises on what it does not take
        pass
    raise _refusal(spec)


def _run(outline: nn.Module, spec: ModelSpec, seconds: float) -> int:
    x = torch.zeros(2, *spec.input_shape, device="meta")
    with limited(seconds), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hidden, logits = outputs(outline, x)
    if logits.shape[1] != spec.num_classes:
        raise ValueError
    return hidden.shape[1]


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
            f"{name} does not run on {shown(spec.img_size)} pixels: that is too small for it, or "
            f"no multiple of what it needs. Give `--img-size N`; its own is {flag(own)}.",
        )
    for key, value in spec.kwargs.items():
        if time.process_time() - start > TRIALS:
            break
        if _runs(replace(spec, kwargs={k: v for k, v in spec.kwargs.items() if k != key})):
            return AuditError(
                "MODEL_ARGS",
                f"{name} does not run with {visible(key, 60)}={visible(repr(value), 60)}. Change "
                "it with `--model-kwargs`, or leave it out of the checkpoint's args.",
            )
    given = "".join(f", {k}={v!r}" for k, v in spec.kwargs.items())
    return AuditError(
        "MODEL_ARCH_MISMATCH",
        f"{name} does not run for {shown(spec.img_size)} pixels, in_chans={spec.in_chans}"
        f"{visible(given)}. Change `--model-kwargs` or `--img-size`.",
    )
