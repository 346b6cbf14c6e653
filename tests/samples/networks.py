"""Small networks of several families, their cuts, and images for them."""

import functools

import torch
from torch import Tensor, nn

from audit.model.network.cuts import Cut
from audit.model.network.split import find_cuts
from audit.model.spec import ModelSpec

VIT = {"patch_size": 4, "depth": 4, "embed_dim": 24, "num_heads": 3}
SWIN = {"patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": (1, 2, 1, 1)}
SWIN |= {"num_heads": (1, 2, 2, 4), "drop_path_rate": 0.2}
SPECS = {
    "resnet": ModelSpec("resnet10t", {}, 5, 1, 28),
    "vit": ModelSpec("vit_tiny_patch16_224", VIT | {"drop_rate": 0.1}, 5, 3, 32),
    "convnext": ModelSpec(
        "convnext_atto", {"dims": (8, 16, 24, 32), "depths": (1, 1, 2, 1)}, 5, 3, 32
    ),
    "swin": ModelSpec("swin_tiny_patch4_window7_224", SWIN, 5, 3, 32),
    "densenet": ModelSpec(
        "densenet121", {"growth_rate": 4, "block_config": (2, 2, 2, 2)}, 5, 3, 32
    ),
}
MORE = {
    "mobilenet": ModelSpec("mobilenetv3_small_050", {}, 5, 3, 32),
    "regnet": ModelSpec("regnety_002", {}, 5, 3, 32),
}


def images(spec: ModelSpec, n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(n, spec.in_chans, spec.img_size, spec.img_size, generator=generator)


def state_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def grown(spec: ModelSpec) -> nn.Module:
    """A network whose every value has moved: fresh ones hide branches behind zeros."""
    network = spec.build(seed=1)
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.add_(0.1 * noise if "running_var" in name else 0.2 * noise - 0.1)
    return network


@functools.cache
def network(name: str) -> nn.Module:
    return grown((SPECS | MORE)[name])


@functools.cache
def cuts_of(name: str) -> tuple[Cut, ...]:
    spec = (SPECS | MORE)[name]
    return find_cuts(network(name), spec.input_shape)
