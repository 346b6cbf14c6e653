"""An untrained network: open branches, and batch norms estimated on images."""

from contextlib import ExitStack

import pytest
import timm
import torch
from torch import nn

from audit.baselines.images import Images, statistics
from audit.baselines.patch_net import PatchNet
from audit.model.network.untrained import batch_norms, closes, estimate_norms, opened
from audit.model.spec import ModelSpec
from tests.samples.networks import SPECS, state_of

BOTTLENECKS = ModelSpec("resnet26", {"channels": (8, 8, 8, 8), "stem_width": 8}, 5, 3, 32)
VIT = SPECS["vit"].kwargs | {"init_values": 1e-5}


def images(n=1000, channels=3):
    """Grey values that differ from class to class, the classes one after the other."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) * 5 // n
    noise = torch.randint(0, 120, (n, channels, 32, 32), generator=generator)
    pixels = (noise + 30 * labels[:, None, None, None]).to(torch.uint8)
    order = torch.randperm(n, generator=generator)
    return Images(pixels[order], labels[order], *statistics(pixels))


def scales(network, name):
    return [value for path, value in network.named_parameters() if path.endswith(name)]


@pytest.mark.parametrize(("spec", "name"), [
    (BOTTLENECKS, "bn3.weight"), (SPECS["convnext"], ".gamma"),
    (ModelSpec("vit_tiny_patch16_224", VIT, 5, 3, 32), "ls1.gamma"),
])  # fmt: skip
def test_the_branches_of_an_untrained_network_are_open(spec, name):
    fresh = scales(spec.build(0), name)
    assert len(fresh) > 2
    assert all(value.max() < 1e-4 for value in fresh)
    assert all((value == 1).all() for value in scales(opened(spec.build(0)), name))


def test_the_branches_of_an_untrained_baseline_are_open():
    network = PatchNet("bagnet", q=9, num_classes=3, in_chans=3, width=16, blocks=2)
    assert all((value == 0).all() for value in scales(network, "bn2.weight"))
    assert all((value == 1).all() for value in scales(opened(network), "bn2.weight"))


@pytest.mark.parametrize("name", ["skipinit_gain", "gain", "gamma_2", "gamma1", "ls2", "scale"])
def test_scales_that_begin_near_zero_close_a_branch(name):
    assert closes(name, torch.full((4,), 1e-4))
    assert not closes(name, torch.ones(4))
    assert not closes(name, torch.tensor([0.0, 1e-4]))


@pytest.mark.parametrize(("name", "shape"), [
    ("bias", (4,)), ("weight", (4, 4)), ("q_bias", (4,)), ("relative_position_bias_table", (9, 2)),
])  # fmt: skip
def test_offsets_and_classifiers_that_begin_at_zero_stay(name, shape):
    assert not closes(name, torch.zeros(shape))


def test_weights_that_were_drawn_stay():
    before, after = SPECS["convnext"].build(0), opened(SPECS["convnext"].build(0))
    changed = {name for name, value in state_of(before).items()
               if not torch.equal(value, after.state_dict()[name])}  # fmt: skip
    assert {name.rpartition(".")[2] for name in changed} == {"gamma"}


def inputs_of_norms(network, x):
    """What every batch norm makes of its input before its own scale, in eval mode."""
    found = []

    def note(norm, given, _):
        shape = (1, -1, *[1] * (given[0].dim() - 2))
        mean, var = norm.running_mean.view(shape), norm.running_var.view(shape)
        found.append((given[0] - mean) / (var + norm.eps).sqrt())

    with ExitStack() as hooks, torch.no_grad():
        for norm in batch_norms(network):
            hooks.enter_context(norm.register_forward_hook(note))
        network(x)
    return found


@pytest.mark.parametrize("spec", [BOTTLENECKS, SPECS["densenet"]])
def test_what_batch_norms_give_has_mean_0_and_variance_1_on_the_images(spec):
    given = images()
    network = estimate_norms(opened(spec.build(0)), [given])
    values = inputs_of_norms(network, given.normalised(torch.arange(len(given))))
    assert len(values) > 5
    for value in values:
        axes = [axis for axis in range(value.dim()) if axis != 1]
        assert value.mean(axes).abs().max() < 0.1
        assert (value.var(axes) - 1).abs().max() < 0.25


def test_nothing_else_is_in_train_mode():
    network = timm.create_model("resnet26", drop_rate=0.5, drop_path_rate=0.5, channels=(8,) * 4,
                                stem_width=8)  # fmt: skip
    modes = []
    for module in network.modules():
        if isinstance(module, nn.Dropout) or type(module).__name__ == "DropPath":
            module.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    estimate_norms(network.train(), [images(8)])
    assert set(modes) == {False}
    assert not any(module.training for module in network.modules())
    assert {norm.momentum for norm in batch_norms(network)} == {0.1}


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    estimate_norms(opened(BOTTLENECKS.build(0)), [images(8)])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_single_image_has_no_variance_and_is_left_out():
    network = estimate_norms(BOTTLENECKS.build(0), [images(1)])
    assert all(torch.isfinite(norm.running_var).all() for norm in batch_norms(network))
