"""The device that networks run on, and whether it computes what the processor computes."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from audit.core.errors import AuditError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


Net = TypeVar("Net", bound="nn.Module")
CLOSE = 0.01  # of the spread of logits: what rounding in 32 bits never reaches
LEARNED = 0.05  # likewise, after a few steps of training
STEPS, BATCH = 8, 16  # of these


def on_device(network: Net, device: "torch.device") -> Net:
    """A copy of a network on a device; on the processor the network itself."""
    return network if device.type == "cpu" else copy.deepcopy(network).to(device)


def require_agreement(
    network: "nn.Module",
    run: "Callable[[nn.Module, Tensor], Tensor]",
    x: "Tensor",
    device: "torch.device",
) -> None:
    """Make sure that a network gives on a device what it gives on the processor.

    Args:
        network: On the processor, in eval mode.
        run: Gives its logits.
        x: (B, C, H, W).
        device: Where it is going to run.

    Raises:
        AuditError: DEVICE_WRONG if logits differ by more than 1 % of their spread.
    """
    import torch

    with torch.no_grad():
        here = run(network, x)
        there = run(on_device(network, device), x.to(device)).to("cpu")
    _require_close(here, there, CLOSE, f"the logits on {device}")


def require_learning(device: "torch.device") -> None:
    """Make sure that a small network learns on a device what it learns on the processor.

    By plain SGD, and what Muon makes of a gradient apart: its steps are as large in directions in
    which the gradient is nothing but rounding, so that networks trained by it need not agree.

    Raises:
        AuditError: DEVICE_WRONG if its logits after a few steps differ by more than 5 % of their
            spread, or a step of Muon by more than 1 %.
    """
    import torch

    from audit.baselines.images import Images, statistics
    from audit.baselines.muon import orthogonal
    from audit.baselines.patch_net import PatchNet
    from audit.baselines.train import Recipe, predict, train

    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(2, 32, 128, generator=generator)
    there = orthogonal(gradient.to(device)).to("cpu")
    _require_close(orthogonal(gradient), there, CLOSE, f"a step of the optimiser on {device}")
    pixels = torch.randint(0, 256, (64, 1, 17, 17), dtype=torch.uint8, generator=generator)
    recipe = Recipe(images_seen=STEPS * BATCH, batch=BATCH, rate=0.05)
    data = Images(pixels, torch.arange(64) % 4, *statistics(pixels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = PatchNet("sighted", q=9, num_classes=4, in_chans=1, width=32, blocks=1)
    here, there = (
        predict(train(on_device(copy.deepcopy(fresh), place), data, recipe, seed=0), data)
        for place in (torch.device("cpu"), device)
    )
    _require_close(here, there, LEARNED, f"what a small network learns on {device}")


def _require_close(here: "Tensor", there: "Tensor", share: float, what: str) -> None:
    allowed = share * max(float(here.std()), 1e-6)
    worst = float((here - there).abs().max())
    if not worst <= allowed:
        raise AuditError(
            "DEVICE_WRONG",
            f"an audit needs a device that computes what the processor does, but by {what} "
            f"logits are off by {worst:.2g}, where {allowed:.2g} is allowed.",
            "Look at its driver, or leave out --device.",
        )
