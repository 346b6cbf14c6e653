"""States of a null on the evaluation images, reduced to plain numbers for the gain rule.

A null is the average of its S networks' logits, and S is part of its definition. At each budget it
has a *state*: finished ensembles at the whole, a half and a quarter of that budget (closed form:
all filters, a half and a quarter of them), all predicted on the evaluation images. `reduce_state`
turns the errors of one state into a `NullRecord` of plain numbers, from which every contrast that
the rule reads follows for any limit, so that a stored report can be judged again without its
predictions. Errors are 0 or 1 per image (1: the top class is wrong).
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.reports.document import FrozenModel
from audit.stats.intervals import (
    Array,
    clustered,
    effective_count,
    group_ids,
    paired_difference,
    shares,
)

KINDS = ("untrained", "trained", "stack", "imported")
CLAIMS = ("", "bag", "place")
STATUSES = ("ok", "failed", "missing")
POINTS = ("subject", "whole", "half", "quarter")  # what contrasts are made of, in this order
KAPPA = 2.0  # covers learning curves with exponents of 0.29 and more: 4^0.2925 = 1 + 1 / 2
FLOOR_ERRORS = 1.6  # standard errors by which a null must fall short of its floor
Row = tuple[float, ...]
Matrix = tuple[Row, ...]


class NullTerms(FrozenModel):
    """Facts about one null and its current state that its errors do not contain.

    Attributes:
        null: Name of the null ("bagnet-9").
        kind: "untrained" (linear or closed form, one state), "trained" (networks), "stack", or
            "imported" (published networks, no learning curve).
        claim: What a patch null is blind to: "bag" (the place of its patches), "place" (their
            arrangement, but it is given the place), or "" for other nulls.
        full_scale: Whether the null sees the image at the size at which the model sees it.
        state: Number of the current budget, from 1 to J.
        networks: Number S of averaged networks; 1 for nulls without networks.
        unseen: Share h of the training images that each network did not see; 0 after a refit.
        training_error: Error on training-side images (held-out or leave-one-out); NaN if unknown.
        status: "failed" nulls still count against the model, but nothing passes them.
        below_floor: Whether the null is less accurate than its closed-form floor (`below_floor`).
        note: Sentence for the reader, not stored in `to_detail`.
    """

    null: str
    kind: Literal["untrained", "trained", "stack", "imported"]
    claim: Literal["", "bag", "place"] = ""
    full_scale: bool = True
    state: int = 1
    networks: int = 1
    unseen: float = 0.0
    training_error: float = math.nan
    status: Literal["ok", "failed", "missing"] = "ok"
    below_floor: bool = False
    note: str = ""


class NullRecord(FrozenModel):
    """Sufficient statistics of the subject and one state of one null, on the same images.

    Attributes:
        terms: Facts about the null and its state.
        n: Number of images.
        groups: Number of groups of near duplicates; n if there are none.
        effective: Effective sample size, corrected for groups and unequal weights (Kish).
        even: Whether all images weigh the same.
        means: Mean errors of subject, whole, half and quarter; NaN where there is no curve.
        covariance: Cluster-robust covariance (4, 4) of these means (already divided by n).
        seeds: Two-way residual (3, 3) of single networks at whole, half and quarter: covariance
            of their mean errors beyond what the images explain. NaN if not known.
        only_null: Number of groups whose first image the null alone gets wrong.
        only_subject: Number of groups whose first image the subject alone gets wrong.
        both: Number of groups whose first image both get wrong.
        discordant: Effective number of discordant groups (Kish); `only_null + only_subject` if
            all images weigh the same.
    """

    terms: NullTerms
    n: int
    groups: int
    effective: float
    even: bool
    means: Row
    covariance: Matrix
    seeds: Matrix
    only_null: int
    only_subject: int
    both: int
    discordant: float

    @property
    def measured(self) -> bool:
        """Whether the null in hand has numbers."""
        return self.terms.status != "missing" and math.isfinite(self.means[0] + self.means[1])

    @property
    def has_curve(self) -> bool:
        """Whether errors at a half and a quarter of the budget are known."""
        return math.isfinite(self.means[2] + self.means[3])

    def to_detail(self) -> dict[str, float]:
        """Convert to floats for `Measurement.detail`, leaving out what is not finite."""
        terms = self.terms.model_dump(exclude={"null", "note"})
        terms["kind"] = KINDS.index(self.terms.kind)
        terms["claim"] = CLAIMS.index(self.terms.claim)
        terms["status"] = STATUSES.index(self.terms.status)
        plain = self.model_dump(exclude={"terms", "means", "covariance", "seeds"})
        detail = {key: float(value) for key, value in (terms | plain).items()}
        detail |= {f"mean.{point}": self.means[i] for i, point in enumerate(POINTS)}
        detail |= {f"cov.{a}.{b}": self.covariance[i][j] for i, j, a, b in _places(0)}
        detail |= {f"seed.{a}.{b}": self.seeds[i - 1][j - 1] for i, j, a, b in _places(1)}
        return {key: value for key, value in detail.items() if math.isfinite(value)}

    @staticmethod
    def from_detail(name: str, detail: Mapping[str, float]) -> "NullRecord":
        """Read `to_detail` back; what is absent or impossible makes the null count as missing.

        Args:
            name: Name of the null.
            detail: Result of `to_detail`. Numbers of a curve may be absent.
        """
        get = dict(detail)
        try:
            fields: dict[str, object] = {key: get[key] for key in _FACTS}
            fields["training_error"] = get.get("training_error", math.nan)
            chosen = {
                "kind": dict(enumerate(KINDS))[int(get["kind"])],
                "claim": dict(enumerate(CLAIMS))[int(get["claim"])],
                "status": dict(enumerate(STATUSES))[int(get["status"])],
            }
            terms = NullTerms.model_validate({**fields, **chosen, "null": name})
            found = NullRecord.model_validate({
                **{key: get[key] for key in _PLAIN},
                "terms": terms,
                "means": [get.get(f"mean.{point}", math.nan) for point in POINTS],
                "covariance": _matrix(get, "cov", 0),
                "seeds": _matrix(get, "seed", 1),
            })  # fmt: skip
        except (KeyError, ValueError, OverflowError):
            return missing_record(NullTerms(null=name, kind="trained"))
        return found if _possible(found) else missing_record(terms)


_FACTS = ("full_scale", "state", "networks", "unseen", "below_floor")
_PLAIN = ("n", "groups", "effective", "even", "only_null", "only_subject", "both", "discordant")


class StateErrors(NamedTuple):
    """Errors of one state of a null on the evaluation images, 0 or 1.

    Attributes:
        whole: Errors (n,) of the averaged ensemble at the whole budget.
        half: Errors (n,) at half of the budget; None without a learning curve.
        quarter: Errors (n,) at a quarter of the budget; None without a learning curve.
        networks: Errors (S, 3, n) of the single networks at the whole, a half and a quarter of the
            budget; None if they are not known.
    """

    whole: ArrayLike
    half: ArrayLike | None = None
    quarter: ArrayLike | None = None
    networks: ArrayLike | None = None


def reduce_state(
    terms: NullTerms,
    subject: ArrayLike,
    errors: StateErrors,
    groups: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
) -> NullRecord:
    """Summarise the errors of the subject and one state of a null on the same images.

    Args:
        terms: Facts about the null.
        subject: Errors (n,) of the subject, 0 or 1.
        errors: Errors of the null's state.
        groups: Group labels (n,) of any kind; None if every image is a group of its own.
        weights: Weights (n,) of the images, for balanced accuracy (`balanced_weights`); None if
            equal.

    Raises:
        ValueError: If the shapes disagree.
    """
    audited = np.asarray(subject, dtype=float)  # (n,)
    given = [audited, *(_row(e, audited.shape) for e in errors[:3])]
    curve = errors.half is not None and errors.quarter is not None
    rows = np.stack(given if curve else given[:2])  # (4 or 2, n)
    if not (rows.size and np.isfinite(rows).all()) or terms.status == "missing":
        return missing_record(terms)
    share = shares(weights, len(audited))
    means, covariance, count = clustered(rows, groups, share)
    first, even = _first(groups, len(audited)), bool(np.ptp(share) <= 1e-9 * share.max())
    wrong, null = audited[first] > 0.5, rows[1, first] > 0.5
    apart = (1.0 if even else share[first]) * (wrong != null)
    return NullRecord(
        terms=terms,
        n=len(audited),
        groups=count,
        effective=effective_count(groups, share),
        even=even,
        means=_padded(means),
        covariance=_square(covariance, 4),
        seeds=_square(_residual(errors.networks, groups, share), 3),
        only_null=int((null & ~wrong).sum()),
        only_subject=int((wrong & ~null).sum()),
        both=int((wrong & null).sum()),
        discordant=float(apart.sum() ** 2 / (apart**2).sum()) if apart.any() else 0.0,
    )  # fmt: skip


def missing_record(terms: NullTerms) -> NullRecord:
    """Describe a null without numbers: nothing passes or fails against it."""
    return NullRecord(
        terms=terms.model_copy(update={"status": "missing"}),
        n=0,
        groups=0,
        effective=0.0,
        even=True,
        means=(math.nan,) * 4,
        covariance=_square(np.empty((0, 0)), 4),
        seeds=_square(np.empty((0, 0)), 3),
        only_null=0,
        only_subject=0,
        both=0,
        discordant=0.0,
    )


def below_floor(
    whole: ArrayLike, quarter: ArrayLike, floor: ArrayLike, groups: ArrayLike | None = None
) -> bool:
    """Tell whether a null falls short of its closed-form floor on training-side images.

    The null has its margin: kappa times what the last two doublings brought. It falls short if the
    floor is better even so, by 1.6 standard errors of the paired difference.

    Args:
        whole: Errors (n,) of the null at its whole budget, on held-out images.
        quarter: Errors (n,) at a quarter of it.
        floor: Errors (n,) of the closed-form null of the same patches, on the same images.
        groups: Group labels (n,); None if every image is a group of its own.
    """
    last, first = (np.asarray(e, dtype=float) for e in (whole, quarter))
    margin = KAPPA * max(0.0, float((first - last).mean()))
    short, low, _ = paired_difference(last, floor, groups, t=FLOOR_ERRORS)
    return low - margin > 0 and math.isfinite(short)


def _row(errors: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    row = np.full(shape, math.nan) if errors is None else np.asarray(errors, dtype=float)
    if row.ndim != 1 or row.shape != shape:
        raise ValueError(f"errors of shapes {shape} and {row.shape} are not paired")
    return row


def _residual(networks: ArrayLike | None, groups: ArrayLike | None, share: Array) -> Array:
    """Estimate the covariance (3, 3) over networks of their mean errors, without the images' part.

    The sum of squares of the means over networks, less the cluster-robust variance that the images
    alone give them. A contrast of the three points has the residual v' R v, which may be negative.
    """
    if networks is None:
        return np.full((3, 3), math.nan)
    table = np.asarray(networks, dtype=float)  # (S, 3, n)
    if table.ndim != 3 or table.shape[1:] != (3, len(share)):
        raise ValueError(f"errors of single networks have shape {table.shape}, not (S, 3, n)")
    if len(table) < 2:
        return np.full((3, 3), math.nan)
    centred = (table - table.mean(0)).reshape(-1, len(share))
    means, covariance, _ = clustered(centred, groups, share)
    by_network = means.reshape(-1, 3)  # (S, 3)
    of_images = sum(covariance[i : i + 3, i : i + 3] for i in range(0, len(centred), 3))
    return (by_network.T @ by_network - of_images) / (len(table) - 1)


def _first(groups: ArrayLike | None, n: int) -> NDArray[np.intp]:
    """Return the index of the first image of every group."""
    if groups is None:
        return np.arange(n)
    return np.unique(group_ids(groups, n)[0], return_index=True)[1]


def _padded(values: Array) -> Row:
    """Return the four means, NaN where there is no curve."""
    return (*values.tolist(), *[math.nan] * (4 - len(values)))


def _square(matrix: Array, size: int) -> Matrix:
    """Return a square matrix as nested tuples, padded with NaN."""
    full = np.full((size, size), math.nan)
    full[: len(matrix), : len(matrix)] = matrix
    return tuple(map(tuple, full.tolist()))


def _places(start: int) -> list[tuple[int, int, str, str]]:
    """List the upper triangle of a matrix over the points: indices and names."""
    return [(i, j, POINTS[i], POINTS[j]) for i in range(start, 4) for j in range(i, 4)]


def _matrix(detail: Mapping[str, float], stem: str, start: int) -> list[list[float]]:
    full = np.full((4, 4), math.nan)
    for i, j, a, b in _places(start):
        full[i, j] = full[j, i] = detail.get(f"{stem}.{a}.{b}", math.nan)
    return full[start:, start:].tolist()


def _possible(record: NullRecord) -> bool:
    """Tell whether numbers read from a report can be those of a null."""
    terms, pair = record.terms, [record.covariance[i][j] for i in (0, 1) for j in (0, 1)]
    counts = (record.only_null, record.only_subject, record.both)
    return (
        record.measured
        and all(map(math.isfinite, [*pair, record.effective, record.discordant]))
        and min(record.n, record.groups, terms.state, terms.networks) >= 1
        and min(*counts, pair[0], pair[3], record.effective, record.discordant, terms.unseen) >= 0
        and max(record.means[:2]) <= 1
        and min(record.means[:2]) >= 0
        and sum(counts) <= record.groups <= record.n
        and terms.unseen < 1
    )
