"""The one training loop: every null and every control is trained by `train`.

Images stay decoded (uint8) in memory; a batch is gathered, augmented and normalised at once. The
rate warms up, stays constant and falls linearly to zero over the last fifth, so that finished
accuracies at a quarter and half of the budget are cheap branches of one run: a copy of the network
is cooled down at these points, and the run goes on with its own weights. A branch draws its batches
from the same stream, so a run with branches sees other batches afterwards than one without.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audit.baselines.coordinates import Window
from audit.baselines.device import PROCESSOR, called, rounding
from audit.baselines.images import Data, EvalData, Images
from audit.baselines.muon import Muon
from audit.baselines.resume import Batches, StateSaver, TrainingState

WARM_UP = 0.05  # of the steps at a constant rate
COOL_DOWN = 0.2  # share of the budget
CROPPED = 0.5  # likewise, of recipes with crops
IN_BATCH = 2**20  # pixels that a network is run on at a time


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        images_seen: Budget: training images seen, repetitions counted; a crop counts as its share
            of an image's pixels.
        rate: Peak learning rate.
        weight_decay: On weights of two or more dimensions only; decoupled but for "sgd".
        augment: "none", "mirror" or "mirror-crop" (see `Images.batch`).
        batch: Images per step.
        optimizer: "sgd" (momentum 0.9, Nesterov), "adamw" or "muon" (`audit.baselines.muon`).
        crop: Side of the crops that the first half of the budget is spent on, in pixels; 0: whole
            images only. The network is then called with the `Window` as its second argument.
        window: Side of the windows that all of the budget is spent on, in pixels; each counts as an
            image. 0: whole images, or crops.
        wraps: Whether crops and windows may reach over the border to the other side of the image.
        precision: Of the products of a step: "float32", or "bfloat16" with sums, weights and the
            finished network in 32 bits (`torch.autocast`).
    """

    images_seen: int
    rate: float = 0.1
    weight_decay: float = 5e-4
    augment: str = "none"
    batch: int = 128
    optimizer: str = "sgd"
    crop: int = 0
    window: int = 0
    wraps: bool = False
    precision: str = "float32"


@dataclass(frozen=True)
class Branches:
    """Finished (cooled-down) copies of a network that is still being trained.

    Attributes:
        shares: Shares of the budget at which a copy is finished.
        finished: Called with the share and the finished copy.
    """

    shares: tuple[float, ...]
    finished: Callable[[float, nn.Module], None]


class Diverged(Exception):
    """The loss was not finite."""


