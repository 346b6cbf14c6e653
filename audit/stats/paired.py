"""What an audit keeps of the paired errors of a subject and one null.

Errors are 0 or 1 per image (1: the top class is wrong). A `Pair` holds all that the verdict
needs, as plain numbers, so that a stored run can be judged again without its predictions.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from audit.reports.document import FrozenModel
from audit.stats.intervals import (
    IMAGE_DF,
    Array,
    clustered,
    effective_count,
    shares,
)

ASSUMED_SEED_VARIANCE = 0.01**2  # of a trained null with one seed: 1.0 point, stated

SEED_FLOOR = 0.0005**2  # a trained null is never certain: 0 marks an untrained rung

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
        claim: Whether it counts for the gate.
        n: Images.
        groups: Groups of near duplicates; n if there are none.
        effective: Independent images, corrected for groups and unequal weights (Kish): n if each
            stands alone and all weigh the same; never more than `groups`.
        error_subject: Weighted mean error of the subject, a fraction.
        error_null: Likewise of the null, averaged over its seeds.
        var_subject: Cluster-robust variance of `error_subject` (already divided by n).
        var_null: Likewise of `error_null`, its image part.
        covariance: Likewise, of the two means.
        seeds: S, the null's seeds.
        seed_variance: tau^2, variance over seeds of one seed's mean error; 0 if untrained.
        df: Degrees of freedom behind `seed_variance`: S - 1 where it is the null's own.
        allowance: U, what the null's training may have left undone, a fraction; infinite if
            the null failed.
        status: "failed" still counts against the subject, but nothing can pass it.
        note: One sentence, not stored in `to_detail`.
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
        """As floats, for `Measurement.detail`; what is not finite is left out."""
        fields = self.model_dump(exclude={"null", "note", "status"})
        detail = {key: float(value) for key, value in fields.items()}
        detail["status"] = float(STATUS.index(self.status))
        return {key: value for key, value in detail.items() if math.isfinite(value)}

    @staticmethod
    def from_detail(name: str, detail: Mapping[str, float]) -> "Pair":
        """Read `to_detail` back. Fails closed: what is absent or impossible counts as missing.

        Args:
            name: The null's name.
            detail: From `to_detail`; an absent allowance is infinite.
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
    """A null that crashed or was not trained: nothing passes it, nothing fails against it."""
    fields: dict[str, object] = dict.fromkeys(NEEDED, math.nan)
    fields |= {"null": null, "claim": claim, "n": 0, "groups": 0, "seeds": 0}
    fields |= {"allowance": math.inf, "status": "missing", "note": note}
    return Pair.model_validate(fields)


def pair(
    null: str,
    errors_subject: ArrayLike,
    errors_null: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    claim: bool,
    allowance: float,
    seed_variance: float | None = None,
    trained_nulls: int = 1,
    weights: ArrayLike | None = None,
    failed: bool = False,
    note: str = "",
) -> Pair:
    """Summarise the errors of a subject and a null on the same images (docs/verdict.md).

    Args:
        null: Its name.
        errors_subject: (n,), 0 or 1.
        errors_null: (S, n), one row a seed; (n,) is one seed.
        groups: (n,) labels of any kind that belong together; None: every image on its own.
        claim: Whether the null counts for the gate.
        allowance: U of `adequacy`, a fraction; 0 for a rung without training.
        seed_variance: tau^2 pooled over the trained nulls, from `pooled_seed_variance`; the
            larger of it and the null's own is used. Exactly 0: an untrained rung. None: own.
            A trained null with one seed has at least the assumed (1.0 point)^2.
        trained_nulls: How many nulls were pooled; gives (S - 1) degrees of freedom each. Where
            the null's own tau^2 is the larger there are only its own.
        weights: (n,) of each image, for balanced accuracy (`balanced_weights`); None: equal.
            The weighted variance is taken about the weighted mean, not within classes: it
            never understates.
        failed: Whether the null failed its training; the allowance becomes infinite.
        note: One sentence for the reader.

    Raises:
        ValueError: If the shapes disagree.
    """
    subject = np.asarray(errors_subject, dtype=float)  # (n,)
    nulls = np.atleast_2d(np.asarray(errors_null, dtype=float))  # (S, n)
    if subject.ndim != 1 or nulls.shape[1:] != subject.shape:
        raise ValueError(f"errors of shapes {subject.shape} and {nulls.shape} are not paired")
    if not (nulls.size and np.isfinite(subject).all() and np.isfinite(nulls).all()):
        return missing_pair(null, claim=claim, note=note or "no predictions")
    share = shares(weights, len(subject))
    seeds = len(nulls)
    rows = np.stack([subject, nulls.mean(0)])
    means, cov, count = clustered(rows, groups, share)
    seed_variance, pooled = _seed_variance(nulls, share, seed_variance)
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
        df=float((trained_nulls if pooled else 1) * (seeds - 1)) if seeds > 1 else IMAGE_DF,
        allowance=_allowance(allowance, failed),
        status="failed" if failed else "ok",
        note=note,
    )


