"""Networks that cannot tell images apart: weights of zeros, logits that no image changes.

Such a file is in order and an audit takes it, but whoever looks at it should be told.
"""

import torch
from torch import nn

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


def constant_logits(network: nn.Module, spec: ModelSpec) -> bool | None:
    """Whether two images of noise get the same logits.

    Args:
        network: With its weights, in eval mode.
        spec: Gives the input's shape.

    Returns:
        None if the network is too large to be run in passing, or gives no finite logits.
    """
    parameters = sum(p.numel() for p in network.parameters())
    if parameters > MOST_PARAMETERS or spec.img_size > LARGEST_SIDE:
        return None
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, spec.in_chans, spec.img_size, spec.img_size, generator=generator)
    try:
        with limited(SECONDS, UNLIMITED), torch.inference_mode():
            logits = network(x)
            return same_for_all(logits) if bool(logits.isfinite().all()) else None
    except Exception:  # too slow, or an architecture that does not run on its own input
        return None
