"""The null hypotheses themselves: what each network can and cannot see."""

import math

import numpy as np
import pytest
import torch

from audit.baselines import QS
from audit.baselines.bagnet import BagNet
from audit.baselines.coordinates import add_coordinates
from audit.baselines.patch_net import SPACINGS, STRIDE, PatchNet, PatchSampling, covered
from audit.baselines.receptive_field import prove_local, prove_position_blind
from audit.baselines.trivial import colour, fit_linear, fit_prior, moments, pixels


def small(kind, q=9, in_chans=3):
    torch.manual_seed(0)
    net = PatchNet(kind, q=q, num_classes=4, in_chans=in_chans, width=16, blocks=2)
    for module in net.modules():  # trained networks have no zero-initialised branches
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return net


VOTERS = [
    (kind, PatchSampling(spacing))
    for kind in ("bagnet", "coordconv", "circular")
    for spacing in SPACINGS
]
VOTERS += [("bagnet", PatchSampling(spacing, mirrored=True)) for spacing in SPACINGS]


@pytest.mark.parametrize("q", QS)
@pytest.mark.parametrize(("kind", "vote"), VOTERS)
def test_sibling_sees_q_pixels(kind, q, vote):
    torus = kind != "bagnet"  # 39 and 42 pixels: neither fits, so that both are extended
    images, network = torch.randn(2, 3, 39, 42), small(kind, q).sampling(vote)
    assert prove_local(network, images, q=q, stride=vote.spacing, torus=torus).holds


@pytest.mark.parametrize("q", QS)
@pytest.mark.parametrize("kind", ["bagnet", "coordconv", "circular"])
def test_closer_patches_add_votes_and_change_none(kind, q):
    network, images = small(kind, q).eval(), torch.randn(2, 3, 40, 40)
    closer = network.sampling(PatchSampling(2)).evidence(images)
    torch.testing.assert_close(
        closer[..., ::2, ::2], network.sampling(PatchSampling()).evidence(images)
    )


@pytest.mark.parametrize("kind", ["bagnet", "sighted"])
def test_where_mirrored_patches_vote_a_mirrored_image_is_the_same(kind):
    network, images = small(kind).eval(), torch.randn(2, 3, 33, 33)
    plain, other = (network.evidence(x) for x in (images, images.flip(3)))
    mean = network.sampling(PatchSampling(mirrored=True)).evidence(images)
    torch.testing.assert_close(mean, (plain + other.flip(3)) / 2)
    torch.testing.assert_close(network(images.flip(3)), network(images))
    torch.testing.assert_close(mean.mean((2, 3)), network(images))
    assert (plain.mean((2, 3)) - network(images)).abs().max() > 1e-4


@pytest.mark.parametrize("q", [9, 17])
def test_a_wider_view_is_refuted(q):
    proof = prove_local(small("bagnet", q), torch.randn(2, 3, 33, 33), q=q - 2, stride=STRIDE)
    assert not proof.holds
    assert proof.largest > 1e-6


@pytest.mark.parametrize("q", [9, 17, 33])
def test_paper_bagnet_sees_exactly_q_pixels(q):
    torch.manual_seed(0)
    net = BagNet(q, num_classes=2).double().eval()
    x = torch.rand(1, 3, q + 16, q + 16, dtype=torch.float64, requires_grad=True)
    net.evidence(x)[0, :, 1, 1].sum().backward()
    rows = x.grad[0].abs().sum((0, 2)).nonzero().ravel()
    assert (int(rows.min()), int(rows.max())) == (8, 8 + q - 1)


@pytest.mark.parametrize(("q", "parameters"), [(9, 15_688_744), (17, 16_213_032), (33, 18_310_184)])
def test_paper_bagnet_has_the_published_size(q, parameters):
    assert sum(p.numel() for p in BagNet(q).parameters()) == parameters


def test_paper_bagnet_has_the_published_keys():
    keys = set(BagNet(33).state_dict())
    expected = {
        "conv1.weight",
        "conv2.weight",
        "bn1.running_var",
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.bias",
        "layer3.5.conv3.weight",
        "layer4.2.bn3.num_batches_tracked",
        "fc.bias",
    }
    assert expected <= keys
    assert len(keys) == 54 + 53 * 5 + 2  # convolutions, batch norms, the linear layer


def test_evidence_averages_to_the_logits():
    net = BagNet(9, num_classes=3).double().eval()
    x = torch.randn(2, 3, 33, 33, dtype=torch.float64)
    torch.testing.assert_close(net.evidence(x).mean((2, 3)), net(x), atol=1e-12, rtol=0)


def test_circular_twin_is_position_blind_and_coordconv_is_not():
    images = torch.randn(4, 3, 32, 32)
    assert prove_position_blind(small("circular"), images, stride=STRIDE).holds
    assert prove_position_blind(
        small("circular").sampling(PatchSampling(2)), images, stride=2
    ).holds
    assert not prove_position_blind(small("coordconv"), images, stride=STRIDE).holds