def train(
    network: nn.Module,
    data: Data,
    recipe: Recipe,
    *,
    seed: int,
    branches: Branches | None = None,
    progress: Callable[[float], None] | None = None,
    keeper: StateSaver | None = None,
) -> nn.Module:
    """Train in place, to the last epoch, and return the network in eval mode.

    Args:
        network: Maps what `data.batch` gives to (B, K) logits; parameters that take no gradient
            stay as they are. It is trained on the device that it is on.
        data: All of it is used; nothing is held out here.
        recipe: See `Recipe`.
        seed: Decides the order of images, the augmentation and what the network itself draws, not
            the initial weights.
        branches: Finished copies at shares of the budget; none by default.
        progress: Called after each step with the number of images seen in it; crops count by share.
        keeper: Keeps the state of the training, so that one that was stopped goes on; the same
            network, data, recipe, seed and branches are then to be given again.

    Raises:
        Diverged: If the loss is not finite, or the logits of the finished network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _train(network, data, recipe, seed, branches, progress, keeper)


def _train(
    network: nn.Module,
    data: Data,
    recipe: Recipe,
    seed: int,
    branches: Branches | None,
    progress: Callable[[float], None] | None,
    keeper: StateSaver | None,
) -> nn.Module:
    """See `train`."""
    generator = torch.Generator().manual_seed(seed)
    network.train().to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, recipe)
    batches = Batches(len(data), recipe.batch, generator)
    journal = TrainingState(network, optimizer, batches, keeper)
    trunk, rest, falling = plan_steps(recipe, data)
    starts = {round(share * trunk): share for share in branches.shares} if branches else {}

    def step(
        net: nn.Module, opt: torch.optim.Optimizer, rate: float, *, crop: int = recipe.window
    ) -> None:
        if not journal.skips(net, opt):
            for group in opt.param_groups:
                group["lr"] = rate
            index = next(batches)
            x = inputs(data, index, recipe, generator, crop)
            with rounding(net, recipe.precision):
                logits = called(net, *x).float()
            loss = F.cross_entropy(logits, data.labels[index].to(logits.device))
            if not torch.isfinite(loss):
                raise Diverged
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            journal.stepped(net, opt)
        if progress:
            progress(recipe.batch * (1.0 if recipe.window else pixels_share(crop, data)))

    def finish(net: nn.Module, opt: torch.optim.Optimizer, share: float) -> nn.Module:
        for _ in range(round(share * rest)):
            step(net, opt, recipe.rate)
        length = max(1, round(share * falling))
        for k in range(length):
            step(net, opt, recipe.rate * (1 - (k + 0.5) / length))
        if net is not network:
            journal.branched(share, net)
        require_finite(net.eval(), data)
        return net

    for done in range(trunk):
        if branches and done in starts:
            copied = copy.deepcopy(network)
            twin = make_optimizer(copied, recipe)
            twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            branches.finished(starts[done], finish(copied, twin, starts[done]))
        warm = min(1, (done + 1) / (WARM_UP * trunk))
        step(network, optimizer, recipe.rate * warm, crop=recipe.crop or recipe.window)
    finished = finish(network, optimizer, 1.0)
    journal.end()
    return finished


@torch.no_grad()
def require_finite(network: nn.Module, data: Data) -> None:
    """Refuse a network in eval mode that the last step ruined, which no loss has seen.

    Raises:
        Diverged: If its logits of some of the data are not finite.
    """
    some = torch.arange(min(64, len(data)))
    if not called(network, data.normalised(some)).isfinite().all():
        raise Diverged


def plan_steps(recipe: Recipe, data: Data) -> tuple[int, int, int]:
    """How many steps of each kind a budget buys.

    Returns:
        Steps up to which shorter runs share the way (on crops, if the recipe has them), further
        steps at a constant rate on whole images, and steps while the rate falls.
    """
    steps = recipe.images_seen / recipe.batch
    falling = max(1, math.ceil(COOL_DOWN * steps - 1e-9))
    if not recipe.crop:
        return round((1 - COOL_DOWN) * steps), 0, falling
    trunk = round(CROPPED * steps / pixels_share(recipe.crop, data))
    return trunk, round((1 - CROPPED - COOL_DOWN) * steps), falling


def pixels_share(crop: int, data: Data) -> float:
    """Share of an image's pixels in a crop of that side; 1 for 0, which means whole images."""
    if not crop:
        return 1.0
    assert isinstance(data, Images), "only images can be cropped"
    return crop**2 / math.prod(data.size)


def inputs(
    data: Data, index: Tensor, recipe: Recipe, generator: torch.Generator, crop: int
) -> tuple[Any, ...]:
    """What the network is called with: whole images, or a crop at one random place and where."""
    if not crop:
        return (data.batch(index, recipe.augment, generator),)
    assert isinstance(data, Images), "only images can be cropped"
    ends = [side if recipe.wraps else side - crop + 1 for side in data.size]
    top, left = (int(torch.randint(0, end, (), generator=generator)) for end in ends)
    window = Window(top, left, crop, *data.size)
    return data.batch(index, recipe.augment, generator, window), window


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; biases and batch norm are not decayed."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.rate)
    if recipe.optimizer == "muon":
        return Muon(groups, lr=recipe.rate)
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=0.9, nesterov=True)


@torch.no_grad()
def predict(network: nn.Module, data: EvalData, batch: int = 256) -> Tensor:
    """Logits (N, K), float32, in eval mode, on the processor wherever the network is.

    At most `batch` images at a time, fewer of large ones. What needs too much memory is tried in
    halves once.
    """
    network.eval()
    batch = min(batch, batch_for(data.normalised(torch.arange(1))))
    every = torch.arange(len(data))

    def run(size: int) -> Tensor:
        parts = (called(network, data.normalised(index)) for index in every.split(size))
        return torch.cat([logits.float().to(PROCESSOR) for logits in parts])

    try:
        return run(batch)
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error) or batch < 2:
            raise
    return run(batch // 2)


def batch_for(one: Any) -> int:
    """How many images like this (1, C, H, W) a network is run on at a time, at most."""
    size = one.shape[2:] if isinstance(one, Tensor) and one.ndim == 4 else (1, 1)
    return max(1, IN_BATCH // math.prod(size))


def is_memory(error: BaseException) -> bool:
    """Whether something did not fit into memory: torch says so in a RuntimeError's words."""
    kinds = MemoryError, torch.OutOfMemoryError
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def accuracy(network: nn.Module, data: EvalData) -> float:
    """Share of images whose largest logit is the label's, in eval mode."""
    return float((predict(network, data).argmax(1) == data.labels).double().mean())
