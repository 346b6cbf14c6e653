"""A network cut in two: the parts are the whole, the frozen part stays, the rest begins anew."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from audit.core.errors import AuditError
from audit.model.network import split as architecture
from audit.model.network.cuts import Cut
from audit.model.network.split import check_split, find_cuts, outputs, reinitialise_after, split
from tests.samples.networks import MORE, SPECS, VIT, cuts_of, images, network, state_of

each = pytest.mark.parametrize("name", list(SPECS))
every = pytest.mark.parametrize("name", list(SPECS | MORE))


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    return {name: network(name) for name in SPECS | MORE}


@pytest.fixture(scope="module")
def cuts() -> dict[str, tuple[Cut, ...]]:
    return {name: cuts_of(name) for name in SPECS | MORE}


@every
def test_classifier_of_the_last_hidden_layer_gives_the_logits(name, networks):
    x, network = images((SPECS | MORE)[name]), networks[name]
    with torch.no_grad():
        hidden, logits = outputs(network, x)

        assert hidden.shape == (4, network.head_hidden_size)
        torch.testing.assert_close(logits, network(x))
        torch.testing.assert_close(network.get_classifier()(hidden), logits)


def test_two_classifiers_are_averaged_as_the_model_does():
    network = timm.create_model(
        "deit_tiny_distilled_patch16_224", img_size=32, num_classes=3, **VIT
    ).eval()
    x = torch.randn(2, 3, 32, 32)

    hidden, logits = outputs(network, x)

    torch.testing.assert_close(logits, network(x))
    assert hidden.shape == (2, 24)


def test_a_model_without_classifier_is_refused():
    network = timm.create_model("test_resnet", num_classes=0).eval()

    for question in (
        lambda: outputs(network, torch.zeros(1, 3, 32, 32)),
        lambda: find_cuts(network, (3, 32, 32)),
    ):
        with pytest.raises(AuditError, match=r"MODEL_ARCHITECTURE: .*classifier"):
            question()


@every
def test_prefix_and_suffix_are_the_network(name, networks, cuts):
    network, x = networks[name], images((SPECS | MORE)[name], 3)
    for cut in cuts[name][1:]:
        check_split(network, cut, x)

    cut = cuts[name][0]
    prefix, suffix = split(network, cut)
    with torch.no_grad():
        values = prefix(x)
        assert tuple(tuple(v.shape[1:]) for v in values) == cut.shapes
        torch.testing.assert_close(suffix.eval()(values), network(x))


def test_a_wrong_suffix_is_noticed(networks, cuts, monkeypatch):
    """Negative control: a suffix that loses one operation does not pass."""
    original = architecture._suffix

    def lossy(traced, position):
        graph = original(traced, position)
        node = next(n for n in graph.graph.nodes if n.op == "call_module" and "act2" in n.name)
        node.replace_all_uses_with(node.args[0])
        graph.graph.erase_node(node)
        graph.recompile()
        return graph

    monkeypatch.setattr(architecture, "_suffix", lossy)
    with pytest.raises(AuditError, match="other logits"):
        check_split(networks["resnet"], cuts["resnet"][1], images(SPECS["resnet"]))


class InPlace(nn.Module):
    """Its suffix begins by changing what crosses the cut."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(inplace=True)))
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(x).mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        return self.fc


def test_stored_values_survive_a_suffix_that_works_in_place():
    network = InPlace().eval()
    cut = find_cuts(network, (3, 8, 8))[0]
    prefix, suffix = split(network, cut)
    values = prefix(torch.randn(2, 3, 8, 8))
    before = values[0].clone()

    suffix(values)

    assert before.min() < 0
    assert torch.equal(values[0], before)


def test_cuts_hold_for_another_network_of_the_architecture(cuts):
    other = SPECS["vit"].build(seed=9)

    check_split(other, cuts["vit"][2], images(SPECS["vit"]))


def test_cuts_of_another_architecture_are_refused(networks, cuts):
    with pytest.raises(AuditError, match="another architecture"):
        split(networks["resnet"], cuts["vit"][2])


def train_suffix(network: nn.Module, cut, x: Tensor, steps: int = 3) -> nn.Module:
    prefix, suffix = split(network, cut)
    with torch.no_grad():
        values = prefix(x)
    optimiser = torch.optim.SGD([p for p in suffix.parameters() if p.requires_grad], lr=0.1)
    target = torch.arange(len(x)) % 5
    for _ in range(steps):
        suffix.train()
        network.train()
        optimiser.zero_grad()
        nn.functional.cross_entropy(suffix(values), target).backward()
        optimiser.step()
    return suffix


