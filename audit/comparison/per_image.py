"""Quantities of a run as means over its images that count, to compare two runs image by image."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.record import GAIN, GAP, Measurement, is_gap
from audit.runs.finished import FinishedRun
from audit.stats.paired import ASSUMED_SEED_VARIANCE

Array = NDArray[np.float64]
CLASS = "class_accuracy"
AGREE = 1e-6  # predictions that give another value than the report belong to another run


class Loss(NamedTuple):
    """A quantity as a constant less the mean of one number an image.

    Attributes:
        values: (n,), or as many as there are images of the one class that it is about.
        constant: The quantity is this less the mean of `values`.
        null: (S, n) errors of the null in it, or None.
        slope: Derivative of the mean of `values` by the null's error.
        noise: Variance of the null's error from its seeds.
        scale: The size of one image's error in `values` is 1 / (n scale).
        member: (n,) which images `values` stands for; None: all.
        classes: How many classes' intervals must hold together with this one's.
    """

    values: Array
    constant: float
    null: Array | None = None
    slope: float = 0.0
    noise: float = 0.0
    scale: float = 1.0
    member: NDArray[np.bool_] | None = None
    classes: int = 1

    def gives(self, value: float) -> bool:
        """Whether the predictions lead to the value that the report states."""
        return abs(self.constant - float(self.values.mean()) - value) < AGREE


def errors(run: FinishedRun, model: str) -> Array | None:
    """(S, n) errors of a model, a row a seed; None where the run holds no predictions of it."""
    table = run.counted_predictions
    if table is None:
        return None
    own = [c for c in table.columns if c == model == "subject" or c.rpartition(".")[0] == model]
    if not own:
        return None
    wrong = table["label"].to_numpy() != table[own].to_numpy().T  # (S, n)
    return wrong.astype(np.float64)


def loss(m: Measurement, run: FinishedRun) -> Loss | None:
    """One number an image whose mean is the measurement; None if it is no such quantity.

    The gain 1 - e_subject / e_null is a ratio of means; its numbers are those of the ratio's
    linearisation, whose mean is the ratio itself (the delta method).
    """
    subject = errors(run, "subject")
    if subject is None:
        return None
    if m.quantity == CLASS:
        return _of_class(m.of, run, subject[0])
    if m.of == "subject":
        return Loss(subject[0], 1.0) if m.quantity == "accuracy" else None
    other = errors(run, m.of)
    if other is None:
        return None
    noise = seed_noise(run, m.of, len(other))
    return _against(m.quantity, subject[0], other, noise)


def _against(quantity: str, s: Array, other: Array, noise: float) -> Loss | None:
    """Accuracy of a null, gap or gain over it: (n,) errors of the subject, (S, n) of the null."""
    null = other.mean(0)
    if quantity == "accuracy":
        return Loss(null, 1.0, other, 1.0, noise)
    if quantity == "gap":
        return Loss(s - null, 0.0, other, -1.0, noise)
    error = float(null.mean())
    if quantity != "gain" or error == 0:
        return None
    ratio = float(s.mean()) / error
    linear = ratio + (s - ratio * null) / error
    return Loss(linear, 1.0, other, -ratio / error, noise, error)


def _of_class(name: str, run: FinishedRun, subject: Array) -> Loss | None:
    """Accuracy of one class; a report holds the classes in the order of their labels."""
    names = [m.of for m in run.report.measurements if is_gap(m, CLASS)]
    table = run.counted_predictions
    if table is None:
        return None
    member = np.asarray(table["label"].to_numpy() == names.index(name))
    if not member.any():
        return None
    return Loss(subject[member], 1.0, member=member, classes=len(names))


def seed_noise(run: FinishedRun, model: str, seeds: int) -> float:
    """Variance of a null's error from its seeds, as the run stored it; else the assumed one."""
    found = run.number(GAP, GAIN, model)
    variance = found.detail.get("seed_variance") if found else None
    return (ASSUMED_SEED_VARIANCE if variance is None else variance) / max(seeds, 1)
