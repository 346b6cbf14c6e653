"""What turns a fresh network into an untrained control: open branches and estimated norms.

An initialisation prepares a training, and that is not what a control is for. Residual branches
begin closed, so that a fresh network of fifty layers computes what one of ten does; and running
statistics of 0 and 1 normalise nothing. Which of this an architecture does is a flag of timm's that
decides even whether training raised the dimension of the last layer. Ansuini et al. (2019,
arXiv:1905.12784) had a plain network without branches as their untrained one.

So scales of branches are set to one, and batch norms are estimated on images. Weights are left as
they were drawn. timm 1.0 closes branches in these ways, found by building one or two networks of
each of its modules:

- the weight of the last norm is 0: ResNet and its kin, RegNet, RepViT, LeViT, Swin V2;
- layer scales of 1e-6 to 0.1: `gamma` (ConvNeXt, DeiT III, EdgeNeXt), `gamma_1` (BEiT, CaiT),
  `gamma1` (XCiT), `ls1` (ResMLP), `scale` (PoolFormer);
- the gain of the last convolution, or of the branch, is 0: NFNets (`gain`, `skipinit_gain`).

The weight of a global response norm (ConvNeXt V2) begins at 0, too, and is set to one although the
norm closes no branch. Left alone are offsets that begin at 0, mixing weights behind a sigmoid
(EfficientViM), and classifiers whose weights begin at 0, since nothing here reads logits.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from audit.baselines.device import called
from audit.baselines.images import Images

BATCH = 128  # images, at most
SCALES = re.compile(r"gamma.*|ls\d+|scale|layer_?scale.*|res_?scale.*|gain|skipinit_gain")

Norm = nn.modules.batchnorm._BatchNorm


def opened(network: nn.Module) -> nn.Module:
    """Set the scales that close the branches of a fresh network to one, in place."""
    with torch.no_grad():
        for path, value in network.named_parameters():
            if closes(path.rpartition(".")[2], value):
                value.fill_(1.0)
    return network


def closes(name: str, value: Tensor) -> bool:
    """Whether a parameter of a fresh network closes a branch.

    Args:
        name: The parameter's own name, without that of its module.
        value: Its value, as it was initialised.
    """
    if not value.numel() or bool((value != value.flatten()[0]).any()):
        return False
    start = float(value.flatten()[0])
    if name == "weight":  # of a norm: nothing else has one axis
        return value.dim() == 1 and start == 0
    return bool(SCALES.fullmatch(name)) and 0 <= start < 1


def batch_norms(network: nn.Module) -> list[Norm]:
    """The modules whose statistics come from images."""
    found = (module for module in network.modules() if isinstance(module, Norm))
    return [norm for norm in found if norm.track_running_stats]


@contextmanager
def averaged(norms: Sequence[Norm]) -> Iterator[None]:
    """Begin the statistics of batch norms anew: a plain average over the batches run inside."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def estimate_norms(network: nn.Module, parts: Iterable[Images]) -> nn.Module:
    """Estimate the statistics of all batch norms on images, in place.

    Nothing but the batch norms is in train mode: no dropout, no dropped path.

    Args:
        network: On any device; in eval mode afterwards.
        parts: Images in random order, in one part or several. A part of one image is left out,
            since it has no variance.
    """
    network.eval()
    norms = batch_norms(network)
    with averaged(norms), torch.no_grad():
        for norm in norms:
            norm.training = True  # its children, such as a dropout, stay as they are
        for images in parts:
            for index in torch.arange(len(images)).chunk(-(-len(images) // BATCH)):
                if len(index) > 1:
                    called(network, images.normalised(index))
    return network.eval()
