"""Closed-form patch models: exact, local, and blind to what they claim to be blind to."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from audit.baselines.patch_ridge import PatchRidge, features, learn_filters, pooling
from audit.baselines.receptive_field import prove_local
from audit.baselines.ridge import (
    STRENGTHS,
    choose_ridge,
    fit_ridge,
    part,
    problem,
    shares_of,
    temperature,
)


def images(n=40, size=(20, 26), channels=3):
    shape = n, channels, *size
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )


def fitted(q=5, stride=3, cells=1, pixels=None, double=False):
    """A model with filters of some images and random votes."""
    pixels = images() if pixels is None else pixels
    filters = learn_filters(pixels, q, 12, torch.Generator().manual_seed(0))
    model = PatchRidge(filters, stride, cells, 4)
    model.readout.copy_(torch.randn(model.readout.shape))
    return model.double() if double else model


def regression(n, width, groups=None):
    torch.manual_seed(1)
    x, labels = torch.randn(n, width, dtype=torch.float64), torch.arange(n) % 3
    x[:, :3] += F.one_hot(labels, 3)
    return problem(x, labels, 3, torch.arange(n) if groups is None else groups), labels


@pytest.mark.parametrize(("q", "stride"), [(5, 3), (9, 4), (17, 5)])
def test_nothing_outside_q_pixels_changes_the_vote_of_a_patch(q, stride):
    model, sample = fitted(q, stride), images(2).float()
    assert prove_local(model, sample, q=q, stride=stride).holds
    assert not prove_local(model, sample, q=q - 2, stride=stride).holds


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_the_votes_of_patches_average_to_the_logits(cells):
    model, x = fitted(cells=cells, double=True), images(3)
    torch.testing.assert_close(model.evidence(x).mean((2, 3)), model(x))


def test_a_bag_does_not_know_where_its_patches_lie_and_cells_do():
    q = 5
    x = images(4, (4 * q, 4 * q))
    tiles = F.unfold(x.float(), q, stride=q)[..., torch.randperm(16)]
    shuffled = F.fold(tiles, x.shape[2:], q, stride=q).to(torch.uint8)
    bag, told = (fitted(q, q, cells, x, double=True) for cells in (1, 2))
    torch.testing.assert_close(bag(x), bag(shuffled))
    assert (told(x) - told(shuffled)).abs().max() > 1e-3


def test_a_patch_at_the_border_is_extended_and_not_lost():
    model, x = fitted(9, 4), images(1, (20, 20))  # 20 pixels: 9 + 2 x 4 = 17, three are left
    changed = x.clone()
    changed[..., -1, -1] = 255 - x[..., -1, -1]
    assert model.evidence(x).shape[2:] == (4, 4)
    assert not torch.equal(model(x), model(changed))


def test_features_are_those_of_the_model_whatever_the_portions(monkeypatch):
    model, x = fitted(), images(7)
    whole = features(model, x, (1, 2))
    monkeypatch.setattr("audit.baselines.patch_ridge.AT_ONCE", 1)
    single, last = features(model, x, (1, 2)), features(model, x, (2,), torch.tensor([6]))
    for cells in (1, 2):
        torch.testing.assert_close(single[cells], whole[cells])
    torch.testing.assert_close(last[2], whole[2][6:])
    torch.testing.assert_close(whole[1] @ model.readout + model.bias, model(x))


@pytest.mark.parametrize("width", [6, 90])  # more images than features, and fewer
@pytest.mark.parametrize("group", [1, 3])
def test_leaving_out_is_a_real_refit_without_the_group(width, group):
    given, labels = regression(45, width, torch.arange(45) // group)
    found = fit_ridge(given, 0.1)
    ridge = 0.1 * given.gram.diagonal().mean()
    y = F.one_hot(labels, 3).double()
    for first in (0, 21):
        rows = torch.arange(45)[given.groups != given.groups[first]]
        x = torch.cat([given.x[rows], torch.ones(len(rows), 1, dtype=torch.float64)], 1)
        penalty = ridge * torch.eye(width + 1, dtype=torch.float64)
        penalty[-1, -1] = 0  # the mean is not penalised
        weight = torch.linalg.solve(x.T @ x + penalty, x.T @ y[rows])
        out = torch.cat([given.x[first], torch.ones(1, dtype=torch.float64)]) @ weight
        torch.testing.assert_close(found.left_out[first], out, atol=1e-8, rtol=0)


def test_the_raw_weights_give_the_fitted_values():
    given, _ = regression(45, 6)
    found = fit_ridge(given, 0.01)
    raw = given.x * given.scale + given.mean
    least = torch.linalg.lstsq(given.x, given.y).solution
    assert ((raw @ found.weight + found.bias) - given.share - given.x @ least).abs().max() < 0.05


def test_fewer_filters_are_a_block_of_the_same_regression():
    given, labels = regression(45, 12)
    columns = shares_of(12, 4)[0.5]
    assert columns.tolist() == [0, 1, 4, 5, 8, 9]
    small = problem(given.x[:, columns] * given.scale[columns], labels, 3, given.groups)
    found, block = small.x.T @ small.x, part(given, columns)
    assert block.gram.shape == found.shape
    torch.testing.assert_close(block.gram, block.x.T @ block.x)


@pytest.mark.parametrize("start", [1e-5, 3e-2, 100.0])
def test_no_next_strength_has_more_left_out_predictions_right(start):
    given, labels = regression(60, 40)

    def right(strength):
        return float((fit_ridge(given, strength).left_out.argmax(1) == labels).double().mean())

    place = STRENGTHS.index(choose_ridge(given, labels, start).strength)
    around = [STRENGTHS[k] for k in (place - 1, place, place + 1) if 0 <= k < len(STRENGTHS)]
    assert right(STRENGTHS[place]) == max(map(right, around))


def test_features_that_are_constant_are_no_evidence():
    labels = torch.arange(30) % 3
    given = problem(torch.full((30, 5), 0.1), labels, 3, torch.arange(30))
    found = choose_ridge(given, labels, 3e-3)
    assert found.weight.isfinite().all()
    assert found.weight.abs().max() < 1e-3


def test_what_no_strength_solves_is_said():
    given, labels = regression(20, 4)
    broken = dataclasses.replace(given, gram=torch.full_like(given.gram, torch.nan))
    with pytest.raises(ArithmeticError):
        choose_ridge(broken, labels, 3e-3)


def test_the_temperature_makes_probabilities_of_scores():
    torch.manual_seed(0)
    logits = 3 * torch.randn(4000, 5)
    labels = torch.distributions.Categorical(logits=logits).sample()
    assert temperature(logits / 20, labels) == pytest.approx(20, rel=0.25)


def test_cells_of_a_rectangle_lie_along_both_axes():
    pool = pooling(2, 6, 2)  # rows of one patch each, columns of three
    assert pool.shape == (4, 12)
    assert [row.nonzero().flatten().tolist() for row in pool] == [
        [0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]
    ]  # fmt: skip
    torch.testing.assert_close(pool.sum(1), torch.ones(4))


def test_a_wider_view_is_refuted_even_on_black_images():
    model = fitted(9, 4)
    black = torch.zeros(2, 3, 26, 26)
    assert not prove_local(model, black, q=5, stride=4, deviation=64.0).holds
    assert prove_local(model, black, q=9, stride=4, deviation=64.0).holds


def test_labels_that_are_noise_stay_noise():
    torch.manual_seed(0)
    model, x, labels = fitted(), images(200), torch.randint(0, 4, (200,))
    found = features(model, x, (1,))[1]
    chosen = choose_ridge(problem(found, labels, 4, torch.arange(200)), labels, 3e-3)
    assert float((chosen.left_out.argmax(1) == labels).double().mean()) < 0.40  # chance 0.25
