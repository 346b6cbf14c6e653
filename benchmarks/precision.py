"""Nulls trained in bfloat16 and in float32: how much faster, and is a null as strong?

    AUDIT_DATA=cifar10 python benchmarks/precision.py --seen 30000 --seeds 6
    python benchmarks/precision.py --steps-of resnet18 convnext_atto --side 32  # other networks

AUDIT_DATA names an image folder; `--data` names another. Both networks begin with the same weights
and see the same batches, one thread. The speed is that of training steps of whole images, the two
in turn; the accuracy is that of the finished networks on the test images, paired. The interval of
the gain is over images and seeds: two networks of one seed soon differ as those of two seeds do.
With `--steps-of` only steps of timm's networks are timed, on noise.
"""

import argparse
import dataclasses
import math
import os
import time
from pathlib import Path
from statistics import median

import timm
import torch
from null_recipes import build, load, mirrored, prepared, tuned
from scipy import stats
from torch import nn

from audit.baselines.images import Images
from audit.baselines.patch_net import Kind, width_and_depth
from audit.baselines.train import Recipe, predict, train
from audit.model.spec import is_bound_to_size
from audit.pipeline.speed import noise

PRECISIONS = ("float32", "bfloat16")
STEPS, ROUNDS = 4, 5
HEAD = (
    "| null | images/s, float32 | bfloat16 | ratio | accuracy, float32 | bfloat16 | gain, points |"
)


def speeds(kind: Kind, q: int, fit: Images, recipe: Recipe) -> list[float]:
    """Of a null, by steps of whole images; see `timed`."""
    network = build(kind, q, fit, *width_and_depth(len(fit), min(fit.size)))
    return timed(network, fit, dataclasses.replace(recipe, crop=0))


def timed(network: nn.Module, data: Images, recipe: Recipe) -> list[float]:
    """Images a second of processor time in each precision: the median of rounds in turn."""
    short = dataclasses.replace(recipe, images_seen=STEPS * recipe.batch, rate=1e-6)
    took: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for found, precision in zip(took, PRECISIONS, strict=True):
            start = time.process_time()
            train(network, data, dataclasses.replace(short, precision=precision), seed=0)
            found.append(time.process_time() - start)
    return [short.images_seen / median(found[1:]) for found in took]


def steps_of(architecture: str, side: int, batch: int) -> None:
    """One row: how fast a network of timm learns."""
    data = noise(batch, (3, side, side), 10)
    sized = {"img_size": side} if is_bound_to_size(architecture) else {}
    network = timm.create_model(architecture, num_classes=10, **sized)
    recipe = Recipe(images_seen=0, augment="mirror", batch=batch, optimizer="adamw")
    slow, fast = timed(network, data, recipe)
    print(f"| {architecture} | {side} | {slow:.1f} | {fast:.1f} | {fast / slow:.2f} |", flush=True)


def right(kind: Kind, q: int, splits: dict[str, Images], recipe: Recipe, seed: int) -> torch.Tensor:
    """(n,) whether a network trained by the recipe is right on each test image."""
    fit, test = splits["train"], splits["eval"]
    network = build(kind, q, fit, *width_and_depth(len(fit), min(fit.size)), seed=seed)
    return (predict(train(network, fit, recipe, seed=seed), test).argmax(1) == test.labels).double()


def compare(kind: Kind, q: int, folder: Path, seen: int, seeds: int) -> None:
    """One row."""
    splits = load(folder, kind)
    recipe = prepared(tuned(augment=mirrored(kind)), q, splits["train"])
    slow, fast = speeds(kind, q, splits["train"], recipe)
    reached: list[list[torch.Tensor]] = []
    for precision in PRECISIONS:
        own = dataclasses.replace(recipe, images_seen=seen, precision=precision)
        reached.append([right(kind, q, splits, own, seed) for seed in range(seeds)])
    full, half = (torch.stack(found) for found in reached)  # (S, n) each
    gain = 100 * (half - full)
    variance = float(gain.mean(0).var()) / gain.shape[1] + float(gain.mean(1).var()) / seeds
    wide = stats.t.ppf(0.975, seeds - 1) * math.sqrt(variance)
    print(
        f"| {kind}-{q} | {slow:,.0f} | {fast:,.0f} | {fast / slow:.2f} | {full.mean():.1%} "
        f"| {half.mean():.1%} | {gain.mean():.1f} ({gain.mean() - wide:.1f} to "
        f"{gain.mean() + wide:.1f}) |",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    nulls = ("bagnet-9", "bagnet-17", "coordconv-9", "sighted-9")
    parser.add_argument("nulls", nargs="*", default=nulls, help="bagnet-9, coordconv-9 ...")
    parser.add_argument("--data", type=Path, help="image folder or idx files; else AUDIT_DATA")
    parser.add_argument("--seen", type=int, default=30_000, help="training images seen")
    parser.add_argument("--seeds", type=int, default=6, help="two or more")
    parser.add_argument("--steps-of", nargs="*", metavar="ARCHITECTURE", help="of timm")
    parser.add_argument("--side", type=int, default=32, help="of their images, in pixels")
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.steps_of:
        print("| network | side | images/s, float32 | bfloat16 | ratio |\n|---|---|---|---|---|")
        for architecture in options.steps_of:
            steps_of(architecture, options.side, options.batch)
        return
    folder = options.data or Path(os.environ["AUDIT_DATA"])
    print(f"{folder.name}, {options.seen:,} images seen, {options.seeds} seeds\n")
    print(HEAD + "\n|" + "---|" * (HEAD.count("|") - 1), flush=True)
    for name in options.nulls:
        kind, q = name.split("-")
        compare(kind, int(q), folder, options.seen, options.seeds)


if __name__ == "__main__":
    main()
