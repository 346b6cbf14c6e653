"""The device that networks run on, and the precision in which nulls learn there."""

from typing import TYPE_CHECKING

from audit.core.errors import AuditError
from audit.core.progress import Progress

if TYPE_CHECKING:
    import torch

    from audit.inputs.settings import Settings


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
        f"--device needs cpu or a GPU that torch can use, but got {name!r}: {why}.",
        "Without --device everything runs on the processor.",
    )


def device_for(name: str | None, progress: Progress) -> "torch.device":
    """The device of a call; says so where a GPU is left idle.

    Raises:
        AuditError: DEVICE_UNUSABLE.
    """
    import torch

    device = chosen_device(name or "cpu")
    if device.type == "cpu" and torch.cuda.is_available():
        progress.say("everything runs on the processor; --device cuda uses the GPU")
    return device


def resolve_precision(
    settings: "Settings", device: "torch.device", progress: Progress
) -> "Settings":
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
