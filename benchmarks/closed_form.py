"""Accuracy and time of the closed-form patch nulls: a bag of patches, and by cell.

Run `AUDIT_DATA=DIR python benchmarks/closed_form.py [--train 6000 --eval 4000]`: DIR is an image
folder or idx files. It prints Markdown. Seconds are those of one thread's processor time.
"""

import argparse
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import torch

from audit.baselines import patch_ridge, ridge
from audit.baselines.patch_ridge import PatchRidge
from audit.data import subset
from audit.data.decode import decode
from audit.data.load import load_dataset
from audit.evidence.ladder import gating_qs, make_null
from audit.evidence.ridge_plan import plan_of
from audit.evidence.setup import Setup

SEED = 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--train", type=int, default=10**9, help="training images, at most")
    parser.add_argument("--eval", type=int, default=10**9, help="evaluation images, at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset(Path(os.environ["AUDIT_DATA"]))
    assert dataset.train is not None
    channels, (first,) = (1 if dataset.grey else 3), dataset.train.read(range(1))
    splits = {}
    for name, split, most in (
        ("train", dataset.train, options.train),
        ("eval", dataset.eval, options.eval),
    ):
        part = split.select(subset(split.labels, most, SEED))
        pixels = torch.from_numpy(decode(part, first.height, channels))
        splits[name] = pixels, torch.from_numpy(part.labels)
    (pixels, labels), (held, truth) = splits["train"], splits["eval"]
    print(
        f"{len(labels):,} training and {len(truth):,} evaluation images of {first.height} pixels, "
        "one thread\n\n| q | filters | cells a side | evaluation | left out | strength | seconds |"
        "\n|---|---|---|---|---|---|---|"
    )
    for q in gating_qs(first.height):
        size = (first.height, first.height)
        setup = SimpleNamespace(null_size=lambda _, s=size: s, n_train=len(labels))
        plan = plan_of(cast("Setup", setup), make_null("patches", q, claim=True))
        began = time.process_time()
        generator = torch.Generator().manual_seed(SEED)
        drawn = torch.randperm(len(pixels), generator=generator)[:8000]
        filters = patch_ridge.learn_filters(pixels, q, plan.filters, generator, drawn)
        model = PatchRidge(filters, plan.stride, 1, len(dataset.classes))
        known = patch_ridge.features(model, pixels, (1, 2))
        asked = patch_ridge.features(model, held, (1, 2))
        shared = time.process_time() - began
        for cells in (1, 2):
            began = time.process_time()
            given = ridge.problem(
                known.pop(cells), labels, len(dataset.classes), torch.arange(len(labels))
            )
            found = ridge.choose_ridge(given, labels, ridge.FIRST[cells])
            right = ((asked[cells] @ found.weight + found.bias).argmax(1) == truth).double().mean()
            out = (found.left_out.argmax(1) == labels).double().mean()
            print(
                f"| {q} | {plan.filters} | {cells} | {right:.1%} | {out:.1%} | "
                f"{found.strength:.2g} | {shared:.0f} + {time.process_time() - began:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
