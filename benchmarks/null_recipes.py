"""Accuracy against processor time of the nulls, by recipe: how strong is a null, and how soon?

    AUDIT_DATA=cifar10 python benchmarks/null_recipes.py --search   # short trials of many recipes
    AUDIT_DATA=cifar10 python benchmarks/null_recipes.py --confirm  # the chosen one at full budget
    AUDIT_DATA=cifar10 python benchmarks/null_recipes.py --votes    # what more patches add

AUDIT_DATA names an image folder; `--data` names another. Time is processor time of one
thread, so that other processes of the machine do not count. Every recipe gets the same seconds: its
speed is measured first and its budget set from that. The search scores on training images that are
held out; only the other runs look at the test images.
"""

import argparse
import dataclasses
import math
import os
import time
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from audit.baselines.images import Images, statistics
from audit.baselines.patch_net import (
    TORUS,
    Kind,
    PatchNet,
    PatchSampling,
    width_and_depth,
)
from audit.baselines.train import Branches, Diverged, Recipe, accuracy, plan_steps, train
from audit.data import decode
from audit.data.load import load_dataset
from audit.evidence.choose_recipe import START
from audit.evidence.recipes import crop_side
from audit.evidence.rehearsals import patch_sampling

HELD_OUT = 5000
PROBE = 12  # steps by which speed is measured
PLAIN = Recipe(images_seen=0, rate=0.1)  # SGD on whole images
SGD = dataclasses.replace(PLAIN, rate=0.2, crop=1)  # what nulls were trained by before Muon
BRANCHES = (0.25, 0.5)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One recipe for one network; here `crop` is a switch (1: crops as the product has them)."""

    name: str
    recipe: Recipe
    width: int = 128
    blocks: int = 4


def tuned(**changes: object) -> Recipe:
    """The product's recipe with changes."""
    return dataclasses.replace(START, **{"rate": 0.01, "crop": 1} | changes)  # type: ignore[arg-type]


SEARCH = (
    Variant("plain SGD, rate 0.1", PLAIN),
    Variant("SGD, crops first, rate 0.2", SGD),
    Variant("AdamW, rate 0.003", Recipe(0, rate=0.003, weight_decay=0.05, optimizer="adamw")),
    Variant("Muon, rate 0.01", tuned(crop=0)),
    Variant("Muon, crops first, rate 0.005", tuned(rate=0.005)),
    Variant("Muon, crops first, rate 0.01", tuned()),
    Variant("Muon, crops first, rate 0.02", tuned(rate=0.02)),
    Variant("Muon, crops first, more decay", tuned(weight_decay=0.1)),
    Variant("Muon, crops first, mirror", tuned(augment="mirror")),
    Variant("Muon, crops first, batch 64", tuned(batch=64)),
    Variant("Muon, crops first, width 192", tuned(), width=192),
    Variant("Muon, crops first, 2 blocks", tuned(), blocks=2),
)


def build(kind: Kind, q: int, data: Images, width: int, blocks: int, seed: int = 0) -> PatchNet:
    """A fresh network for the data."""
    torch.manual_seed(seed)
    classes, channels = int(data.labels.max()) + 1, data.pixels.shape[1]
    return PatchNet(kind, q=q, num_classes=classes, in_chans=channels, width=width, blocks=blocks)


def images_for(seconds: float, network: PatchNet, data: Images, recipe: Recipe) -> int:
    """Budget of images (crops count by share) that takes so many seconds of processor time."""
    budget = recipe.batch * PROBE
    timed = dataclasses.replace(recipe, images_seen=budget, rate=1e-6)
    train(network, data, timed, seed=0)  # the first steps are slower
    start = time.process_time()
    train(network, data, timed, seed=0)
    return round(budget * seconds / (time.process_time() - start))


def prepared(recipe: Recipe, q: int, data: Images) -> Recipe:
    """The recipe with the side of its crops for these images."""
    return dataclasses.replace(recipe, crop=crop_side(q, min(data.size)) if recipe.crop else 0)


def search(train_images: Images, seconds: float, n: int) -> None:
    """Every variant of `SEARCH` for BagNet-9, scored on held-out training images."""
    order = torch.randperm(len(train_images), generator=torch.Generator().manual_seed(0))
    fit, held = (train_images.subset(i) for i in (order[:n], order[-HELD_OUT:]))
    print(f"BagNet-9, {len(fit):,} images, {seconds:g} s of one core each\n")
    print("| recipe | images seen | held-out accuracy (n = 5,000) | training accuracy | seconds |")
    print("|---|---|---|---|---|")
    for variant in SEARCH:
        recipe = prepared(variant.recipe, 9, fit)
        shape = (variant.width, variant.blocks)
        budget = images_for(seconds, build("bagnet", 9, fit, *shape), fit, recipe)
        start = time.process_time()
        try:
            network = train(
                build("bagnet", 9, fit, *shape),
                fit,
                dataclasses.replace(recipe, images_seen=budget),
                seed=0,
            )
        except Diverged:
            print(f"| {variant.name} | {budget:,} | diverged | | |", flush=True)
            continue
        used = time.process_time() - start
        print(
            f"| {variant.name} | {budget:,} | {accuracy(network, held):.1%} | "
            f"{accuracy(network, fit.subset(torch.arange(min(2000, n)))):.1%} | {used:.0f} |",
            flush=True,
        )