def test_a_network_of_nan_proves_nothing():
    network, images = small("circular"), torch.randn(2, 3, 32, 32)
    torch.nn.init.constant_(network.fc.weight, math.nan)
    assert not prove_local(network, images, q=9, stride=STRIDE, torus=True).holds
    assert not prove_position_blind(network, images, stride=STRIDE).holds


def test_sighted_twin_sees_the_whole_image():
    net = small("sighted").eval()
    for parameter in net.parameters():
        parameter.data.abs_()  # no rectifier is shut
    x = torch.rand(1, 3, 33, 33, requires_grad=True)
    net.evidence(x)[0, :, 3, 3].sum().backward()
    assert (x.grad.abs().sum((0, 1)) > 0).all()


@pytest.mark.parametrize(("width", "blocks"), [(64, 3), (128, 4)])
@pytest.mark.parametrize("q", QS)
def test_sighted_twin_has_the_size_of_its_null(q, width, blocks):
    sizes = [
        sum(
            p.numel()
            for p in PatchNet(
                kind, q=q, num_classes=10, in_chans=3, width=width, blocks=blocks
            ).parameters()
        )
        for kind in ("bagnet", "sighted")
    ]
    assert sizes[1] / sizes[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("kind", "side", "expected"), [
    ("bagnet", 28, 29), ("bagnet", 32, 33), ("bagnet", 33, 33), ("bagnet", 224, 225),
    ("coordconv", 28, 28), ("circular", 30, 32),
])  # fmt: skip
def test_positions_cover_the_image_which_is_extended_and_never_resampled(kind, side, expected):
    image = torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side)
    found = covered(image, torus=kind != "bagnet")
    assert found.shape[2:] == (expected, expected)
    assert torch.equal(found[..., :side, :side], image)
    assert torch.equal(found[..., side:, 0], image[..., -1:, 0].expand(1, 1, expected - side))


def test_coordinates_are_scaled_by_their_own_axis():
    x = add_coordinates(torch.zeros(2, 3, 5, 9))
    assert x.shape == (2, 5, 5, 9)
    torch.testing.assert_close(x[0, 3, :, 0], torch.linspace(-1, 1, 5))  # rows, over the height
    torch.testing.assert_close(x[1, 4, 0], torch.linspace(-1, 1, 9))  # columns, over the width


def test_zero_coordinate_weights_make_an_ordinary_network():
    told, blind = small("coordconv"), small("circular")
    state = told.state_dict()
    state["stem.0.weight"][:, 3:] = 0
    blind.load_state_dict(state | {"stem.0.weight": state["stem.0.weight"][:, :3].clone()})
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(told.eval()(x), blind.eval()(x))


def test_prior_is_the_smoothed_frequency():
    model = fit_prior(np.array([0, 0, 0, 1]), 3)
    found = np.exp(model.log_probabilities(np.zeros((2, 0), dtype=np.float32)))
    np.testing.assert_allclose(found, [[4 / 7, 2 / 7, 1 / 7]] * 2, rtol=1e-6)


def test_colour_does_not_see_arrangement():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 3, 8, 8), dtype=np.uint8)
    shuffled = image.reshape(1, 3, 64)[..., rng.permutation(64)].reshape(1, 3, 8, 8)
    np.testing.assert_array_equal(colour(image), colour(shuffled))
    assert not np.array_equal(colour(image), colour(255 - image))


@pytest.mark.parametrize(("i", "j"), [(0, 0), (3, 7), (10, 2)])
def test_moments_find_a_bright_pixel_exactly(i, j):
    image = np.zeros((1, 1, 11, 11), dtype=np.uint8)
    image[0, 0, i, j] = 255
    row, col, *second = moments(image)[0, 6:]
    np.testing.assert_allclose([row, col], [i / 5 - 1, j / 5 - 1], atol=1e-5)
    np.testing.assert_allclose(second, 0, atol=1e-5)


def test_moments_of_a_black_image_are_finite():
    assert np.isfinite(moments(np.zeros((1, 3, 8, 8), dtype=np.uint8))).all()


def test_pixels_keeps_the_mean():
    image = np.random.default_rng(0).integers(0, 256, (2, 1, 32, 32), dtype=np.uint8)
    found = pixels(image)
    assert found.shape == (2, 256)
    np.testing.assert_allclose(found.mean(1), image.mean((1, 2, 3)) / 255, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_model_separates_what_is_separable(classes):
    labels = np.arange(60) % classes
    features = np.eye(classes, dtype=np.float32)[labels]
    model = fit_linear(features, labels, classes, strength=3.0)
    assert (model.log_probabilities(features).argmax(1) == labels).all()


def test_a_column_that_is_constant_up_to_rounding_is_no_evidence():
    """Divided by its rounding error, a change of a thousandth would drown everything else."""
    labels = np.arange(100) % 2
    noise = np.float32(1e-6) * np.random.default_rng(0).standard_normal(100).astype("f4")
    features = np.stack([labels.astype("f4"), np.float32(-2.3) + noise], axis=1)
    model = fit_linear(features, labels, 2, 1.0)
    moved = features + np.array([0, 1e-3], dtype="f4")
    assert (model.log_probabilities(moved).argmax(1) == labels).all()
