"""Nulls trained by this project's Muon and by timm's: are they equally strong, and as fast?

    AUDIT_DATA=fashion-mnist python benchmarks/muon.py bagnet-9 coordconv-9
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/muon.py --step

AUDIT_DATA names an image folder or idx files; `--data` names another. All networks of a seed begin
with the same weights and see the same batches, on one thread. timm's Muon has our settings
(momentum, coefficients, scale, flattened kernels, AdamW without Nesterov for vectors). What differs
is that it iterates in bfloat16, one matrix at a time. torch's Muon refuses convolution kernels.
Accuracy is on the test images; its difference has an interval over images and seeds. Speed is in
processor time of whole trainings, with `--step` in that of the optimiser's step alone; the
variable makes the processor one without instructions for bfloat16.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import torch
from null_recipes import build, load, mirrored, prepared, tuned
from timm.optim.muon import Muon as TimmMuon

from audit.baselines import muon
from audit.baselines import train as loop
from audit.baselines.images import Images
from audit.baselines.patch_net import Kind, PatchNet, width_and_depth
from audit.baselines.train import Recipe
from audit.stats.effects import difference, seed_noise

HEAD = "| null | optimiser | accuracy by seed | steps/s | gain over ours, points |"


def timms(groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    """Make timm's Muon with the settings of ours."""
    matrices, vectors = groups
    return TimmMuon(
        [matrices | {"use_muon": True}, vectors | {"use_muon": False, "nesterov": False}],
        lr=lr,
        momentum=muon.MOMENTUM,
        nesterov=True,
        ns_steps=muon.ITERATIONS,
        ns_coefficients="original",
        betas=muon.BETAS,
    )


OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"ours": muon.Muon, "timm": timms}


def errors(
    kind: Kind, q: int, splits: dict[str, Images], recipe: Recipe, seed: int
) -> tuple[torch.Tensor, float]:
    """Train one null; return its errors (n,) on the test images and the seconds it took."""
    fit, test = splits["train"], splits["eval"]
    network = build(kind, q, fit, *width_and_depth(len(fit), min(fit.size)), seed=seed)
    start = time.process_time()
    loop.train(network, fit, recipe, seed=seed)
    seconds = time.process_time() - start
    return (loop.predict(network, test).argmax(1) != test.labels).double(), seconds


def compare(kind: Kind, q: int, folder: Path, seen: int, seeds: int) -> None:
    """Print one row for each optimiser."""
    splits = load(folder, kind)
    recipe = prepared(tuned(augment=mirrored(kind), images_seen=seen), q, splits["train"])
    steps = seeds * sum(loop.plan_steps(recipe, splits["train"]))
    wrong: dict[str, list[torch.Tensor]] = {name: [] for name in OPTIMISERS}
    took = dict.fromkeys(OPTIMISERS, 0.0)
    for seed in range(seeds):
        for name, optimiser in OPTIMISERS.items():
            with mock.patch.object(loop, "Muon", optimiser):
                found, seconds = errors(kind, q, splits, recipe, seed)
            wrong[name].append(found)
            took[name] += seconds
    tables = {name: torch.stack(found).numpy() for name, found in wrong.items()}
    for name, table in tables.items():
        noise = seed_noise([tables["ours"] - table], independent=True)
        gain = [100 * v for v in difference(tables["ours"], table, None, noise)]
        told = f"{gain[0]:.2f} ({gain[1]:.2f} to {gain[2]:.2f})" if name != "ours" else ""
        each = ", ".join(f"{1 - row.mean():.2%}" for row in table)
        print(f"| {kind}-{q} | {name} | {each} | {steps / took[name]:.2f} | {told} |", flush=True)


def step() -> None:
    """Print the time of one step of each optimiser on BagNet-9 as it is for small images."""
    network = PatchNet("bagnet", q=9, num_classes=10, in_chans=1, width=128, blocks=4)
    parameters = list(network.to(memory_format=torch.channels_last).parameters())
    for p in parameters:
        p.grad = torch.randn_like(p)
    groups = [{"params": [p for p in parameters if (p.ndim > 1) == many]} for many in (True, False)]
    for name, optimiser in OPTIMISERS.items():
        made, took = optimiser(groups, lr=1e-6), []
        for _ in range(22):
            start = time.process_time()
            made.step()
            took.append(time.process_time() - start)
        print(f"{name}: {1000 * median(took[2:]):.1f} ms a step")


def main() -> None:
    """Print the table that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("nulls", nargs="*", default=["bagnet-9", "coordconv-9"])
    parser.add_argument("--data", type=Path, help="image folder or idx files; else AUDIT_DATA")
    parser.add_argument("--seen", type=int, default=20_000, help="budget of images of a null")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--step", action="store_true", help="time the optimisers' steps alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.step:
        step()
        return
    folder = options.data or Path(os.environ["AUDIT_DATA"])
    print(f"{folder.name}, {options.seen:,} images seen\n\n{HEAD}\n|---|---|---|---|---|")
    for name in options.nulls:
        kind, q = name.split("-")
        compare(kind, int(q), folder, options.seen, options.seeds)


if __name__ == "__main__":
    main()
