"""Seconds and accuracy of the read-outs, against scikit-learn's solvers in the same run.

    python benchmarks/probes.py                              # 50,000 x 2,048, 10 classes
    python benchmarks/probes.py --images 5000 --width 256    # a quick look
    python benchmarks/probes.py --features FILE.npz          # x (N, D), y (N,) of your own

Ours is a whole probe: four strengths on four fifths of the images, and up to three beyond while the
best lies at an end; the choice on the last fifth, and the fit of all images at the strength that
was best. A peer is one single fit, as it comes (C = 1), and one at the objective that was chosen.
The features are made: non-negative, of length one, with variances that fall as a power of their
rank, as those of a network do; their classes overlap. The solver that needs too long is given
`--svm-images` of them, as its row says.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits
from torch import Tensor

from audit.kernels.probes import Loss, basis_of, choose, normalised


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        solver: Name.
        images: It learned from.
        fits: How many.
        seconds: Of all of them.
        accuracy: On fresh images.
        note: What else is known.
    """

    solver: str
    images: int
    fits: int
    seconds: float
    accuracy: float
    note: str


def made(n: int, width: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features (n, width) of length one and their labels (n,)."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(7))
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(8)) / width**0.5
    scale = torch.arange(1, width + 1).float() ** -0.5
    labels = torch.arange(n) % classes
    parts = []
    for label in labels.split(4096):
        noise = torch.randn(len(label), width, generator=generator)
        parts.append(normalised(((0.35 * centres[label] + 2 * noise) * scale @ mixing).relu()))
    return torch.cat(parts), labels


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its seconds."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return work(), time.perf_counter() - started


def ours(x: Tensor, y: Tensor, fresh: tuple[Tensor, Tensor], classes: int) -> list[Row]:
    """Both read-outs, with the principal directions that they share."""
    kept = len(x) * 4 // 5
    basis, first = timed(lambda: basis_of(x))
    rows = [Row("principal directions, shared", len(x), 0, first, float("nan"), "")]
    losses: tuple[Loss, ...] = ("logistic", "hinge")
    for loss in losses:
        found, seconds = timed(partial(choose, x, y, kept, classes, loss, basis=basis))
        right = (found.readout.predict(fresh[0]) == fresh[1]).double().mean()
        tried = ", ".join(f"{value:.3f}" for value in found.heldout)
        note = (
            f"C {found.readout.strength:g} at 1,000; held out {tried}; {found.readout.steps} steps"
        )
        rows.append(
            Row(f"ours, {loss}", len(x), len(found.heldout) + 1, seconds, float(right), note)
        )
    return rows


def peers(
    x: Tensor, y: Tensor, fresh: tuple[Tensor, Tensor], fewer: int, strengths: dict[str, float]
) -> list[Row]:
    """scikit-learn as it comes, and at the strengths that were chosen."""
    few = slice(0, min(fewer, len(x)))
    jobs: list[tuple[str, Any, slice]] = []
    for name, kind, part in (
        ("LogisticRegression", LogisticRegression, slice(None)),
        ("LinearSVC", LinearSVC, few),
    ):
        n = len(x[part])
        jobs.append((f"{name}(), as it comes", kind(), part))
        jobs.append((f"{name}, same objective", kind(C=strengths[name] * 1000 / n), part))
    rows = []
    for name, model, part in jobs:
        fitted, seconds = timed(partial(model.fit, x[part].numpy(), y[part].numpy()))
        right = float((fitted.predict(fresh[0].numpy()) == fresh[1].numpy()).mean())
        steps = int(np.max(fitted.n_iter_))
        note = f"{steps} steps" + (", stopped by the limit" if steps >= model.max_iter else "")
        rows.append(Row(name, len(x[part]), 1, seconds, right, note))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--svm-images", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--features", help="npz with x and y instead; a tenth is kept fresh")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with threadpool_limits(given.threads):
        if given.features:
            stored = np.load(given.features)
            x, y = normalised(torch.from_numpy(stored["x"])), torch.from_numpy(stored["y"]).long()
            order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
            x, y, cut = x[order], y[order], len(x) * 9 // 10
            fresh, x, y = (x[cut:], y[cut:]), x[:cut], y[:cut]
        else:
            x, y = made(given.images, given.width, given.classes)
            fresh = made(5000, given.width, given.classes, seed=1)
        rows = ours(x, y, fresh, int(y.max()) + 1)
        best = [float(row.note.split()[1]) for row in rows[1:]]
        chosen = dict(zip(("LogisticRegression", "LinearSVC"), best, strict=True))
        rows += peers(x, y, fresh, given.svm_images, chosen)
    print(f"{len(x):,} x {x.shape[1]:,} features, {given.threads} threads\n")
    print("| solver | images | fits | seconds | accuracy on fresh images | |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        accuracy = "" if row.accuracy != row.accuracy else f"{row.accuracy:.4f}"
        print(
            f"| {row.solver} | {row.images:,} | {row.fits or ''} | {row.seconds:.1f} | {accuracy} "
            f"| {row.note} |"
        )


if __name__ == "__main__":
    main()
