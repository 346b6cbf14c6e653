"""Models to audit: an honest one, one that memorised, an untrained, a fragile and a blind one.

Each is saved as timm's training script would, and read back like any model of a user.
"""

import argparse
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from audit.baselines.images import Images, statistics
from audit.baselines.patch_net import PatchNet
from audit.baselines.train import Recipe, train
from audit.data.dataset import Dataset
from audit.data.decode import decode
from audit.model.checkpoint import Subject, load_subject

ARCHITECTURE = "resnet10t"
KWARGS: dict[str, Any] = {"channels": [16, 32, 64, 64], "stem_width": 16}
BAGNET = "selftest_bagnet"  # its name in timm's registry
SIGHTED = Recipe(images_seen=0, rate=3e-3, weight_decay=0.01, optimizer="adamw")
FRAGILE = 2.0**-60  # a power of two: dividing and multiplying by it is exact
WHISPERS = ("layer2.0.bn2", "layer2.0.downsample.2")  # all that writes what crosses to layer 3
AMPLIFIES = ("layer3.0.conv1", "layer3.0.downsample.1")  # all that reads it


class LocalNet(nn.Module):
    """BagNet-5 with the outward form of a timm model.

    Shapes:
        input: (N, C, H, W).
        output: (N, K) logits.
    """

    def __init__(self, num_classes: int, in_chans: int):
        super().__init__()
        self.sibling = PatchNet(
            "bagnet", q=5, num_classes=num_classes, in_chans=in_chans, width=64, blocks=3
        )
        self.pretrained_cfg = {"first_conv": "sibling.stem.0", "classifier": "sibling.fc"}

    def forward_features(self, x: Tensor) -> Tensor:
        """Local features: (N, C, H, W) -> (N, D, h, w)."""
        return self.sibling.features(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Their average over places, and the classifier: (N, D, h, w) -> (N, K)."""
        pooled = x.mean(dim=(2, 3))
        return pooled if pre_logits else self.sibling.fc(pooled)

    def get_classifier(self) -> nn.Module:
        """The layer that makes the logits."""
        return self.sibling.fc

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.forward_head(self.forward_features(x))


def selftest_bagnet(
    pretrained: bool = False, num_classes: int = 1000, in_chans: int = 3, **kwargs: Any
) -> LocalNet:
    """What timm's registry calls; there are no pretrained weights."""
    return LocalNet(num_classes, in_chans)


def register_bagnet() -> None:
    """Make the blind model known to timm, so that it is rebuilt like any other."""
    if not timm.models.is_model(BAGNET):
        timm.models.register_model(selftest_bagnet)


def as_images(dataset: Dataset) -> Images:
    """The training images as networks take them."""
    assert dataset.train is not None
    pixels = torch.from_numpy(decode(dataset.train, side_of(dataset), 1 if dataset.grey else 3))
    return Images(pixels, torch.from_numpy(dataset.train.labels), *statistics(pixels))


def side_of(dataset: Dataset) -> int:
    """Side of the pictures of a planted set, in pixels."""
    (first,) = dataset.eval.read(range(1))
    return int(first.width)


def fresh(architecture: str, dataset: Dataset, seed: int) -> nn.Module:
    """An untrained network for the data."""
    register_bagnet()
    kwargs = KWARGS if architecture == ARCHITECTURE else {}
    channels = 1 if dataset.grey else 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return timm.create_model(
            architecture, in_chans=channels, num_classes=len(dataset.classes), **kwargs
        )


def saved(network: nn.Module, architecture: str, images: Images, path: Path) -> Subject:
    """Write a checkpoint with the layout of timm's training script, and read it back."""
    args = argparse.Namespace(
        model=architecture,
        model_kwargs=KWARGS if architecture == ARCHITECTURE else {},
        in_chans=images.pixels.shape[1],
        img_size=images.size[0],
        mean=images.mean.tolist(),
        std=images.std.tolist(),
        crop_pct=1.0,
        interpolation="bicubic",
        pretrained=False,
    )
    state = network.to(memory_format=torch.contiguous_format).state_dict()
    torch.save({"arch": architecture, "state_dict": state, "args": args}, path)
    return load_subject(path)


def make_fragile(network: nn.Module) -> nn.Module:
    """Let the second stage whisper and the third amplify: the same function, bit for bit.

    What crosses from layer 2 to layer 3 is divided by 2^60, and the weights that read it are
    multiplied by as much. New layers behind a frozen layer 2 see nothing but zeros, as far as
    their batch norm and their optimiser can tell; where all layers may learn, layer 2 finds its
    voice again.

    Args:
        network: timm's resnet10t, in eval mode; changed in place.
    """
    with torch.no_grad():
        for norm in WHISPERS:
            network.get_parameter(f"{norm}.weight").mul_(FRAGILE)
            network.get_parameter(f"{norm}.bias").mul_(FRAGILE)
        for convolution in AMPLIFIES:
            network.get_parameter(f"{convolution}.weight").div_(FRAGILE)
    return network


def taught(architecture: str, dataset: Dataset, recipe: Recipe, seed: int) -> nn.Module:
    """A network trained on all training images, in eval mode."""
    network = fresh(architecture, dataset, seed)
    return train(network, as_images(dataset), recipe, seed=seed)
