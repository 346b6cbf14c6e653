"""A network in memory, brought to where every other model comes from: a folder that timm writes.

Its weights are written as safetensors, never pickled, and read again like any untrusted file. What
is then audited is the network that timm builds; it is refused if it answers otherwise than the one
in memory, which may have been changed after timm built it.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from audit.core.errors import AuditError
from audit.core.sizes import height_width
from audit.model.checkpoint import Subject
from audit.reports.text import visible

SAMPLES = 2  # random images that both networks must answer alike
# Largest difference of an output, as a share of the largest output. Both are the same arithmetic on
# the same weights; convolutions may be done in another order for another memory layout.
CLOSE = 1e-3


def write_module(module: nn.Module, folder: Path) -> Path:
    """Write a network that timm built as a folder for the Hub, as `timm.models.save_for_hf` does.

    Args:
        module: Network with `num_classes` and timm's `pretrained_cfg`.
        folder: Existing folder; a new one in it gets the architecture's name.

    Returns:
        The new folder, with config.json and model.safetensors.

    Raises:
        AuditError: MODEL_ARCH_UNKNOWN if timm did not build it, MODEL_UNREADABLE if its weights
            cannot be written.
    """
    from timm.models import save_for_hf

    known = getattr(module, "pretrained_cfg", None) or {}
    architecture = known.get("architecture") if isinstance(known, dict) else None
    if not architecture or not isinstance(getattr(module, "num_classes", None), int):
        raise AuditError(
            "MODEL_ARCH_UNKNOWN",
            f"the module {visible(type(module).__name__, 60)} does not name its architecture.",
            "Only networks of timm.create_model can be audited in memory; save others as a "
            "state dict and name the architecture with model=.",
        )
    place = folder / str(architecture)
    try:
        save_for_hf(module, str(place), safe_serialization=True)
    except (RuntimeError, ValueError, TypeError) as error:
        raise AuditError(
            "MODEL_UNREADABLE",
            f"the weights of {visible(type(module).__name__, 60)} cannot be written as "
            f"safetensors: {visible(str(error), 200)}.",
            "Save model.state_dict() with torch.save and audit that file.",
        ) from None
    return place


def require_same(module: nn.Module, subject: Subject) -> None:
    """Refuse a network in memory that answers otherwise than the one that was read.

    Args:
        module: The network in memory; its mode and device are as before afterwards.
        subject: What was read from the folder that `write_module` wrote.

    Raises:
        AuditError: MODEL_ARCH_MISMATCH.
    """
    view, modes = subject.preprocessing, [(part, part.training) for part in module.modules()]
    drawn = torch.Generator().manual_seed(0)
    x = torch.rand(SAMPLES, view.in_chans, *height_width(view.img_size), generator=drawn)
    place = next((p for p in module.parameters()), torch.zeros(0))
    module.eval()
    subject.model.eval()
    try:
        with torch.inference_mode():
            one: Tensor = module(x.to(place.device, place.dtype)).float().cpu()
            other: Tensor = subject.model(x)
    finally:
        for part, training in modes:  # one by one: frozen layers may be in another mode
            part.training = training
    apart = (one - other).abs().max() if one.shape == other.shape else torch.tensor(torch.inf)
    if not float(apart) <= CLOSE * max(1.0, float(other.abs().max())):
        raise AuditError(
            "MODEL_ARCH_MISMATCH",
            f"the module in memory answers otherwise than timm's {subject.spec.architecture} "
            "with its weights, so it was changed after timm built it.",
            "Audit the network as timm builds it.",
        )