def confirm(
    name: str, kind: Kind, q: int, splits: dict[str, Images], seconds: float, recipe: Recipe
) -> None:
    """Train one null on all training images; test accuracy at a quarter, half and all the time."""
    fit, test = splits["train"], splits["eval"]
    width, blocks = width_and_depth(len(fit), min(fit.size))
    recipe = prepared(recipe, q, fit)
    budget = images_for(seconds, build(kind, q, fit, width, blocks), fit, recipe)
    recipe = dataclasses.replace(recipe, images_seen=budget)
    reached: dict[float, float] = {}
    ends = [time.process_time()]

    def keep(share: float, network: nn.Module) -> None:
        reached[share] = accuracy(network, test)
        ends[-1] = time.process_time()  # testing is no training

    network = train(
        build(kind, q, fit, width, blocks),
        fit,
        recipe,
        seed=0,
        branches=Branches(BRANCHES, keep),
        progress=lambda _: ends.append(time.process_time()),
    )
    reached[1.0] = accuracy(network, test)
    seconds = own_seconds(ends, recipe, fit)
    found = patch_sampling(network, test, recipe)
    most = min(found, key=lambda vote: (vote.spacing, not vote.mirrored))
    right = (found[most].argmax(1) == test.labels).double().mean()
    cells = " | ".join(f"{reached[share]:.1%}" for share in (*BRANCHES, 1.0))
    print(f"| {name} | {budget:,} | {cells} | {right:.1%} | {seconds:.0f} |", flush=True)


def own_seconds(ends: list[float], recipe: Recipe, fit: Images) -> float:
    """Processor time of the whole run without its branches, from the ends of all steps."""
    trunk, rest, falling = plan_steps(recipe, fit)
    took = [b - a for a, b in pairwise(ends)]
    done = 0
    total = sum(took)
    for share in BRANCHES:
        length = round(share * rest) + max(1, round(share * falling))
        first = round(share * trunk) + done
        total -= sum(took[first : first + length])
        done += length
    return total


def votes(name: str, kind: Kind, q: int, splits: dict[str, Images], images_seen: int) -> None:
    """One null, its test accuracy by the patches that vote while it learns, and by more."""
    fit, test = splits["train"], splits["eval"]
    width, blocks = width_and_depth(len(fit), min(fit.size))
    recipe = prepared(tuned(augment=mirrored(kind)), q, fit)
    recipe = dataclasses.replace(recipe, images_seen=images_seen)
    network = train(build(kind, q, fit, width, blocks), fit, recipe, seed=0)
    found = patch_sampling(network, test, recipe)
    right = {vote: (logits.argmax(1) == test.labels).double() for vote, logits in found.items()}
    for vote, own in right.items():
        gain = 100 * (own - right[PatchSampling()])
        half = 1.96 * float(gain.std()) / math.sqrt(len(gain))
        ends = f"{gain.mean() - half:.1f} to {gain.mean() + half:.1f}"
        told = f"{vote.spacing} apart" + (", mirrored too" if vote.mirrored else "")
        print(
            f"| {name} | {images_seen:,} | {told} | {own.mean():.1%} | "
            + (f"{gain.mean():.1f} ({ends}) |" if vote != PatchSampling() else "|"),
            flush=True,
        )


def mirrored(kind: Kind) -> str:
    """Augmentation of a kind: coordinates stay where they are."""
    return "none" if kind in TORUS else "mirror"


def load(folder: Path, kind: Kind) -> dict[str, Images]:
    """Both splits at the side that the null takes, with the training images' statistics."""
    dataset = load_dataset(folder)
    assert dataset.train is not None
    channels, side = (1, 28) if dataset.grey else (3, 32)
    pixels = {
        name: torch.from_numpy(decode(split, side, channels))
        for name, split in (("train", dataset.train), ("eval", dataset.eval))
    }
    labels = {"train": dataset.train.labels, "eval": dataset.eval.labels}
    scale = statistics(pixels["train"])
    return {name: Images(pixels[name], torch.from_numpy(labels[name]), *scale) for name in pixels}


def main() -> None:
    """Print the table that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--confirm", nargs="*", metavar="NULL", help="bagnet-9, plain:bagnet-9 ...")
    parser.add_argument("--votes", nargs="*", metavar="NULL", help="bagnet-9, coordconv-9 ...")
    parser.add_argument("--data", type=Path, help="image folder or idx files; else AUDIT_DATA")
    parser.add_argument("--seconds", type=float, help="of one core, a trial or a run")
    parser.add_argument("--images", type=int, default=10_000, help="that a trial trains on")
    parser.add_argument("--seen", type=int, default=100_000, help="budget of a null with --votes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.data or Path(os.environ["AUDIT_DATA"])
    if options.search:
        search(load(folder, "bagnet")["train"], options.seconds or 150, options.images)
    if options.confirm is not None:
        seconds = options.seconds or 900
        print(f"\n{folder.name}, all training images, {seconds:g} s of one core\n")
        print("| null | images seen | test, a quarter | half | the whole | more votes | seconds |")
        print("|---|---|---|---|---|---|---|")
        for name in options.confirm or ["bagnet-9", "bagnet-17", "coordconv-9", "plain:bagnet-9"]:
            kind, q = name.removeprefix("plain:").split("-")
            recipe = PLAIN if name.startswith("plain:") else tuned(augment=mirrored(kind))
            confirm(name, kind, int(q), load(folder, kind), seconds, recipe)
    if options.votes is not None:
        print(f"\n{folder.name}, test images, seed 0\n")
        print("| null | images seen | patches that vote | accuracy | gain, points |")
        print("|---|---|---|---|---|")
        for name in options.votes or ["bagnet-9", "bagnet-17", "coordconv-9", "circular-9"]:
            kind, q = name.split("-")
            votes(name, kind, int(q), load(folder, kind), options.seen)


if __name__ == "__main__":
    main()
