"""Where networks may be cut: in order, at known depths, every parameter on one side."""

import pytest
import timm
import torch
from torch import Tensor, nn

from audit.core.errors import AuditError
from audit.model.network import split as architecture
from audit.model.network.cuts import Cut, block_modules, feature_modules
from audit.model.network.cuts import cuts_of as cuts_of_graph
from audit.model.network.cuts_untraced import untraced_cuts
from audit.model.network.split import check_split, find_cuts, reinitialise_after, split
from audit.model.network.trace import trace
from audit.model.spec import ModelSpec
from tests.samples.networks import MORE, SPECS, cuts_of, grown, images, network

every = pytest.mark.parametrize("name", list(SPECS | MORE))


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    return {name: network(name) for name in SPECS | MORE}


@pytest.fixture(scope="module")
def cuts() -> dict[str, tuple[Cut, ...]]:
    return {name: cuts_of(name) for name in SPECS | MORE}


@every
def test_cuts_run_from_stem_to_head(name, cuts):
    kinds, depths = [c.kind for c in cuts[name]], [c.depth for c in cuts[name]]

    assert len(kinds) >= 4
    assert (kinds[0], kinds[-1]) == ("stem", "head")
    assert set(kinds[1:-1]) == {"stage"}
    assert depths == sorted(depths)
    assert 0 < depths[0] < 0.8
    assert 0.9 < depths[-1] <= 1


@every
def test_each_cut_lies_after_the_one_before_and_divides_all_entries(name, networks, cuts):
    entries = set(networks[name].state_dict())
    seen: set[str] = set()
    for cut in cuts[name]:
        assert seen <= set(cut.before)
        assert set(cut.before) | set(cut.after) == entries
        assert set(cut.before).isdisjoint(cut.after)
        assert not cut.shared + cut.unassigned
        seen = set(cut.before)
    assert {entry.rpartition(".")[2] for entry in cut.after} == {"weight", "bias"}


@every
def test_finding_cuts_changes_nothing(name, networks, cuts):
    fresh = grown((SPECS | MORE)[name])

    assert not any(module.training for module in networks[name].modules())
    for entry, value in fresh.state_dict().items():
        assert torch.equal(networks[name].state_dict()[entry], value)


@pytest.mark.parametrize("name", ["resnet", "densenet", "mobilenet"])
def test_cuts_found_without_a_trace_divide_the_same_way(name, networks, cuts, monkeypatch):
    spec = (SPECS | MORE)[name]
    monkeypatch.setattr(architecture, "cuts_of", lambda *_, **__: 1 / 0)

    found = find_cuts(networks[name], spec.input_shape)

    assert [c.name for c in found] == [c.name for c in cuts[name]]
    for ours, traced in zip(found, cuts[name], strict=True):
        assert not ours.traced
        assert set(ours.before) == set(traced.before)
        assert ours.depth == pytest.approx(traced.depth, abs=1e-6)


def test_too_few_cuts_of_a_trace_give_way_to_the_order_of_modules(networks, cuts, monkeypatch):
    monkeypatch.setattr(architecture, "cuts_of", lambda *_, **__: cuts["vit"][-2:])

    found = find_cuts(networks["vit"], (3, 32, 32))

    assert [c.name for c in found] == [c.name for c in cuts["vit"][1:]]
    assert not any(c.traced for c in found)


