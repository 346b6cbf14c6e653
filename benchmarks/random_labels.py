"""Control: a network that fits shuffled labels does not shrink its last layer as a learner does.

    python benchmarks/random_labels.py --seeds 3        # about ten minutes of one core
    python benchmarks/random_labels.py --epochs 2 --images 300

The demo's network is trained twice on the same embedded images by the same recipe, without
augmentation: on their labels, and on the same labels in a random order. Ansuini et al. (2019,
arXiv:1905.12784) report that with shuffled labels the dimension of the last layers does not fall.
Here: below that of the input, which the last layer of a network that learned does fall below.
Printed are the profiles of both and of an untrained network, on the training images and on
evaluation images, both accuracies, and the paired ratio of the last layers; then the last layer
over the input for every seed, which draws initial weights, order of images and shuffled labels.

It shows what the measure does on one small network and data set: the intervals hold the images'
part of the variance only, and the seeds stand beside each other.
"""

import argparse
import math
import time

import numpy as np
import timm
import torch
from torch import nn

from audit.baselines.images import Images, statistics
from audit.baselines.train import Recipe, accuracy, train
from audit.checks.dimension import profile as id_profile
from audit.checks.dimension.drawn import joined
from audit.checks.dimension.outcomes import Profiled
from audit.checks.dimension.run_profile import profile
from audit.data import decode
from audit.data.dataset import Dataset, Split
from audit.data.embedded import load_embedded
from audit.data.splits import subset
from audit.jobs.store import Outcome
from audit.kernels.blocks import half_interval
from audit.model.network.split import find_cuts
from audit.selftest.demo_model import ARCHITECTURE, KWARGS

SIDE = 28
RATE = 2e-3
CHOICE = 0  # seed of the images, the same for all networks


def fresh(classes: int, seed: int) -> nn.Module:
    """The demo's network as timm initialises it, with the same weights for the same seed."""
    torch.manual_seed(seed)
    return timm.create_model(ARCHITECTURE, in_chans=1, num_classes=classes, **KWARGS)


def images_of(split: Split, n: int, scale: Images | None = None) -> Images:
    """A stratified part of a split, normalised by its own statistics or by those of `scale`."""
    part = split.select(subset(split.labels, n, CHOICE))
    pixels = torch.from_numpy(decode(part, SIDE, 1))
    mean, std = statistics(pixels) if scale is None else (scale.mean, scale.std)
    return Images(pixels, torch.from_numpy(part.labels), mean, std)


def shuffled(images: Images, seed: int) -> Images:
    """The same images with their labels in a random order: class counts stay."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed + 1))
    return Images(images.pixels, images.labels[order], images.mean, images.std)


def trained(images: Images, epochs: int, classes: int, seed: int) -> nn.Module:
    """Trained to the last epoch, without augmentation or weight decay, so that it can memorise."""
    seen = epochs * len(images)
    recipe = Recipe(seen, rate=RATE, weight_decay=0.0, optimizer="adamw", batch=64)
    return train(fresh(classes, seed), images, recipe, seed=seed)


def curve(network: nn.Module, images: Images) -> Outcome:
    """The profile of a network on some images."""
    cuts = find_cuts(network, (1, SIDE, SIDE))
    return profile(network.eval(), cuts, iter([images]), len(images), lambda _: None)


def show(title: str, curves: dict[str, Outcome]) -> None:
    """A table of the curves, their shapes, and the last layer beside that of the true labels."""
    print(f"\n### On {title}\n")
    print(f"| point | relative depth | {' | '.join(curves)} |\n|{'---|' * (2 + len(curves))}")
    rows = [outcome.read(Profiled).points for outcome in curves.values()]
    for same in zip(*rows, strict=True):
        cells = [
            f"{p.value:.1f} ({p.low:.1f} to {p.high:.1f})" if not p.reason else "refused"
            for p in same
        ]
        print(f"| {same[0].name} | {same[0].depth:.3f} | {' | '.join(cells)} |")
    for name, outcome in curves.items():
        shape = id_profile.of_shape(name, joined([outcome]))
        last = next(m for m in shape if m.quantity == "last_over_peak")
        kind = next(m for m in shape if m.quantity == "hunchback").category
        ends = f"{last.low:.2f} to {last.high:.2f}"
        over_input = ratio((outcome, -1), (outcome, 0))
        print(f"- {name}: {kind}, last layer over peak {last.value:.2f} ({ends}), over the input")
        print(f"  {over_input}")
    shuffled = curves["shuffled labels"], -1
    for other in ("true labels", "untrained"):
        found = ratio(shuffled, (curves[other], -1))
        print(f"- last layer, shuffled labels over {other}: {found}")


def ratio(above: tuple[Outcome, int], below: tuple[Outcome, int]) -> str:
    """Two dimensions over each other, paired over blocks of images: each a curve and its point."""
    values = [outcome.read(Profiled).points[point].value for outcome, point in (above, below)]
    blocks = [outcome.arrays["in_blocks"][point] for outcome, point in (above, below)]
    log, margin = math.log(values[0] / values[1]), half_interval(blocks[0] - blocks[1])
    low, value, high = (math.exp(log + side * margin) for side in (-1, 0, 1))
    return f"{value:.2f} ({low:.2f} to {high:.2f}), n = {above[0].read(Profiled).images:,} images"


def main() -> None:
    """Train both for every seed, and print all tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000, help="training images")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    start, data = time.perf_counter(), load_embedded()
    found = [control(data, args.images, args.epochs, seed) for seed in range(args.seeds)]
    for title, curves in found[0].items():
        show(title, curves)
    over_seeds(found)
    print(f"\n{time.perf_counter() - start:.0f} s, {torch.get_num_threads()} threads")


def control(data: Dataset, n: int, epochs: int, seed: int) -> dict[str, dict[str, Outcome]]:
    """Train both, say how well they fit, and measure all three on both sets of images."""
    assert data.train is not None
    classes = len(data.classes)
    images = images_of(data.train, n)
    evaluation = images_of(data.eval, n, images)
    networks = {"untrained": fresh(classes, seed)}
    for name, given in (("true labels", images), ("shuffled labels", shuffled(images, seed))):
        networks[name] = trained(given, epochs, classes, seed)
        fitted = accuracy(networks[name], given)
        reached = accuracy(networks[name], evaluation)
        spread = 1.96 * np.sqrt(reached * (1 - reached) / len(evaluation))
        print(
            f"seed {seed}, {name}: {fitted:.1%} of the {len(given):,} labels it was trained on "
            f"after {epochs} epochs; {reached:.1%} ± {spread:.1%} of {len(evaluation):,} "
            "evaluation images",
            flush=True,
        )
    return {
        title: {name: curve(network, shown) for name, network in networks.items()}
        for title, shown in (("the training images", images), ("evaluation images", evaluation))
    }


def over_seeds(found: list[dict[str, dict[str, Outcome]]]) -> None:
    """The last layer over the input, a row a seed and set of images."""
    names = list(next(iter(found[0].values())))
    print(f"\n### Last layer over the input\n\n| images | seed | {' | '.join(names)} |")
    print(f"|{'---|' * (2 + len(names))}")
    for title in found[0]:
        for seed, of_seed in enumerate(found):
            ratios = [ratio((c, -1), (c, 0)).partition(", n")[0] for c in of_seed[title].values()]
            print(f"| {title} | {seed} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