@each
def test_frozen_part_is_bit_identical_after_training(name, networks, cuts):
    spec, donor = SPECS[name], networks[name]
    cut = cuts[name][2]
    network = reinitialise_after(donor, spec, cut, seed=2, freeze=True)
    start, given = state_of(network), state_of(donor)

    train_suffix(network, cut, images(spec, 8))
    network.train()(images(spec, 8)).sum().backward()  # the whole network in train mode, too

    end = network.state_dict()
    assert all(torch.equal(end[entry], given[entry]) for entry in cut.before)
    trained = [entry for entry in cut.after if end[entry].is_floating_point()]
    moved = [entry for entry in trained if not torch.equal(end[entry], start[entry])]
    assert {"weight", "bias"} <= {entry.rpartition(".")[2] for entry in moved}
    assert len(moved) > 0.6 * len(trained)  # not all: layer scales begin at 1e-6


@each
def test_new_part_begins_as_a_fresh_network(name, networks, cuts):
    spec, cut = SPECS[name], cuts[name][2]
    network = reinitialise_after(networks[name], spec, cut, seed=2, freeze=True)
    fresh, donor = spec.build(seed=2).state_dict(), networks[name].state_dict()

    own = network.state_dict()
    assert all(torch.equal(own[entry], fresh[entry]) for entry in cut.after)
    weights = [entry for entry in cut.after if own[entry].dim() > 1]
    assert all(not torch.equal(own[entry], donor[entry]) for entry in weights)


@each
def test_frozen_modules_stay_in_eval_mode(name, networks, cuts):
    cut = cuts[name][2]
    network = reinitialise_after(networks[name], SPECS[name], cut, seed=2, freeze=True)

    for changed in (network, copy.deepcopy(network)):
        changed.eval()
        changed.train()
        modes = {path: module.training for path, module in changed.named_modules()}
        assert not any(modes[path] for path in cut.modules)
        assert modes[""]
        assert any(mode for path, mode in modes.items() if path not in cut.modules)
    changed.get_submodule(cut.modules[0]).train()
    assert not changed.get_submodule(cut.modules[0]).training


def test_copied_part_may_learn_on(networks, cuts):
    """BnB+: the same copy, nothing frozen."""
    spec, cut = SPECS["resnet"], cuts["resnet"][2]
    network = reinitialise_after(networks["resnet"], spec, cut, seed=2, freeze=False)

    assert all(p.requires_grad for p in network.parameters())
    assert all(module.training for module in network.modules())
    given = networks["resnet"].state_dict()
    assert all(torch.equal(network.state_dict()[entry], given[entry]) for entry in cut.before)
    network(images(spec)).sum().backward()
    assert network.conv1[0].weight.grad is not None


def test_an_untrained_network_can_be_the_donor(cuts):
    spec, cut = SPECS["resnet"], cuts["resnet"][1]

    network = reinitialise_after(spec.build(seed=5), spec, cut, seed=6, freeze=True)

    assert torch.equal(network.conv1[0].weight, spec.build(seed=5).conv1[0].weight)
    assert torch.equal(network.fc.weight, spec.build(seed=6).fc.weight)


def test_suffix_in_train_mode_updates_batch_norm_and_drops(networks, cuts):
    network = reinitialise_after(
        networks["resnet"], SPECS["resnet"], cuts["resnet"][2], seed=2, freeze=True
    )
    before = network.layer4[0].bn1.running_mean.clone()
    train_suffix(network, cuts["resnet"][2], images(SPECS["resnet"], 8))
    assert not torch.equal(network.layer4[0].bn1.running_mean, before)
    assert network.layer4[0].bn1.num_batches_tracked == 3

    prefix, suffix = split(networks["vit"], cuts["vit"][1])
    values = prefix(images(SPECS["vit"]))
    assert not torch.equal(suffix.train()(values), suffix(values))
    assert torch.equal(suffix.eval()(values), suffix(values))
    networks["vit"].eval()


def test_stochastic_depth_lives_in_the_suffix_of_train_mode_only(networks, cuts):
    prefix, suffix = split(networks["swin"], cuts["swin"][1])
    values = prefix(images(SPECS["swin"]))

    draws = {round(suffix.train()(values).sum().item(), 4) for _ in range(8)}
    still = {round(suffix.eval()(values).sum().item(), 4) for _ in range(3)}

    assert len(draws) > 1
    assert len(still) == 1
    networks["swin"].eval()


def test_prefix_is_in_eval_mode_whatever_the_network_does(networks, cuts):
    network = SPECS["resnet"].build(seed=1).train()
    prefix, _ = split(network, cuts["resnet"][2])
    before = state_of(network)

    prefix.train()(images(SPECS["resnet"]))

    assert not any(module.training for module in prefix.modules())
    assert all(torch.equal(value, before[entry]) for entry, value in network.state_dict().items())
