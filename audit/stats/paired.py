"""Paired errors of a subject and one null, reduced to what the verdict needs.

Errors are 0 or 1 per image (1: the top class is wrong). A `Pair` contains plain numbers only, so
that a stored run can be judged again without its predictions.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from audit.reports.document import FrozenModel
from audit.stats.intervals import IMAGE_DF, Array, clustered, effective_count, shares

# Of a trained null with one seed: 1.0 point, which the report states. Chosen by hand: where the
# spread is 2 points, intervals over 10,000 images cover 74 % (benchmarks/verdict.md).
ASSUMED_SEED_VARIANCE = 0.01**2

# Least variance of a trained null, since 0 marks an untrained rung. Chosen by hand: 0.05 points.
SEED_FLOOR = 0.0005**2
STATUS = ("ok", "failed", "missing")

NEEDED = (
    "n",
    "groups",
    "effective",
    "error_subject",
    "error_null",
    "var_subject",
    "var_null",
    "covariance",
    "seeds",
    "seed_variance",
    "df",
    "status",
)


class Pair(FrozenModel):
    """Sufficient statistics of the subject and one null on the same evaluation images.

    Attributes:
        null: Name of the null ("bagnet-9").
        claim: Whether the null counts for the gate.
        n: Number of images.
        groups: Number of groups of near duplicates; n if there are none.
        effective: Effective sample size, corrected for groups and unequal weights (Kish): n if
            each image is its own group and all weigh the same; never more than `groups`.
        error_subject: Weighted mean error of the subject, a fraction.
        error_null: Weighted mean error of the null, averaged over its seeds, a fraction.
        var_subject: Cluster-robust variance of `error_subject` (already divided by n).
        var_null: Cluster-robust variance of `error_null` over images.
        covariance: Cluster-robust covariance of the two means.
        seeds: Number S of the null's seeds.
        seed_variance: Variance tau^2 over seeds of one seed's mean error; 0 if untrained.
        df: Degrees of freedom of `seed_variance`: S - 1 where it is the null's own.
        allowance: Accuracy U that more training might add to the null, a fraction; infinite if
            the null failed.
        status: State of the null: one that "failed" still counts against the subject, but
            nothing can pass it.
        note: Sentence for the reader, not stored in `to_detail`.
    """

    null: str
    claim: bool
    n: int
    groups: int
    effective: float
    error_subject: float
    error_null: float
    var_subject: float
    var_null: float
    covariance: float
    seeds: int
    seed_variance: float
    df: float
    allowance: float
    status: Literal["ok", "failed", "missing"] = "ok"
    note: str = ""

    def to_detail(self) -> dict[str, float]:
        """Convert to floats for `Measurement.detail`, leaving out what is not finite."""
        fields = self.model_dump(exclude={"null", "note", "status"})
        detail = {key: float(value) for key, value in fields.items()}
        detail["status"] = float(STATUS.index(self.status))
        return {key: value for key, value in detail.items() if math.isfinite(value)}

    @staticmethod
    def from_detail(name: str, detail: Mapping[str, float]) -> "Pair":
        """Read `to_detail` back; what is absent or impossible makes the null count as missing.

        Args:
            name: Name of the null.
            detail: Result of `to_detail`. An absent allowance is infinite.
        """
        get = dict.fromkeys(NEEDED, math.nan) | {"claim": 1.0, "allowance": math.inf}
        get |= detail
        needed = {key: get[key] for key in NEEDED}
        claim, code = get["claim"] != 0, get["status"]
        sound = all(map(math.isfinite, needed.values())) and code in (0, 1)
        sound = sound and all(needed[key] == int(needed[key]) for key in ("n", "groups", "seeds"))
        positive = min(needed[key] for key in NEEDED if key not in ("covariance", "status")) >= 0
        if not sound or not positive or min(get["n"], get["groups"], get["seeds"]) < 1:
            return missing_pair(name, claim=claim)
        fields: dict[str, object] = {**needed, "null": name, "claim": claim}
        fields["status"] = STATUS[int(code)]
        fields["allowance"] = _allowance(get["allowance"], code == 1)
        return Pair.model_validate(fields)


def missing_pair(null: str, *, claim: bool, note: str = "") -> Pair:
    """Describe a null that crashed or was not trained: nothing passes or fails against it."""
    fields: dict[str, object] = dict.fromkeys(NEEDED, math.nan)
    fields |= {"null": null, "claim": claim, "n": 0, "groups": 0, "seeds": 0}
    fields |= {"allowance": math.inf, "status": "missing", "note": note}
    return Pair.model_validate(fields)


class NullTraining(FrozenModel):
    """Facts about the training of a null that its errors do not contain.

    Attributes:
        allowance: Allowance U of `adequacy`, a fraction; 0 for a rung without training.
        seed_variance: Variance tau^2 pooled over the trained nulls, from `pooled_seed_variance`;
            the larger of it and the null's own is used. 0 for an untrained rung, None for the
            null's own. A trained null with one seed has at least the assumed (1.0 point)^2.
        pooled_over: Number of nulls that were pooled, with S - 1 degrees of freedom each. Where
            the null's own tau^2 is the larger, it has S - 1 alone.
        failed: Whether the null failed its training; the allowance becomes infinite.
        note: Sentence for the reader.
    """

    allowance: float
    seed_variance: float | None = None
    pooled_over: int = 1
    failed: bool = False
    note: str = ""


UNTRAINED = NullTraining(allowance=0.0, seed_variance=0.0)


def pair(
    null: str,
    errors_subject: ArrayLike,
    errors_null: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    claim: bool,
    training: NullTraining,
    weights: ArrayLike | None = None,
) -> Pair:
    """Summarise the errors of a subject and a null on the same images (docs/verdict.md).

    Args:
        null: Name of the null.
        errors_subject: Errors (n,) of the subject, 0 or 1.
        errors_null: Errors (S, n) of the null, one row per seed; (n,) for one seed.
        groups: Group labels (n,) of any kind; None if every image is a group of its own.
        claim: Whether the null counts for the gate.
        training: Facts about the null's training; `UNTRAINED` for a rung without training.
        weights: Weights (n,) of the images, for balanced accuracy (`balanced_weights`); None if
            equal. The weighted variance is taken about the weighted mean, not within classes, so
            that it never understates.

    Raises:
        ValueError: If the shapes disagree.
    """
    subject = np.asarray(errors_subject, dtype=float)  # (n,)
    nulls = np.atleast_2d(np.asarray(errors_null, dtype=float))  # (S, n)
    if subject.ndim != 1 or nulls.shape[1:] != subject.shape:
        raise ValueError(f"errors of shapes {subject.shape} and {nulls.shape} are not paired")
    if not (nulls.size and np.isfinite(subject).all() and np.isfinite(nulls).all()):
        return missing_pair(null, claim=claim, note=training.note or "no predictions")
    share = shares(weights, len(subject))
    seeds = len(nulls)
    rows = np.stack([subject, nulls.mean(0)])
    means, cov, count = clustered(rows, groups, share)
    seed_variance, pooled = _seed_variance(nulls, share, training.seed_variance)
    note = training.note
    if seeds == 1 and seed_variance > 0 and not note:
        note = "one seed: its spread is assumed to be 1.0 point"
    return Pair(
        null=null,
        claim=claim,
        n=len(subject),
        groups=count,
        effective=effective_count(groups, share),
        error_subject=float(means[0]),
        error_null=float(means[1]),
        var_subject=float(cov[0, 0]),
        var_null=float(cov[1, 1]),
        covariance=float(cov[0, 1]),
        seeds=seeds,
        seed_variance=seed_variance,
        df=float((training.pooled_over if pooled else 1) * (seeds - 1)) if seeds > 1 else IMAGE_DF,
        allowance=_allowance(training.allowance, training.failed),
        status="failed" if training.failed else "ok",
        note=note,
    )


def pooled_seed_variance(errors: Sequence[ArrayLike]) -> float:
    """Estimate the variance over seeds of one seed's mean error, beyond what images explain.

    It is averaged over the nulls: for each, the variance over seeds of the mean error, minus the
    residual of the two-way table of seeds and images divided by n, which the image variance
    already contains.

    Args:
        errors: Errors (S, n), one table per trained null. One seed carries no information.

    Returns:
        The variance tau^2 as a fraction squared; 0 without nulls (nothing was trained); the
        assumed (1.0 point)^2 if no null has two seeds.
    """
    tables = [np.atleast_2d(np.asarray(e, dtype=float)) for e in errors]
    own = [_two_way_residual(t, shares(None, t.shape[1])) for t in tables if len(t) > 1]
    if not tables:
        return 0.0
    return max(float(np.mean(own)), SEED_FLOOR) if own else ASSUMED_SEED_VARIANCE


def _seed_variance(errors: Array, share: Array, pooled: float | None) -> tuple[float, bool]:
    """Return the larger of the pooled and the null's own tau^2, and whether it is pooled."""
    if pooled == 0:
        return 0.0, True
    own = ASSUMED_SEED_VARIANCE
    if len(errors) > 1:
        own = max(_two_way_residual(errors, share), SEED_FLOOR)
    return (own, False) if pooled is None or own > pooled else (pooled, True)


