"""One pass gives the values at every cut: those of the network run up to there."""

import pytest
import torch
from torch import nn

from audit.core.errors import AuditError
from audit.model.network.activations import at_cuts, layout_of, main_value, pooled
from audit.model.network.cuts_untraced import untraced_cuts
from audit.model.network.split import split
from tests.samples.networks import SPECS, cuts_of, images, network


@pytest.mark.parametrize("name", SPECS)
def test_one_pass_gives_what_each_prefix_gives(name):
    net, cuts, x = network(name), cuts_of(name), images(SPECS[name])

    (values,) = at_cuts(net, cuts, [x])

    assert list(values) == [cut.name for cut in cuts]
    for cut in cuts:
        with torch.no_grad():
            alone = max(split(net, cut)[0](x), key=torch.numel)
        assert torch.allclose(values[cut.name], alone, atol=1e-5)


@pytest.mark.parametrize("name", ["convnext", "densenet"])
def test_cuts_found_without_a_trace_give_the_same_values(name):
    spec, net, x = SPECS[name], network(name), images(SPECS[name])
    loose = untraced_cuts(net, spec.input_shape)

    (watched,) = at_cuts(net, loose, [x])
    (traced,) = at_cuts(net, cuts_of(name), [x])

    assert len(set(watched) & set(traced)) >= 4
    for name in set(watched) & set(traced) - {"stem"}:  # a trace adds its pooling
        assert torch.allclose(watched[name], traced[name], atol=1e-5)


def test_a_value_stays_when_a_later_layer_works_in_place():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stage = nn.Conv2d(1, 2, 1)
            self.act = nn.ReLU(inplace=True)
            self.fc = nn.Linear(2, 2)
            self.feature_info = [{"module": "stage"}]

        def get_classifier(self):
            return self.fc

        def forward(self, x):
            return self.fc(self.act(self.stage(x)).mean((2, 3)))

    net, x = Net(), torch.randn(4, 1, 8, 8)
    net.stage.bias.data.zero_()  # or the weights drawn can be too small to give both signs
    (values,) = at_cuts(net, untraced_cuts(net, (1, 8, 8)), [x])

    assert values["stem"].min() < 0


def test_the_mode_comes_back_after_every_batch():
    net, cuts = network("resnet"), cuts_of("resnet")
    net.train()
    try:
        batches = at_cuts(net, cuts, [images(SPECS["resnet"])] * 2)
        first = next(batches)
        assert net.training
        again = next(batches)
    finally:
        net.eval()
    assert all(torch.equal(first[cut], again[cut]) for cut in first)  # no statistics moved
    assert not any(value.requires_grad for value in first.values())


def test_cuts_of_another_architecture_are_refused():
    with pytest.raises(AuditError, match="belongs to another architecture"):
        next(at_cuts(network("vit"), cuts_of("resnet")[1:], [images(SPECS["vit"])]))


def test_the_main_value_is_the_largest_with_a_row_an_image():
    token, maps = torch.ones(2, 3), torch.ones(2, 3, 4, 4, dtype=torch.bfloat16)
    indices, table = torch.ones(2, 999, dtype=torch.int64), torch.ones(7, 999)

    assert main_value([token, maps, indices, table, 3], 2).shape == maps.shape
    assert main_value([token, maps], 2).dtype == torch.float32
    assert main_value([table, None], 2) is None


def test_pooling_averages_over_places_wherever_the_channels_stand():
    maps = torch.randn(2, 6, 4, 4)
    mean = maps.flatten(2).mean(2)

    assert torch.allclose(pooled(maps), mean, atol=1e-6)
    assert torch.allclose(pooled(maps.movedim(1, 3), "NCHW"), mean, atol=1e-6)
    assert torch.allclose(pooled(maps.flatten(2).mT), mean, atol=1e-6)
    assert torch.equal(pooled(mean), mean)


@pytest.mark.parametrize(("side", "shape"), [((64, 32), (256, 128)), ((8, 16), (128, 256)),
                                             ((5, 3), (40, 20))])  # fmt: skip
def test_of_a_rectangle_the_places_are_averaged_though_a_side_equals_the_channels(side, shape):
    for channels in {*side, 7}:
        maps = torch.randn(2, channels, *side)
        mean = maps.mean((2, 3))
        assert torch.allclose(pooled(maps, "NCHW", shape), mean, atol=1e-6)
        assert torch.allclose(pooled(maps.movedim(1, 3), "NHWC", shape), mean, atol=1e-6)


def test_the_layout_decides_where_the_shape_does_not():
    cube = torch.randn(2, 4, 4, 4)

    assert torch.allclose(pooled(cube, "NCHW"), cube.mean((2, 3)))
    assert torch.allclose(pooled(cube, "NHWC"), cube.mean((1, 2)), atol=1e-6)
    assert [layout_of(network(name)) for name in ("resnet", "swin")] == ["NCHW", "NHWC"]
