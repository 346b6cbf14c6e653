"""Read-outs of features: exact where they can be, unmoved by scale, at chance without a signal."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audit.kernels.probes import FURTHER, STRENGTHS, choose, edge_of, fit, normalised, unusable


def made(n=300, d=8, classes=3, spread=0.3, seed=0):
    """Clouds around the first axes: features and labels, shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    x = np.eye(d)[labels] + spread * rng.normal(size=(n, d))
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels)


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_separable_classes_are_read_out_exactly(loss):
    x, y = made(spread=0.01)
    found = choose(normalised(x), y, 200, 3, loss)
    new, truth = made(spread=0.01, seed=1)
    assert (found.readout.predict(normalised(new)) == truth).all()


def test_the_scale_of_the_features_does_not_matter():
    x, y = made()
    plain, scaled = normalised(x), normalised(1e30 * x)
    torch.testing.assert_close(plain, scaled)
    first, second = (fit(part, y, 3, "logistic", 1.0) for part in (plain, scaled))
    assert torch.equal(first.predict(plain), second.predict(plain))


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_shuffled_labels_give_chance(loss):
    x, y = made(n=600)
    generator = torch.Generator().manual_seed(0)
    wrong = y[torch.randperm(600, generator=generator)]
    found = choose(normalised(x)[:400], wrong[:400], 300, 3, loss)
    right = (found.readout.predict(normalised(x)[400:]) == wrong[400:]).double().mean()
    assert abs(float(right) - 1 / 3) < 0.1


def test_the_logistic_read_out_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    x, y = made(spread=0.6)
    found = fit(x.double(), y, 3, "logistic", strength=1.0)
    peer = LogisticRegression(C=1000 / len(x), tol=1e-10, max_iter=1000).fit(x.double(), y)
    np.testing.assert_allclose(found.weight, peer.coef_, atol=2e-3)


def test_the_svm_is_scikit_learns():
    """A column of large ones stands for the free bias, which is held down there."""
    from sklearn.svm import LinearSVC

    x, y = made(spread=0.6)
    found = fit(x.double(), y, 3, "hinge", strength=1.0)
    peer = LinearSVC(C=1000 / len(x), tol=1e-8, max_iter=100_000, dual=False, intercept_scaling=30)
    peer.fit(x.double(), y)
    np.testing.assert_allclose(found.weight, peer.coef_, atol=2e-3)


def test_the_strength_is_chosen_on_images_set_aside():
    """Of 60 images in 200 noisy directions the strongly held model is the better one."""
    x, y = made(n=120, d=200, spread=0.5)
    found = choose(normalised(x), y, 60, 3, "logistic")
    assert found.readout.strength == found.strengths[int(np.argmax(found.heldout))]
    assert found.readout.strength < 1000
    assert found.edge == ""


def answers(monkeypatch, score):
    """A search in which the share right is a function of the strength; and what was learned."""
    learned = []

    def fit(x, labels, classes, loss, strength, solver):
        learned.append(strength)
        right = torch.arange(1000) < 1000 * score(np.log10(strength))

        def predict(x):
            return torch.where(right[: len(x)], 0, 1)

        return SimpleNamespace(strength=strength, predict=predict, steps=solver.most)

    monkeypatch.setattr("audit.kernels.probes.fit", fit)
    x = torch.zeros(2000, 2)
    return choose(x, torch.zeros(2000).long(), 1000, 2, "logistic"), learned


@pytest.mark.parametrize(("score", "best", "edge"), [
    (lambda c: 0.5 + 0.05 * c, 1e6, "greatest"),
    (lambda c: 0.5 - 0.1 * c, 1e-3, "least"),
    (lambda c: 0.9 - 0.1 * abs(c - 4), 1e4, ""),
    (lambda c: 0.9 - 0.1 * abs(c - 2), 100, ""),
    (lambda c: 0.9, 1, ""),
])  # fmt: skip
def test_the_search_goes_on_while_the_best_lies_at_an_end(monkeypatch, score, best, edge):
    found, learned = answers(monkeypatch, score)
    assert (found.readout.strength, found.edge) == (pytest.approx(best), edge)
    assert len(learned) <= len(STRENGTHS) + FURTHER + 1
    assert learned[-1] == found.readout.strength
    assert list(found.strengths) == sorted(learned[:-1])


def test_a_large_problem_is_searched_no_further_and_says_so(monkeypatch):
    monkeypatch.setattr("audit.kernels.probes.WORK", 1000 * 2 * 2 * 50)
    found, _ = answers(monkeypatch, lambda c: 0.5 + 0.05 * c)
    assert found.strengths == (*STRENGTHS, 1e4)
    assert (found.readout.steps, found.edge) == (50, "greatest")
    monkeypatch.setattr("audit.kernels.probes.WORK", 0)
    assert answers(monkeypatch, lambda c: 0.5 + 0.05 * c)[0].strengths == STRENGTHS


def test_of_equal_ends_neither_is_the_best():
    assert edge_of({1.0: 0.5, 10.0: 0.5})[0] == ""
    assert edge_of({1.0: 0.5, 10.0: 0.6}) == ("greatest", 10.0)


def test_wide_features_are_scaled_and_not_rotated(monkeypatch):
    x, y = made()
    rotated = fit(x, y, 3, "logistic", 1.0)
    monkeypatch.setattr("audit.kernels.probes.ROTATED", 4)
    torch.testing.assert_close(
        fit(x, y, 3, "logistic", 1.0).weight, rotated.weight, atol=1e-2, rtol=0
    )


@pytest.mark.parametrize(("x", "why"), [
    (torch.ones(9, 4), "the same for all images"),
    (torch.full((9, 4), torch.nan), "not all finite"),
    (torch.zeros(9, 0), "no features"),
])  # fmt: skip
def test_features_that_tell_nothing_are_named(x, why):
    assert why in unusable(normalised(x) if x.numel() else x)