def pooled_seed_variance(errors: Sequence[ArrayLike]) -> float:
    """Variance over seeds of the mean error of one seed, beyond what the images explain.

    For each null the variance over seeds of the mean error, less the residual of the two-way
    table seeds x images divided by n (which the image variance already holds); averaged over
    the nulls.

    Args:
        errors: One (S, n) array a trained null. Those with one seed carry no information.

    Returns:
        tau^2 as a fraction squared; 0 without nulls (nothing was trained); the assumed
        (1.0 point)^2 if no null has two seeds.
    """
    tables = [np.atleast_2d(np.asarray(e, dtype=float)) for e in errors]
    own = [_two_way_residual(t, shares(None, t.shape[1])) for t in tables if len(t) > 1]
    if not tables:
        return 0.0
    return max(float(np.mean(own)), SEED_FLOOR) if own else ASSUMED_SEED_VARIANCE


def _seed_variance(errors: Array, share: Array, pooled: float | None) -> tuple[float, bool]:
    """The larger of the pooled and the null's own tau^2, and whether it is the pooled one."""
    if pooled == 0:
        return 0.0, True
    own = ASSUMED_SEED_VARIANCE
    if len(errors) > 1:
        own = max(_two_way_residual(errors, share), SEED_FLOOR)
    return (own, False) if pooled is None or own > pooled else (pooled, True)


def _two_way_residual(errors: Array, share: Array) -> float:
    """tau^2 of one null's weighted mean error, S > 1; may be negative.

    Args:
        errors: (S, n).
        share: (n,) weights that sum to 1.
    """
    seeds, n = errors.shape
    centred = errors - errors.mean(0)  # (S, n)
    by_seed, weight = centred @ share, share**2  # (S,) with mean 0, (n,)
    # The sum over images of weight * (centred - by_seed)^2, without another table.
    squares = (centred**2) @ weight - 2 * by_seed * (centred @ weight) + by_seed**2 * weight.sum()
    image_part = squares.sum() * n / max(n - 1, 1)
    return float(((by_seed**2).sum() - image_part) / (seeds - 1))


def _allowance(allowance: float, failed: bool) -> float:
    """U; infinite where the null failed or U is unknown."""
    return math.inf if failed or math.isnan(allowance) else max(allowance, 0.0)


def needs_balanced(labels: ArrayLike, n_classes: int) -> bool:
    """Whether plain accuracy may flatter: one share above 2 / C, or counts threefold apart.

    Args:
        labels: (n,) integers in [0, n_classes).
        n_classes: C. A class without images counts as imbalance.
    """
    counts = np.bincount(np.asarray(labels, dtype=int), minlength=n_classes)
    return bool(counts.max() > 2 * counts.sum() / n_classes or counts.max() > 3 * counts.min())


def balanced_weights(labels: ArrayLike) -> Array:
    """(n,) weights with which the mean error is the mean of the class errors; they sum to 1."""
    _, ids, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(counts) * counts[ids.reshape(-1)]), dtype=float)
