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
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audit.baselines.coordinates import Window
from audit.baselines.device import PROCESSOR, called, rounding
from audit.baselines.muon import Muon
from audit.baselines.resume import Batches, StateSaver, TrainingState

WARM_UP = 0.05  # of the steps at a constant rate
COOL_DOWN = 0.2  # share of the budget
CROPPED = 0.5  # likewise, of recipes with crops


@dataclass(frozen=True)
class Images:
    """Decoded images with labels.

    Attributes:
        pixels: (N, C, H, W) uint8.
        labels: (N,) int64.
        mean: (C,) of the training images, in [0, 1].
        std: (C,) likewise.
    """

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def side(self) -> int:
        """In pixels."""
        return self.pixels.shape[-1]

    def batch(
        self,
        index: Tensor,
        augment: str,
        generator: torch.Generator,
        window: Window | None = None,
    ) -> Tensor:
        """A batch to train on: (B,) indices -> (B, C, H, W) float32, channels last.

        Args:
            index: Which images.
            augment: "none", "mirror" (half of them) or "mirror-crop" (shifts by up to an eighth of
                the side as well).
            generator: Draws mirrors and shifts.
            window: The part of every image that is wanted; all of it by default.
        """
        if augment == "mirror-crop":
            pixels = augmented(self.pixels, index, generator)
        else:
            pixels = self.pixels[index]
        if window:
            pixels = window.cut(pixels)
        if augment == "mirror":
            flip = torch.rand(len(index), generator=generator) < 0.5
            pixels = torch.where(flip.view(-1, 1, 1, 1), pixels.flip(3), pixels)
        return normalise(pixels, self.mean, self.std)

    def normalised(self, index: Tensor) -> Tensor:
        """Images as networks take them: (B,) indices -> (B, C, H, W) float32, channels last."""
        return normalise(self.pixels[index], self.mean, self.std)

    def subset(self, index: Tensor) -> "Images":
        """The images at `index` (M,), normalised by the same statistics."""
        return Images(self.pixels[index], self.labels[index], self.mean, self.std)


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


class EvalData(Protocol):
    """What is needed to judge a network."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64."""
        ...

    def __len__(self) -> int: ...

    def normalised(self, index: Tensor) -> Any:
        """What the network takes, for the images at `index` as they are."""
        ...


class Data(EvalData, Protocol):
    """What the loop needs of training data."""

    def batch(self, index: Tensor, augment: str, generator: torch.Generator) -> Any:
        """What the network takes, for the images at `index`, augmented."""
        ...


class Diverged(Exception):
    """The loss was not finite."""


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(B, C, H, W) uint8 -> float32, channels last, mean 0 and standard deviation 1."""
    shape = (1, -1, 1, 1)
    scale = 1 / (255 * std.view(shape))
    x = pixels.float().contiguous(memory_format=torch.channels_last)
    return x.mul_(scale).sub_((mean / std).view(shape))


def statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel in [0, 1], from at most 5,000 images."""
    sample = pixels[:: max(1, -(-len(pixels) // 5000))].float().div_(255)
    return sample.mean(dim=(0, 2, 3)), sample.std(dim=(0, 2, 3)).clamp_min(1e-3)


def augmented(pixels: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the images and shift each by up to an eighth of its side, reflected.

    Args:
        pixels: (N, C, H, W) uint8.
        index: (B,) which of them.
        generator: Draws shifts and mirrors.

    Returns:
        (B, C, H, W) uint8, by one gather.
    """
    n, side = len(index), pixels.shape[-1]
    pad = max(1, side // 8)
    shift = torch.randint(-pad, pad + 1, (2, n, 1), generator=generator)
    rows, cols = torch.arange(side) + shift  # (B, side) each
    cols = torch.where(torch.rand((n, 1), generator=generator) < 0.5, cols.flip(1), cols)
    rows, cols = ((side - 1) - ((side - 1) - r.abs()).abs() for r in (rows, cols))
    picked = pixels.permute(0, 2, 3, 1)[index[:, None, None], rows[:, :, None], cols[:, None, :]]
    return picked.permute(0, 3, 1, 2)


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

    def step(net: nn.Module, opt: torch.optim.Optimizer, rate: float, *, crop: int = 0) -> None:
        if not journal.skips(net, opt):
            for group in opt.param_groups:
                group["lr"] = rate
            index = next(batches)
            x = inputs(data, index, recipe.augment, generator, crop)
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
            progress(recipe.batch * pixels_share(crop, data))

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
        step(network, optimizer, recipe.rate * warm, crop=recipe.crop)
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
    return (crop / data.side) ** 2


def inputs(
    data: Data, index: Tensor, augment: str, generator: torch.Generator, crop: int
) -> tuple[Any, ...]:
    """What the network is called with: whole images, or a crop at one random place and where."""
    if not crop:
        return (data.batch(index, augment, generator),)
    assert isinstance(data, Images), "only images can be cropped"
    top, left = torch.randint(0, data.side - crop + 1, (2,), generator=generator).tolist()
    window = Window(top, left, crop, data.side)
    return data.batch(index, augment, generator, window), window


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

    What needs too much memory is tried in halves once.
    """
    network.eval()
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


def is_memory(error: BaseException) -> bool:
    """Whether something did not fit into memory: torch says so in a RuntimeError's words."""
    kinds = MemoryError, torch.OutOfMemoryError
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def accuracy(network: nn.Module, data: EvalData) -> float:
    """Share of images whose largest logit is the label's, in eval mode."""
    return float((predict(network, data).argmax(1) == data.labels).double().mean())
