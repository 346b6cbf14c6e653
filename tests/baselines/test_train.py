"""The training loop and what surrounds it."""

import pytest
import torch
from torch import nn

from audit.baselines.coordinates import Window
from audit.baselines.images import Images, augmented, statistics
from audit.baselines.patch_net import PatchNet
from audit.baselines.train import Branches, Diverged, Recipe, inputs, plan_steps, predict, train


def images(n=64, side=8, classes=2):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % classes
    pixels = torch.randint(0, 64, (n, 1, side, side), generator=generator)
    pixels += 160 * labels.view(-1, 1, 1, 1)  # the class is the brightness
    pixels = pixels.to(torch.uint8)
    return Images(pixels, labels, *statistics(pixels))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(144, 2))  # fmt: skip


def test_learns_what_is_easy():
    data = images()
    net = train(network(), data, Recipe(images_seen=1280, rate=0.05), seed=0)
    assert (predict(net, data).argmax(1) == data.labels).all()
    assert not net.training


def test_same_seed_same_weights():
    a, b, c = (
        train(network(), images(), Recipe(images_seen=256, augment="mirror-crop"), seed=s)
        for s in (0, 0, 1)
    )
    assert torch.equal(a[4].weight, b[4].weight)
    assert not torch.equal(a[4].weight, c[4].weight)


def test_bfloat16_rounds_the_products_of_a_step_and_nothing_else():
    exact, rounded = (
        train(network(), images(), Recipe(images_seen=1280, rate=0.05, precision=p), seed=0)
        for p in ("float32", "bfloat16")
    )
    assert {p.dtype for p in rounded.parameters()} == {torch.float32}
    assert not torch.equal(exact[4].weight, rounded[4].weight)
    logits = predict(rounded, images())
    assert not torch.equal(logits, logits.bfloat16().float())  # what has learned runs in 32 bits
    assert torch.allclose(logits, predict(exact, images()), atol=0.1 * float(logits.std()))


def test_branches_leave_the_run_alone():
    """A cooled-down copy must not change the weights that the run goes on with.

    It draws batches from the same stream, so only a run without augmentation and with one batch
    an epoch sees the same images.
    """
    found = {}
    recipe = Recipe(images_seen=64 * 20, batch=64, rate=0.01)
    plain = train(network(), images(), recipe, seed=0)
    branches = Branches((0.25, 0.5), lambda share, net: found.update({share: net}))
    branched = train(network(), images(), recipe, seed=0, branches=branches)
    torch.testing.assert_close(plain[4].weight, branched[4].weight, atol=1e-4, rtol=1e-3)
    assert sorted(found) == [0.25, 0.5]
    assert not torch.equal(found[0.5][4].weight, branched[4].weight)


def sibling(kind="bagnet"):
    torch.manual_seed(0)
    return PatchNet(kind, q=5, num_classes=2, in_chans=1, width=8, blocks=1)


def test_a_crop_costs_its_share_of_the_pixels():
    """Half the budget on crops of a quarter of the pixels: four times as many steps."""
    seen = []
    recipe = Recipe(images_seen=640, batch=64, rate=0.01, crop=8)
    assert plan_steps(recipe, images(side=16)) == (20, 3, 2)
    train(sibling(), images(side=16), recipe, seed=0, progress=seen.append)
    assert seen == [16] * 20 + [64] * 5
    assert sum(seen) == 640


def test_crops_come_from_every_place():
    generator = torch.Generator().manual_seed(0)
    recipe, some = Recipe(images_seen=1), torch.arange(2)
    places = {inputs(images(), some, recipe, generator, 7)[1][:2] for _ in range(40)}
    assert places == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_window_of_a_blind_network_sees_what_the_whole_sees_there():
    """CoordConv on a crop: the same evidence, with the coordinates of the whole image."""
    net, x = sibling("coordconv").eval(), torch.rand(2, 1, 16, 16)
    window = Window(2, 6, 9, 16, 16)
    part = net.features(window.cut(x), window)
    whole = net.features(x)[:, :, 1:3, 2:4]  # patch i of the whole is centred at 4 i
    torch.testing.assert_close(part, whole)


def test_divergence_is_seen():
    with pytest.raises(Diverged):
        train(network(), images(), Recipe(images_seen=6400, rate=1e30), seed=0)


def test_parameters_without_gradient_stay():
    net = network()
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    train(net, images(), Recipe(images_seen=256), seed=0)
    assert torch.equal(net[0].weight, before)


def test_every_image_is_seen_once_an_epoch():
    class Recorder(Images):
        seen: list[int] = []

        def batch(self, index, augment, generator, window=None):
            self.seen.extend(index.tolist())
            return super().batch(index, augment, generator, window)

    data = images(n=50)
    recorder = Recorder(data.pixels, data.labels, data.mean, data.std)
    train(network(), recorder, Recipe(images_seen=100, batch=25), seed=0)
    assert sorted(recorder.seen) == sorted([*range(50)] * 2)


def test_augmentation_only_moves_pixels():
    data = images(side=16)
    generator = torch.Generator().manual_seed(1)
    moved = augmented(data.pixels, torch.arange(64), generator)
    assert moved.shape == data.pixels.shape
    for before, after in zip(data.pixels, moved, strict=True):
        assert set(after.unique().tolist()) <= set(before.unique().tolist())
    assert not torch.equal(moved, data.pixels)


def test_statistics_are_of_at_most_5000_images():
    pixels = torch.zeros(9999, 1, 1, 1, dtype=torch.uint8)
    pixels[1::2] = 255  # those between the ones that are looked at
    assert statistics(pixels)[0].item() == 0


def test_normalised_images_have_mean_zero_and_deviation_one():
    x = images(n=200).normalised(torch.arange(200))
    assert x.mean().item() == pytest.approx(0, abs=1e-3)
    assert x.std().item() == pytest.approx(1, abs=1e-2)
