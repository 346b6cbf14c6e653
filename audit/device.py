"""The device that networks run on, and whether it computes what the processor computes."""

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from audit.progress import Progress
from audit.record import AuditError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from audit.settings import Settings

Net = TypeVar("Net", bound="nn.Module")
CLOSE = 0.01  # of the spread of logits: what rounding in 32 bits never reaches
LEARNED = 0.05  # likewise, after a few steps of training
STEPS, BATCH = 8, 16  # of these


def chosen_device(name: str) -> "torch.device":
    """The device of a setting: "cpu", "cuda", or "cuda:1" for the second GPU.

    In 32 bits it is held to these: no shorter products, which would be rounded a thousand times as
    coarsely.

    Raises:
        AuditError: DEVICE_UNUSABLE.
    """
    import torch

    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()):
        raise _unusable(name, "that is neither cpu nor cuda nor cuda with a number, such as cuda:1")
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= seen:
        raise _unusable(name, f"torch sees {seen} here. Look at its driver and at its build")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device(name)


def _unusable(name: str, why: str) -> AuditError:
    return AuditError(
        "DEVICE_UNUSABLE",
        f"--device needs cpu or a GPU that torch can use, but got {name!r}: {why}. Without "
        "--device everything runs on the processor.",
    )


def device_for(options: Mapping[str, Any], progress: Progress) -> "torch.device":
    """The device of a call; says so where a GPU is left idle.

    Raises:
        AuditError: DEVICE_UNUSABLE.
    """
    import torch

    device = chosen_device(options.get("device") or "cpu")
    if device.type == "cpu" and torch.cuda.is_available():
        progress.say("everything runs on the processor; --device cuda uses the GPU")
    return device


def settled(settings: "Settings", device: "torch.device", progress: Progress) -> "Settings":
    """The settings, with what the device decides: nulls learn in bfloat16 where AMX is.

    By what the processor has and not by its speed just now, so that a later call finds in the
    cache what an earlier one has left. On a GPU they learn in 32 bits: it was never measured there.
    """
    if settings.amp and device.type == "cpu" and not has_amx():
        progress.say("--amp: this processor has no AMX, so that nulls may learn more slowly")
    if settings.amp is not None:
        return settings
    return settings.model_copy(update={"amp": device.type == "cpu" and has_amx()})


def has_amx() -> bool:
    """Whether the processor multiplies matrices of bfloat16 in units of their own."""
    import torch

    if hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())  # an older torch


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

    from baselines.muon import orthogonal
    from baselines.sibling import Sibling
    from baselines.train import Images, Recipe, predict, statistics, train

    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(2, 32, 128, generator=generator)
    there = orthogonal(gradient.to(device)).to("cpu")
    _require_close(orthogonal(gradient), there, CLOSE, f"a step of the optimiser on {device}")
    pixels = torch.randint(0, 256, (64, 1, 17, 17), dtype=torch.uint8, generator=generator)
    recipe = Recipe(images_seen=STEPS * BATCH, batch=BATCH, rate=0.05)
    data = Images(pixels, torch.arange(64) % 4, *statistics(pixels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = Sibling("sighted", q=9, num_classes=4, in_chans=1, width=32, blocks=1)
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
            "an audit needs a device that computes what the processor does, but by "
            f"{what} logits are off by {worst:.2g}, where {allowed:.2g} is allowed. Look at its "
            "driver, or leave out --device.",
        )