def test_a_network_that_cannot_be_cut_has_no_cuts(networks, monkeypatch):
    monkeypatch.setattr(architecture, "cuts_of", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(architecture, "untraced_cuts", lambda *_: 1 / 0)

    assert find_cuts(networks["vit"], (3, 32, 32)) == ()


def test_an_untraced_cut_freezes_but_does_not_split(networks, monkeypatch):
    monkeypatch.setattr(architecture, "cuts_of", lambda *_, **__: 1 / 0)
    spec = SPECS["vit"]
    cut = find_cuts(networks["vit"], spec.input_shape)[1]
    network = reinitialise_after(networks["vit"], spec, cut, seed=2, freeze=True)

    network.train()(images(spec)).sum().backward()

    graded = {name for name, p in network.named_parameters() if p.grad is not None}
    assert graded == set(cut.after)
    with pytest.raises(AuditError, match="cannot be split"):
        split(network, cut)


class Tied(nn.Module):
    """Uses one layer twice, and holds a parameter that nothing uses."""

    def __init__(self, unused: bool):
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1))
        self.fc = nn.Linear(3, 5)
        self.unused = nn.Parameter(torch.zeros(1)) if unused else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x) if self.unused is not None else self.blocks[0](self.blocks(x))
        return self.fc(x.mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        return self.fc


@pytest.mark.parametrize(("unused", "words"), [(False, "both sides"), (True, "neither side")])
def test_parameters_on_both_sides_or_neither_are_refused(unused, words):
    network = Tied(unused)
    cut = find_cuts(network, (3, 8, 8))[1]

    with pytest.raises(AuditError, match=words):
        reinitialise_after(network, SPECS["resnet"], cut, seed=0, freeze=True)


def test_absent_or_repeated_stage_names_give_way_to_blocks():
    network = timm.create_model("test_vit", img_size=32, num_classes=3)
    assert feature_modules(network) == [f"blocks.{i}" for i in range(len(network.blocks))]

    network.feature_info = [{"module": "blocks.0"}, {"module": "blocks.0"}]
    assert feature_modules(network) == []
    network.feature_info = [{"module": "absent"}]
    assert feature_modules(network) == []
    assert block_modules(network)[0] == "blocks.0"
    assert find_cuts(network, (3, 32, 32))[-2].name == f"blocks.{len(network.blocks) - 1}"


def test_multiply_adds_of_a_cut_by_hand():
    """One 1x1 convolution of 3 to 3 channels on 8x8 pixels: 576; the classifier: 15."""
    cuts = find_cuts(Tied(unused=True), (3, 8, 8))

    assert [c.depth for c in cuts] == pytest.approx([576 / 1167, 1152 / 1167, 1152 / 1167])


def test_tracing_keeps_each_modules_own_mode(networks):
    network = SPECS["resnet"].build(seed=1).train()
    network.layer1.eval()
    modes = [module.training for module in network.modules()]

    trace(network, training=True)
    find_cuts(network, (1, 28, 28))

    assert [module.training for module in network.modules()] == modes


class Caching(nn.Module):
    """Keeps a value between calls in eval mode, as some attention layers of timm do."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(4)))
        self.shift = nn.Parameter(torch.ones(3, 1, 1))
        self.fc = nn.Linear(3, 5)
        self.cache: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if self.training or "shift" not in self.cache:
            self.cache["shift"] = self.shift * 2
        x = self.blocks(x) + self.cache["shift"]
        return self.fc(x.mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        return self.fc


def test_what_modules_keep_between_calls_is_neither_traced_nor_replaced():
    network, x = Caching().eval(), torch.randn(2, 3, 8, 8)
    logits = network(x)
    kept = network.cache["shift"]

    cuts = find_cuts(network, (3, 8, 8))
    check_split(network, cuts[1], x)

    assert all(cut.traced for cut in cuts)
    assert "shift" in cuts[1].after
    assert network.cache["shift"] is kept
    assert torch.equal(network(x), logits)


def test_attention_pooling_is_counted_and_cut():
    """Its query is a bare parameter, which torch's counter of operations trips over."""
    network = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, num_classes=3, global_pool="map", class_token=False,
        patch_size=4, depth=4, embed_dim=24, num_heads=3,
    )  # fmt: skip

    cuts = find_cuts(network, (3, 32, 32))

    assert len(cuts) >= 4
    assert all(cut.traced for cut in cuts)
    assert all(p.requires_grad for p in network.parameters())
    assert len(untraced_cuts(network, (3, 32, 32))) >= 4


def test_a_cut_that_divides_no_weights_does_not_count():
    """Two branches side by side: only where both have ended is there a cut."""
    cuts = find_cuts(ModelSpec("crossvit_tiny_240", {}, 3, 3, 240).outline(), (3, 240, 240))

    assert all(cut.traced for cut in cuts)
    assert not any(cut.shared + cut.unassigned for cut in cuts)


def test_names_of_operations_are_unique_and_begin_with_their_module(networks):
    names = trace(networks["swin"], training=False).names

    assert len(set(names)) == len(names)
    assert names[0] == "x"
    assert any(name.startswith("layers.0.blocks.0.attn.") for name in names)


CARRIES = {  # networks that carry their grid, tables of positions or the number of images along
    "vit_tiny_patch16_dinov3_qkvb": {"depth": 4, "embed_dim": 64, "num_heads": 2},
    "twins_svt_small": {"embed_dims": (16, 32, 64, 128), "depths": (1, 1, 1, 1)},
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == "twins_svt_small" else n for n in CARRIES],
)
def test_what_follows_from_the_size_of_the_input_need_not_cross(name):
    spec = ModelSpec(name, CARRIES[name], 3, 3, 64)
    model, x = spec.build(0), torch.randn(3, 3, 64, 64)

    assert len(cuts_of_graph(model, (3, 64, 64))) < 4
    cuts = find_cuts(model, (3, 64, 64))

    assert len({round(cut.depth, 2) for cut in cuts}) >= 4
    assert all(cut.traced and cut.fixed == (3, 64, 64) and len(cut.shapes) == 1 for cut in cuts)
    for cut in cuts:
        check_split(model, cut, x)
    prefix, suffix = split(model, cuts[1])
    assert torch.allclose(suffix(prefix(x[:1])), model(x[:1]), atol=1e-5)
