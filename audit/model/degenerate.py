"""Networks that cannot tell images apart: weights of zeros, logits that no image changes.

Such a file is in order and an audit takes it, but whoever looks at it should be told.
"""

import time
from dataclasses import dataclass

import torch
from torch import nn

from audit.model.architecture import outputs
from audit.model.guard import limited
from audit.model.spec import ModelSpec

SECONDS = 10.0  # of processor time
MOST_PARAMETERS = 150_000_000
LARGEST_SIDE = 512  # pixels
UNLIMITED = 2**42  # bytes: a limit on memory would end some libraries' threads, and the process
ROUNDING = 1e-6  # of the largest logit


def same_for_all(logits: torch.Tensor) -> bool:
    """Whether every image got the same logits, up to rounding: (N, K), N at least 2."""
    spread = (logits.amax(dim=0) - logits.amin(dim=0)).max()
    return bool(spread <= ROUNDING * logits.abs().max())


@dataclass(frozen=True)
class Answer:
    """What a network makes of two images of noise.

    Attributes:
        width: Values of its last hidden layer.
        classes: Number of logits.
        constant: Whether both images got the same logits; None if these are no finite numbers.
        seconds: Of processor time.
    """

    width: int
    classes: int
    constant: bool | None
    seconds: float


def answer_to_noise(network: nn.Module, spec: ModelSpec) -> Answer | None:
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
        with limited(SECONDS, UNLIMITED), torch.inference_mode():
            hidden, logits = outputs(network, x)
    except Exception:  # too slow, or an architecture that does not run on its own input
        return None
    constant = same_for_all(logits) if bool(logits.isfinite().all()) else None
    return Answer(hidden.shape[1], logits.shape[1], constant, time.process_time() - start)
