"""The optimiser of the nulls: orthogonal steps for matrices, AdamW's for all else."""

import pytest
import torch

from audit.baselines.muon import SCALE, Muon, orthogonal

RNG = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 4, 36), (2, 36, 4)])
def test_steps_keep_the_singular_vectors_and_even_out_the_values(shape):
    x = torch.randn(shape, generator=RNG)
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    values = u.mT @ orthogonal(x) @ v.mT
    diagonal = values.diagonal(dim1=1, dim2=2)
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-4
    assert diagonal.min() > 0.6
    assert diagonal.max() < 1.25


def test_the_size_of_the_gradient_and_transposing_do_not_matter():
    x = torch.randn(2, 5, 9, generator=RNG)
    torch.testing.assert_close(orthogonal(1000 * x), orthogonal(x))
    torch.testing.assert_close(orthogonal(x.mT), orthogonal(x).mT)
    assert orthogonal(torch.zeros(1, 3, 4)).abs().max() == 0


def steps(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def test_vectors_move_as_with_adamw():
    gradients = torch.randn(5, 7, generator=RNG)
    ours, theirs = (torch.nn.Parameter(torch.ones(7)) for _ in range(2))
    adam = torch.optim.AdamW([theirs], lr=0.1, betas=(0.9, 0.95), weight_decay=0.0)
    moved = steps(Muon([ours], lr=0.1, weight_decay=0.5), ours, gradients)
    torch.testing.assert_close(moved, steps(adam, theirs, gradients))


def test_a_matrix_moves_by_the_root_mean_square_of_an_adamw_step():
    weight = torch.nn.Parameter(torch.zeros(16, 4, 3, 3))  # a convolution: 16 x 36
    moved = steps(Muon([weight], lr=0.1), weight, torch.randn(1, 16, 4, 3, 3, generator=RNG))
    assert moved.square().mean().sqrt() == pytest.approx(0.1 * SCALE, rel=0.15)


def test_only_matrices_decay():
    weight, bias = torch.nn.Parameter(torch.ones(3, 3)), torch.nn.Parameter(torch.ones(3))
    optimizer = Muon([weight, bias], lr=0.1, weight_decay=0.5)
    bias.grad = torch.zeros(3)
    torch.testing.assert_close(
        steps(optimizer, weight, torch.zeros(1, 3, 3)), 0.95 * torch.ones(3, 3)
    )
    assert torch.equal(bias.detach(), torch.ones(3))
