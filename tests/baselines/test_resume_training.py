"""A training that was stopped anywhere ends as if nothing had happened."""

import pytest
import torch
from torch import nn

from audit.baselines.resume import Batches
from audit.baselines.train import Branches, Recipe, train
from tests.baselines.test_train import images, sibling

SGD = Recipe(images_seen=448, batch=64, rate=0.01, crop=8, augment="mirror")
ADAM = Recipe(images_seen=448, batch=64, rate=1e-3, optimizer="adamw", augment="mirror")
MUON = Recipe(images_seen=448, batch=64, rate=0.01, optimizer="muon", crop=8, augment="mirror")


class Stop(Exception):
    pass


class StateSaver:
    """Keeps every state, or only every other one."""

    def __init__(self, every=1):
        self.kept, self.every, self.asked = None, every, 0

    def load(self):
        return self.kept

    def save(self, take, *, last=False):
        self.asked += 1
        if last or self.asked % self.every == 0:
            self.kept = {name: value.clone() for name, value in take().items()}


class Dropping(nn.Module):
    """A network that draws random numbers itself."""

    def __init__(self):
        super().__init__()
        self.net, self.drop = sibling(), nn.Dropout(0.5)

    def forward(self, *given):
        return self.drop(self.net(*given))


def run(recipe, keeper=None, stop=None, make=sibling):
    """Steps, finished branches' weights and the network's; stopped after so many steps."""
    steps, found = [], {}

    def progress(n):
        steps.append(n)
        if len(steps) == stop:
            raise Stop

    torch.manual_seed(0)
    network = make()
    branches = Branches((0.25, 0.5), lambda share, net: found.update({share: net.state_dict()}))
    train(network, images(side=16), recipe, seed=0, branches=branches, progress=progress,
          keeper=keeper)  # fmt: skip
    return steps, found | {1.0: network.state_dict()}


def equal(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[share][name], other[share][name]) for share in one for name in one[share]
    )


@pytest.mark.parametrize(
    ("recipe", "make", "every"),
    [(SGD, sibling, 4), (SGD, Dropping, 9), (ADAM, sibling, 9), (MUON, sibling, 9)],
)
def test_a_stop_at_any_step_changes_no_bit(recipe, make, every):
    steps, whole = run(recipe, make=make)
    for stop in range(1, len(steps) + 1, every):
        keeper = StateSaver()
        with pytest.raises(Stop):
            run(recipe, keeper, stop, make)
        told, again = run(recipe, keeper, make=make)
        assert equal(whole, again), stop
        assert told == steps  # what was done before the stop counts as done


def test_a_training_that_is_stopped_again_and_again_ends():
    steps, whole = run(SGD)
    keeper, stops = StateSaver(every=2), 0
    for stop in range(4, len(steps) + 1, 4):
        with pytest.raises(Stop):
            run(SGD, keeper, stop)
        stops += 1
    assert stops > 4
    assert equal(whole, run(SGD, keeper)[1])


def test_a_finished_training_is_not_done_again(monkeypatch):
    keeper = StateSaver()
    _, whole = run(SGD, keeper)
    monkeypatch.setattr(Batches, "__next__", None)  # no step can be done
    assert equal(whole, run(SGD, keeper)[1])


@pytest.mark.parametrize("spoil", [
    lambda kept: kept.pop("steps"),
    lambda kept: kept.pop("trunk.weights.fc.weight"),
    lambda kept: kept.update({"trunk.weights.fc.weight": torch.zeros(3, 3)}),
])  # fmt: skip
def test_what_is_of_another_network_is_not_used(spoil):
    keeper, (_, whole) = StateSaver(), run(SGD)
    with pytest.raises(Stop):
        run(SGD, keeper, 5)
    spoil(keeper.kept)
    assert equal(whole, run(SGD, keeper)[1])


def test_without_the_momenta_the_weights_differ():
    """Negative control: the comparison sees what is missing."""
    keeper, (_, whole) = StateSaver(), run(SGD)
    with pytest.raises(Stop):
        run(SGD, keeper, 5)
    keeper.kept = {k: v for k, v in keeper.kept.items() if ".momenta." not in k}
    assert not equal(whole, run(SGD, keeper)[1])
