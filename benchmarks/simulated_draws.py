"""Audits drawn at random whose truth is known.

Images have a difficulty that all models share, and one for each null that its seeds share, so
errors are correlated as those of real networks are. Every trained null draws a shift per seed, so
that its accuracy spreads over seeds. Images may stand in clusters of near duplicates with equal
errors, or in two uneven classes. A null's error falls with its training budget by a power law, and
its learning curve is measured on held-out images, as the audit does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special
from simulated_audits import DECIDING, HELDOUT, Array, Audit, Curve, curve_of, see
from simulated_worlds import MINORITY, NOISY, RUNGS, World, clusters, latent_spread

BATCH = 40_000  # images drawn at once
SAME_RUN = 0.7  # correlation of the noise of one network at two budgets


class Draw:
    """Draws the audits of one world, a batch at a time.

    Args:
        world: What to draw.
        subjects: Expected errors by name; in two classes one for each class.
        seed: Of everything random.
        nulls: Which; None: all.
        curves: Whether learning curves are drawn; else every allowance is 0.
    """

    def __init__(
        self,
        world: World,
        subjects: Mapping[str, tuple[float, ...]],
        seed: int,
        nulls: tuple[str, ...] | None = None,
        *,
        curves: bool = True,
    ) -> None:
        self.world, self.subjects, self.curves = world, subjects, curves
        self.rng = np.random.Generator(np.random.SFC64(seed))
        self.nulls = nulls or tuple(name for name in RUNGS if name != "prior")
        self.group_of = clusters(world.images, world.copies) if world.copies else None
        self.draws = world.images if self.group_of is None else int(self.group_of[-1]) + 1

    def audits(self, count: int) -> Iterator[Audit]:
        """So many audits, one after the other."""
        size = max(1, BATCH // self.draws)
        while count > 0:
            yield from self.batch(min(size, count))
            count -= size

    def batch(self, size: int) -> Iterator[Audit]:
        """Audits that are drawn together."""
        world, shape = self.world, (size, 1, self.draws)
        common = self.normal(shape)
        labels = None
        if world.majority:
            labels = (self.rng.random((size, self.draws)) >= world.majority).astype(np.intp)
        curves = self.learning(size) if self.curves else {}
        errors: dict[str, dict[str, Array]] = {"plain": {}, "balanced": {}}
        kin = self.normal(shape)
        for name in self.nulls:
            own = kin if name == NOISY else self.normal(shape)
            base = world.shared * common + world.own * own
            for mode, found in self.null(name, base, labels, self.unripe(name, curves)).items():
                errors[mode][name] = self.spread_out(found)
        subjects = {}
        for name, rates in self.subjects.items():
            base = world.shared * common + world.own * (kin if world.kin else self.normal(shape))
            found = self.normal(base.shape) < base + self.levels(rates, labels, 0.0)
            subjects[name] = self.spread_out(found)[:, 0]
        for i in range(size):
            plain, balanced = ({k: e[i] for k, e in table.items()} for table in errors.values())
            of = None if labels is None else labels[i]
            yield see(
                plain,
                balanced,
                {name: found[i] for name, found in subjects.items()},
                self.group_of,
                of if of is None or self.group_of is None else of[self.group_of],
                {name: found[i] for name, found in curves.items()},
            )

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Standard normal numbers; single precision is quicker and enough."""
        return self.rng.standard_normal(shape, dtype=np.float32)  # type: ignore[return-value]

    def spread_out(self, drawn: NDArray[np.bool_]) -> Array:
        """From clusters to images, as numbers."""
        found = drawn if self.group_of is None else drawn[..., self.group_of]
        return found.astype(np.float64)

    def unripe(self, name: str, curves: dict[str, list[Curve]]) -> Array:
        """(B or 1,) error that a null's training left undone, after doublings."""
        world = self.world
        if not RUNGS[name].seeded or not world.left:
            return np.zeros(1)
        members = [curves[name]] if name in curves else list(curves.values())
        left = [[world.unripe(2.0**curve.doublings) for curve in member] for member in members]
        return np.mean(left, axis=0) if left else np.array([world.unripe()])

    def null(
        self, name: str, base: Array, labels: NDArray[np.intp] | None, unripe: Array
    ) -> dict[str, NDArray[np.bool_]]:
        """(B, S, n) errors of one null, by kind of accuracy."""
        world, rung = self.world, RUNGS[name]
        seeds = world.seeds if rung.seeded else 1
        spread, size = world.spread_of(name), len(base)
        noise = self.normal((size, seeds, self.draws))
        error = MINORITY["balanced"][1] if labels is not None else world.error_of(name)
        sd = latent_spread(error, spread, self.width)
        shift = self.rng.normal(0, sd, (size, seeds, 1)).astype(np.float32)
        if labels is None:
            level = self.levels((error + unripe,), None, sd)
            return {"plain": noise < base + shift + level[0][:, None, None]}
        turned = shift * (2 * labels[:, None].astype(np.float32) - 1)  # one class pays
        return {
            mode: noise < base + turned + self.levels(rates, labels, sd)
            for mode, rates in MINORITY.items()
        }

    @property
    def width(self) -> float:
        """Standard deviation of a model's latent error, its seed apart."""
        return math.sqrt(1 + self.world.shared**2 + self.world.own**2)

    def levels(
        self, rates: Sequence[float | Array], labels: NDArray[np.intp] | None, sd: float
    ) -> NDArray[np.float32]:
        """Latent level at which a model's expected error is as asked, for every image."""
        width = math.hypot(self.width, sd)
        found = np.array([width * special.ndtri(rate) for rate in rates], dtype=np.float32)
        return found if labels is None else found[labels][:, None]

    def learning(self, size: int) -> dict[str, list[Curve]]:
        """Learning curves of the trained claim nulls, with the doublings that they ask for."""
        common = self.normal((size, 1, 1, HELDOUT))
        found = {}
        for name in (n for n in self.nulls if RUNGS[n].trained and RUNGS[n].claim):
            base = self.world.shared * common + self.world.own * self.normal(common.shape)
            run = self.normal((size, self.world.seeds, 1, HELDOUT))
            right = self.rehearse(name, base, run, (0.25, 0.5, 1.0))
            curves = [curve_of(seen, 0) for seen in right]
            for doublings in range(1, self.world.doublings + 1):
                again = [
                    i for i, curve in enumerate(curves) if not curve.adequacy(DECIDING).adequate
                ]
                if not again:
                    break
                more = self.rehearse(name, base[again], run[again], (2.0**doublings,))
                right[again] = np.concatenate([right[again][:, :, 1:], more], axis=2)
                for i in again:
                    curves[i] = curve_of(right[i], doublings)
            found[name] = curves
        return found

    def rehearse(
        self, name: str, base: Array, run: Array, budgets: tuple[float, ...]
    ) -> NDArray[np.bool_]:
        """(B, S, budgets, m) whether networks are right on held-out images."""
        world, error = self.world, self.world.error_of(name)
        sd = latent_spread(error, world.spread_of(name), self.width)
        level = self.levels([error + world.unripe(b) for b in budgets], None, sd)[:, None]
        shape = (len(base), world.seeds, len(budgets), HELDOUT)
        shift = self.rng.normal(0, sd, (*shape[:3], 1)).astype(np.float32)
        noise = math.sqrt(SAME_RUN) * run + math.sqrt(1 - SAME_RUN) * self.normal(shape)
        return noise >= base + level + shift
