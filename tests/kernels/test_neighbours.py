"""Exact nearest neighbours: brute force, hard clouds, shortened points, refusals."""

import math

import pytest
import torch

from audit.kernels import bounds, neighbours, sketch
from audit.kernels import rounded as rounding
from audit.kernels.neighbours import nearest
from audit.kernels.rounded import rounded
from audit.kernels.twonn import intrinsic_dimension


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def brute_force(x, k):
    x = x.double()
    squares = torch.stack([(x - row).square().sum(1) for row in x])
    squares.fill_diagonal_(torch.inf)
    return squares.topk(k, largest=False).values.sqrt()


def assigned(n, clusters, seed=1):
    return torch.randint(clusters, (n,), generator=torch.Generator().manual_seed(seed))


CLOUDS = {
    "plain": normal(700, 20),
    "wide": normal(300, 700),
    "far from the origin": normal(400, 30) + 1e4,
    "tight clusters": normal(10, 64)[assigned(500, 10)] + 1e-6 * normal(500, 64, seed=2),
    "tighter than float64 products": normal(5, 16).double()[assigned(400, 5)]
    + 1e-11 * normal(400, 16, seed=2).double(),
    "copies": normal(100, 16)[assigned(400, 100)],
    "nearly copies": normal(300, 32).repeat(2, 1) + 1e-7 * normal(600, 32, seed=2),
    "huge": normal(300, 8) * 1e30,
    "tiny": normal(300, 8) * 1e-30,
    "one outlier": torch.cat([normal(300, 8), torch.full((1, 8), 1e6)]),
    "a line of equal steps": torch.arange(300.0)[:, None],
    "an outlier far beyond float32": torch.cat(
        [normal(300, 8).double(), torch.full((1, 8), 1e145, dtype=torch.float64)]
    ),
    "three points": normal(3, 4),
    "half precision": normal(300, 8).half(),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_distances_equal_brute_force_in_float64(name, monkeypatch):
    monkeypatch.setattr(bounds, "TILE", 256)  # several tiles, the last one not full
    x = CLOUDS[name]
    k = min(4, len(x) - 1)

    torch.testing.assert_close(nearest(x, k).distances, brute_force(x, k), rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_the_input_stays_as_it_was(dtype):
    x = normal(100, 8).to(dtype)
    copy = x.clone()
    intrinsic_dimension(x)
    assert torch.equal(x, copy)


def test_indices_lead_to_the_distances():
    x = CLOUDS["tight clusters"].double()
    found = nearest(x, 4)

    again = (x[:, None] - x[found.indices]).square().sum(2).sqrt()
    torch.testing.assert_close(again, found.distances, rtol=1e-12, atol=0)
    assert (found.indices != torch.arange(len(x))[:, None]).all()


def test_hard_rows_are_searched_again(monkeypatch):
    """Without the second search the answers on tight clusters are wrong: the proof is needed."""
    x = CLOUDS["tight clusters"]
    monkeypatch.setattr(neighbours, "_again", lambda *_: torch.arange(0))

    assert not torch.allclose(nearest(x, 4).distances, brute_force(x, 4), rtol=1e-6)


def test_coarse_products_are_found_out_and_the_answer_stays_exact(monkeypatch):
    x, exact = CLOUDS["plain"], torch.addmm

    def coarse(c, a, b, alpha, out=None):  # as a processor does that multiplies float32 in 8 bits
        if a.dtype == torch.float64:
            return exact(c, a, b, alpha=alpha)
        return exact(c, a.bfloat16().float(), b.bfloat16().float(), alpha=alpha)

    monkeypatch.setattr(torch, "addmm", coarse)
    monkeypatch.setattr(bounds, "_lost", lambda _: 2.0**-8)
    torch.testing.assert_close(nearest(x, 2).distances, brute_force(x, 2), rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(2, 3),
        torch.tensor([[math.nan]] * 5),
        torch.tensor([[0.0], [1.0], [-math.inf]]),
        torch.tensor([[0.0], [1.0], [1e163]], dtype=torch.float64),
    ],
)
def test_neighbours_of_too_few_or_broken_points_are_refused(bad):
    with pytest.raises(ValueError, match="neighbours need"):
        nearest(bad, 2)


def features(n, d, decay, seed=0):
    """Variances that fall as a power, as those of a network's features do; not negative."""
    return (normal(n, d, seed=seed) * torch.arange(1, d + 1) ** -(decay / 2)).relu()


@pytest.fixture
def always_short(monkeypatch):
    monkeypatch.setattr(sketch, "WORTH", 0.0)
    monkeypatch.setattr(sketch, "REST", 1.0)
    monkeypatch.setattr(sketch, "EXACT", 0.0)
    monkeypatch.setattr(sketch, "LOOK", 0.0)
    monkeypatch.setattr(bounds, "TILE", 256)


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0, 6.0])
def test_shortened_points_lead_to_the_same_answer(decay, always_short):
    x = features(900, 80, decay)
    torch.testing.assert_close(nearest(x, 4).distances, brute_force(x, 4), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", ["wide", "nearly copies", "copies", "one outlier"])
def test_shortened_hard_clouds(name, always_short, monkeypatch):
    x = CLOUDS[name]
    monkeypatch.setattr(neighbours, "sketched", short_of_two)
    torch.testing.assert_close(nearest(x, 4).distances, brute_force(x, 4), rtol=1e-13, atol=0)


def short_of_two(points, k):
    axes = sketch._axes(points[:300], 2)
    return sketch._described(sketch._projected(points, axes, [2])[2])


@pytest.mark.parametrize("p", [4, 16])
def test_shortened_distances_are_never_larger(p):
    x = features(400, 64, 1.0)
    short = sketch._projected(x, sketch._axes(x, p), [p])[p].double()
    squares, full = torch.cdist(short, short).square(), torch.cdist(x.double(), x.double()).square()

    assert short.shape == (400, p + 1)
    assert (squares <= full + 1e-6 * full.max()).all()


@pytest.fixture
def always_rounded(monkeypatch):
    monkeypatch.setattr(neighbours, "sketched", lambda points, _: rounded(points))


@pytest.mark.parametrize("name", CLOUDS)
def test_points_in_bfloat16_lead_to_the_same_answer(name, always_rounded):
    x = CLOUDS[name]
    k = min(4, len(x) - 1)
    torch.testing.assert_close(nearest(x, k).distances, brute_force(x, k), rtol=1e-13, atol=0)


@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_bounds_of_rounded_points_are_never_above_the_distance(spread):
    x = 0.3 + spread * normal(400, 64).clamp(-3, 3) / 5
    sketch, every = rounded(x), torch.arange(400)
    low = sketch.bounds(every, sketch.room(400)) + sketch.norms[:400, None]
    squares = torch.stack([(x.double() - row).square().sum(1) for row in x.double()])

    assert low[:, 400:].isinf().all()
    assert (low[:, :400] <= squares).all()
    assert ((squares - low[:, :400]) <= 0.02 * 2 * x.square().sum(1).max()).all()  # and not far


@pytest.mark.parametrize("most", [2, 40])
def test_groups_hide_no_score_below_the_limit(most):
    scores, limits = normal(50, 320), normal(50, seed=1) - 2
    rows, columns, many = bounds.not_above(scores, limits, most)

    below = scores <= limits[:, None]
    assert torch.equal(many, below.sum(1) > most)
    found = torch.zeros_like(below)
    found[rows, columns] = True
    assert torch.equal(found, below & ~many[:, None])
    assert (rows.diff() >= 0).all()


def test_rounded_products_are_not_used_where_they_are_too_coarse(monkeypatch):
    exact = torch.Tensor.__matmul__
    digits = {"lost": 0.0}

    def product(a, b):
        return exact(a, b) * (1 + digits["lost"]) if a.dtype == torch.bfloat16 else exact(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", product)
    speed = rounding._speed_up.__wrapped__
    assert speed(1) != 1.0
    digits["lost"] = 0.02
    assert speed(1) == 1.0


def test_descriptions_in_bfloat16_are_chosen_where_they_are_fast(monkeypatch):
    monkeypatch.setattr(sketch, "WORTH", 0.0)
    cloud = normal(2500, 2048)
    for times, chosen in ((1.0, None), (8.0, torch.bfloat16)):
        monkeypatch.setattr(sketch, "speed_up", lambda _, times=times: times)
        found = sketch.sketched(cloud / cloud.abs().max(), 2)
        assert (found and found.points.dtype) == chosen


def test_only_points_with_a_short_description_are_shortened(monkeypatch):
    monkeypatch.setattr(sketch, "WORTH", 0.0)
    round_cloud, flat = normal(2500, 64), features(2500, 64, 4.0)
    monkeypatch.setattr(sketch, "speed_up", lambda _: 1.0)
    assert sketch.sketched(round_cloud, 2) is None
    assert sketch.sketched(flat / flat.max(), 2).points.shape[1] < 20
