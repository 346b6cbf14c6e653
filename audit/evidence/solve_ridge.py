"""Executors of closed-form patch nulls: solved on training images, run on evaluation images.

One pass over the patches serves both readings: a bag of patches, and the same by cell.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.baselines import patch_ridge, ridge
from audit.baselines.patch_ridge import Filters, PatchRidge
from audit.baselines.receptive_field import prove_local
from audit.baselines.ridge import Ridge
from audit.data.splits import heldout_indices, subset
from audit.evidence.context import JobContext
from audit.evidence.fit_null import null_of
from audit.evidence.outcomes import ProofValues, RidgeReading, SolvedRidge
from audit.evidence.ridge_plan import plan_of
from audit.jobs.job import Job, Tick, counter
from audit.jobs.store import Outcome
from audit.jobs.values import Ran

BAG, CELLS = "patches", "cells"  # kinds of null
MOST_IMAGES = 20_000  # that the regression is solved on, stratified: 0.4 GB of features
FEW = 5_000  # images on which 2 x 2 and 3 x 3 cells are compared
DEVIATION = 64.0  # of the noise that the proofs put outside a patch, in grey levels
LOOKED_AT = 8_000  # images that patches are drawn from


def solve(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """Solve the closed forms of one q and scale on the training images.

    Returns:
        Values: what was chosen, and the proof. Arrays: the filters (`weight`, `offset`); for each
        kind of null `<kind>_readout` and `<kind>_bias`; `heldout` (m,) positions in the training
        split and `<kind>_heldout` (m, K) logits by a fit that has not seen them.
    """
    began, seed = time.monotonic(), job.whole("seed")
    setup, null = context.setup, null_of(job, context)
    plan, split = plan_of(setup, null), context.split("train")
    pixels = torch.from_numpy(context.pixels("train", null.scale))
    groups = results[job.after[0].key].arrays["train_groups"]
    used = subset(split.labels, MOST_IMAGES, seed)
    _, held = heldout_indices(split.labels, groups, seed)
    used = np.union1d(used, held)
    few = subset(split.labels[used], FEW, seed)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.from_numpy(subset(split.labels, LOOKED_AT, seed))
    filters = patch_ridge.learn_filters(pixels, null.q or 0, plan.filters, generator, drawn)
    model = PatchRidge(filters, plan.stride, 1, len(setup.classes))
    learn = RidgeTargets(
        torch.from_numpy(split.labels), torch.from_numpy(groups), len(setup.classes)
    )
    count = counter(1.1 * (len(used) + len(few)), tick)
    small = patch_ridge.features(model, pixels, (2, 3), torch.from_numpy(used[few]), count)
    scores = {cells: learn.accuracy(cells, x, used[few]) for cells, x in small.items()}
    cells = max(scores, key=scores.__getitem__)
    del small
    large = patch_ridge.features(model, pixels, (1, cells), torch.from_numpy(used), count)
    readings, arrays = {}, {"weight": filters.weight, "offset": filters.offset}
    inside = torch.from_numpy(np.searchsorted(used, held))
    for kind, each in ((BAG, 1), (CELLS, cells)):
        readings[kind], found = learn.reading(each, large.pop(each), used, plan.filters)
        factor = readings[kind].temperature
        arrays |= {
            f"{kind}_readout": factor * found.weight,
            f"{kind}_bias": factor * found.bias,
            f"{kind}_heldout": factor * found.left_out[inside],
        }
    proofs = {}
    for kind, reading in readings.items():
        whole = PatchRidge(filters, plan.stride, reading.cells, len(setup.classes))
        whole.readout.copy_(arrays[f"{kind}_readout"])
        two, q = pixels[:2].float(), null.q or 0
        proof = prove_local(whole, two, q=q, stride=plan.stride, deviation=DEVIATION)
        proofs[f"receptive_field_{kind}"] = ProofValues(**dataclasses.asdict(proof))
    broken = [name for name, proved in proofs.items() if not proved.holds]
    values = SolvedRidge(
        status="failed" if broken else "ok",
        reason=f"it is not as blind as it claims ({', '.join(broken)})" if broken else "",
        readings=readings,
        filters=plan.filters,
        stride=plan.stride,
        images=len(used),
        proofs=proofs,
        seconds=time.monotonic() - began,
    )
    plain = {name: tensor.contiguous().numpy() for name, tensor in arrays.items()}
    return Outcome(values, plain | {"heldout": held})


class RidgeTargets(NamedTuple):
    """What the regressions are solved for.

    Attributes:
        labels: (N,) of the training images.
        groups: (N,) equal for near duplicates, which are left out together.
        classes: K.
    """

    labels: Tensor
    groups: Tensor
    classes: int

    def accuracy(self, cells: int, x: Tensor, used: NDArray[np.int64]) -> float:
        """Of left-out images, at the usual strength: (M, F) features of the images `used`."""
        rows = torch.from_numpy(used)
        given = ridge.problem(x, self.labels[rows], self.classes, self.groups[rows])
        return self.right(ridge.fit_ridge(given, ridge.FIRST[cells]), rows)

    def right(self, found: Ridge, rows: Tensor) -> float:
        """Share of left-out images that are right."""
        return float((found.left_out.argmax(1) == self.labels[rows]).double().mean())

    def reading(
        self, cells: int, x: Tensor, used: NDArray[np.int64], filters: int
    ) -> tuple[RidgeReading, Ridge]:
        """Solve one reading, and smaller ones with a quarter and half of the filters."""
        rows = torch.from_numpy(used)
        labels, groups = self.labels[rows], self.groups[rows]
        given = ridge.problem(x, labels, self.classes, groups)
        whole = ridge.choose_ridge(given, labels, ridge.FIRST[cells])
        curve = []
        for share, columns in ridge.shares_of(x.shape[1], filters).items():
            part = given if share == 1 else ridge.part(given, columns)
            found = whole if share == 1 else ridge.fit_ridge(part, whole.strength)
            curve.append((round(share * filters), self.right(found, rows)))
        factor = ridge.temperature(whole.left_out, labels)
        return (
            RidgeReading(
                cells=cells, strength=whole.strength, curve=tuple(curve), temperature=factor
            ),
            whole,
        )


def outputs(job: Job, context: JobContext, results: Mapping[str, Outcome], tick: Tick) -> Outcome:
    """The closed forms of one q and scale on the evaluation images: (n, K) logits for each kind."""
    solved, null = results[job.after[0].key], null_of(job, context)
    values = solved.read(SolvedRidge)
    arrays = {name: torch.from_numpy(array) for name, array in solved.arrays.items()}
    filters = Filters(arrays["weight"], arrays["offset"], null.q or 0)
    model = PatchRidge(filters, values.stride, 1, len(context.setup.classes))
    pixels = torch.from_numpy(context.pixels("eval", null.scale))
    cells = {kind: reading.cells for kind, reading in values.readings.items()}
    count = counter(len(pixels), tick)
    found = patch_ridge.features(model, pixels, tuple(cells.values()), progress=count)
    logits = {
        kind: (found[each] @ arrays[f"{kind}_readout"] + arrays[f"{kind}_bias"]).numpy()
        for kind, each in cells.items()
    }
    return Outcome(Ran(status="ok"), logits)
