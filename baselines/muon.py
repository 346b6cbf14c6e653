"""Muon: the momentum of every weight matrix, made orthogonal, is the step; AdamW for all else.

A step of all singular directions at once learns several times as much from few images as SGD's
does, which is what makes a null strong on a small budget (`benchmarks/README.md`).

References: Jordan et al. (2024), kellerjordan.github.io/posts/muon; Liu et al. (2025),
arXiv:2502.16982, equation 4 (the scale at which AdamW's rates fit).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.optimizer import ParamsT

QUINTIC = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration
ITERATIONS = 5
MOMENTUM = 0.9
BETAS = (0.9, 0.95)  # of AdamW
EPSILON = 1e-8
SCALE = 0.2  # root mean square of an AdamW step, in units of the rate


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum for parameters of two or more dimensions, AdamW for the others.

    A convolution's weight is taken as the matrix (out, in * kernel * kernel). Weight decay is
    decoupled, and of matrices only.

    Args:
        params: Parameters that take gradients, or groups of them.
        lr: Rate, on AdamW's scale.
        weight_decay: Share of a matrix that is taken off at each step, times the rate.
    """

    def __init__(self, params: ParamsT, lr: float, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; a closure is not supported."""
        assert closure is None, "Muon takes no closure"
        for group in self.param_groups:
            rate = group["lr"]
            learned = [p for p in group["params"] if p.grad is not None]
            for p in learned:
                if p.ndim < 2:
                    p.sub_(adam_step(p, self.state[p]), alpha=rate)
            for alike in by_shape(p for p in learned if p.ndim > 1):
                momenta = torch.stack([nesterov(p, self.state[p]).flatten(1) for p in alike])
                steps = orthogonal(momenta) * (SCALE * max(momenta.shape[1:]) ** 0.5)
                for p, step in zip(alike, steps, strict=True):
                    p.mul_(1 - rate * group["weight_decay"]).sub_(step.view(p.shape), alpha=rate)


def by_shape(matrices: Iterable[Parameter]) -> list[list[Parameter]]:
    """Parameters whose matrices have the same rows and columns, so that they are done at once."""
    found: dict[tuple[int, int], list[Parameter]] = {}
    for p in matrices:
        found.setdefault((p.shape[0], p.numel() // p.shape[0]), []).append(p)
    return list(found.values())


def nesterov(p: Parameter, state: dict[str, Any]) -> Tensor:
    """The gradient, looked ahead along its momentum."""
    assert p.grad is not None
    if not state:
        state["momentum"] = torch.zeros_like(p)
    momentum: Tensor = state["momentum"].lerp_(p.grad, 1 - MOMENTUM)
    return p.grad.lerp(momentum, MOMENTUM)


def adam_step(p: Parameter, state: dict[str, Any]) -> Tensor:
    """AdamW's step at rate 1, without decay."""
    assert p.grad is not None
    if not state:
        state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p)}
        state["square"] = torch.zeros_like(p)
    state["step"] += 1
    state["mean"].lerp_(p.grad, 1 - BETAS[0])
    state["square"].lerp_(p.grad.square(), 1 - BETAS[1])
    mean, square = (
        state[name] / (1 - beta ** state["step"])
        for name, beta in zip(("mean", "square"), BETAS, strict=True)
    )
    return mean / (square.sqrt() + EPSILON)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices of the same singular vectors, with singular values near 1 (0.7 to 1.2).

    Args:
        matrices: (B, m, n), none of them all zero.

    Returns:
        (B, m, n).
    """
    a, b, c = QUINTIC
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.mT