def _two_way_residual(errors: Array, share: Array) -> float:
    """Estimate tau^2 of one null's weighted mean error; it may be negative.

    Args:
        errors: Errors (S, n) of at least two seeds.
        share: Weights (n,) that sum to 1.
    """
    seeds, n = errors.shape
    centred = errors - errors.mean(0)  # (S, n)
    by_seed, weight = centred @ share, share**2  # (S,) with mean 0, (n,)
    # The sum over images of weight * (centred - by_seed)^2, without another table.
    squares = (centred**2) @ weight - 2 * by_seed * (centred @ weight) + by_seed**2 * weight.sum()
    image_part = squares.sum() * n / max(n - 1, 1)
    return float(((by_seed**2).sum() - image_part) / (seeds - 1))


def _allowance(allowance: float, failed: bool) -> float:
    """Return U, at least 0; infinite where the null failed or U is unknown."""
    return math.inf if failed or math.isnan(allowance) else max(allowance, 0.0)


def needs_balanced(labels: ArrayLike, n_classes: int) -> bool:
    """Tell whether plain accuracy may flatter: a share above 2 / C, or counts threefold apart.

    Args:
        labels: Labels (n,), integers in [0, n_classes).
        n_classes: Number C of classes. A class without images counts as imbalance.
    """
    counts = np.bincount(np.asarray(labels, dtype=int), minlength=n_classes)
    return bool(counts.max() > 2 * counts.sum() / n_classes or counts.max() > 3 * counts.min())


def balanced_weights(labels: ArrayLike) -> Array:
    """Return weights (n,), summing to 1, that turn the mean error into that of the classes."""
    _, ids, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(counts) * counts[ids.reshape(-1)]), dtype=float)
