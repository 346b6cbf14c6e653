"""Proofs that a trained null is as blind as it claims, made at run time on the network itself.

A BagNet's claim *is* its receptive field, and a circular twin's claim is that position is unknown
to it. Both are checked in eval mode and float64: in train mode patches meet in batch statistics.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audit.baselines.patch_net import STRIDE

TOLERANCE = 1e-9  # of a logit in float64; a real leak is many orders larger


@dataclass(frozen=True)
class Proof:
    """Outcome of a check.

    Attributes:
        holds: Whether the claim holds.
        largest: Largest change of a logit (or gradient) that should have been none.
        checked: Number of positions and contents that were tried.
    """

    holds: bool
    largest: float
    checked: int


def window(position: int, q: int, stride: int, side: int, torus: bool) -> Tensor:
    """Pixels of one axis that the position may see: (q,) indices.

    The last pixel stands for those by which the axis is extended.
    """
    start = stride * position - (q // 2 if torus else 0)
    seen = torch.arange(start, start + q)
    if torus:
        seen %= side + -side % STRIDE
    return seen.clamp_max(side - 1)


def prove_local(
    network: nn.Module,
    images: Tensor,
    *,
    q: int,
    stride: int,
    torus: bool = False,
    deviation: float = 1.0,
) -> Proof:
    """Check that nothing outside q x q pixels changes one position's evidence.

    By gradient (no pixel outside has one) and by replacement of everything outside (with zeros,
    noise and another image).

    Args:
        network: Has `evidence`; a copy of it is checked, in eval mode and float64.
        images: (N, C, H, W), normalised as for training, N >= 2; real images, not noise.
        q: The claim, in pixels of `images`.
        stride: Of the network.
        torus: Whether it pads circularly, so that patches wrap around.
        deviation: Of the noise; that of images as the network takes them.

    Returns:
        The proof over the corners and the middle of the map.
    """
    net = copy.deepcopy(network).double().eval().requires_grad_(False)
    x = images[:2].double()
    tall, wide = x.shape[2:]
    evidence = getattr(net, "evidence")  # noqa: B009 (a Protocol cannot be intersected with Module)
    height, width = evidence(x[:1]).shape[2:]
    places = {(0, 0), (height - 1, width - 1), (height // 2, width // 2), (0, width - 1)}
    outside, changes = [torch.zeros(1)], []
    for i, j in sorted(places):
        inside = torch.zeros(tall, wide, dtype=torch.bool)
        rows, cols = window(i, q, stride, tall, torus), window(j, q, stride, wide, torus)
        inside[rows[:, None], cols[None, :]] = True
        probe = x[:1].clone().requires_grad_(True)
        reference = evidence(probe)[0, :, i, j]
        (gradient,) = torch.autograd.grad(reference.square().sum(), probe)
        outside.append(gradient[0, :, ~inside].abs().flatten())
        noise = torch.randn(x[:1].shape, generator=torch.Generator().manual_seed(i * 31 + j))
        for content in (torch.zeros_like(x[:1]), deviation * noise.double(), x[1:2]):
            replaced = torch.where(inside, x[:1], content)
            change = evidence(replaced)[0, :, i, j] - reference.detach()
            changes.append(change.abs())
    largest = float(torch.cat([*outside, *changes]).max())  # NaN if any is NaN: nothing is proved
    return Proof(holds=largest <= TOLERANCE, largest=largest, checked=len(changes))


def prove_position_blind(network: nn.Module, images: Tensor, *, stride: int) -> Proof:
    """Check that rolling the image by the stride leaves the logits unchanged to 1e-5.

    Args:
        network: The circular twin; a copy of it is checked, in eval mode and float64.
        images: (N, C, H, W), H and W divisible by the stride.
        stride: Of the network.

    Returns:
        The proof over rolls along either axis and both.
    """
    net = copy.deepcopy(network).double().eval()
    x = images[:4].double()
    shifts = [(stride, 0), (0, stride), (3 * stride, 2 * stride)]
    with torch.no_grad():
        reference = net(x)
        rolled = torch.stack([net(torch.roll(x, shift, dims=(2, 3))) for shift in shifts])
    largest = float((rolled - reference).abs().max())  # NaN if any is NaN
    return Proof(holds=largest <= 1e-5, largest=largest, checked=len(shifts))
