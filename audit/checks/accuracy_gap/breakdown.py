"""Which images: those that only the subject gets right, and the subject class by class."""

import numpy as np
from numpy.typing import NDArray

from audit.checks.accuracy_gap.report import NAME
from audit.evidence.case import Case
from audit.record import Measurement, title_of
from audit.stats.intervals import (
    paired_difference,
    proportion_interval,
    quantile,
    simultaneous_quantile,
)
from audit.stats.paired import UNTRAINED, Pair, pair, pooled_seed_variance


def together(
    case: Case, null: NDArray[np.float64], subject: NDArray[np.float64], name: str
) -> list[Measurement]:
    """Shares of the images that both, only one or neither of subject and null get right.

    Args:
        case: For the groups.
        null: (S, n) errors; the shares are means over its seeds.
        subject: (n,) errors.
        name: The null's.
    """
    wrong = null.mean(axis=0)  # (n,)
    members = {
        "both_right": (1 - subject) * (1 - wrong),
        "only_subject_right": (1 - subject) * wrong,
        "only_null_right": subject * (1 - wrong),
        "both_wrong": subject * wrong,
    }
    found = []
    for quantity, member in members.items():
        n, value = len(member), float(member.mean())
        low, high = proportion_interval(member.sum(), n)
        means = pair("", member, member, case.groups, claim=False, training=UNTRAINED)
        half = quantile(max(1.0, min(60.0, means.groups - 1))) * means.var_subject**0.5
        found.append(
            Measurement(
                check=NAME,
                quantity=quantity,
                of=name,
                value=value,
                unit="fraction",
                low=max(0.0, min(low, value - half)),
                high=min(1.0, max(high, value + half)),
                n=n,
                note=f"mean over {len(null)} seeds; the interval holds the images' part alone"
                if len(null) > 1
                else "",
            )
        )
    return found


def halves(
    case: Case, null: NDArray[np.float64], subject: NDArray[np.float64], name: str
) -> list[Measurement]:
    """Accuracy of the subject where the strongest null is wrong, and where it is right already."""
    found = []
    for half, member in (("wrong", null == 1), ("right", null == 0)):
        n, right = int(member.sum()), float((1 - subject[member]).sum())
        low, high = proportion_interval(right, n)
        found.append(
            Measurement(
                check=NAME,
                quantity=f"null_{half}",
                of="subject",
                value=right / n if n else float("nan"),
                unit="fraction",
                low=low,
                high=high,
                n=n,
                note=f"images that {title_of(name)} gets {half}",
            )
        )
    return found


def per_class(
    case: Case, null: NDArray[np.float64], subject: NDArray[np.float64], pair: Pair
) -> list[Measurement]:
    """Accuracy of the subject and gap over the strongest null, class by class.

    The intervals hold for all classes together (Bonferroni). A class with fewer than two
    independent images is NaN, so that a limit on every class cannot be passed without it.

    Args:
        case: For labels, groups and classes.
        null: (S, n) errors of the strongest null.
        subject: (n,) errors.
        pair: Of the two, for the null's seed variance.
    """
    found, count = [], len(case.setup.classes)
    together = f"the intervals of all {count} classes hold together"
    for label, title in enumerate(case.setup.classes):
        member = case.labels == label
        wrong, others, groups = subject[member], null[:, member], case.groups[member]
        n, independent = len(wrong), len(np.unique(groups))
        rows = {"accuracy": (float("nan"),) * 3, "gap": (float("nan"),) * 3}
        note = f"{independent} independent evaluation images, 2 are needed"
        if independent > 1:
            t = simultaneous_quantile(count, min(60.0, independent - 1))
            seeds = max(pair.seed_variance, pooled_seed_variance([others])) / pair.seeds
            extra = seeds if pair.seed_variance > 0 else 0.0
            rows["accuracy"], note = class_accuracy(wrong, groups, t, 1 - 0.05 / count), together
            rows["gap"] = paired_difference(others, wrong, groups, t=t, extra_variance=extra)
        for quantity, (value, low, high) in rows.items():
            found.append(
                Measurement(
                    check=NAME,
                    quantity=f"class_{quantity}",
                    of=title,
                    value=value,
                    unit="fraction" if quantity == "accuracy" else "points",
                    low=low,
                    high=high,
                    n=n,
                    note=note if quantity == "accuracy" else f"over {title_of(pair.null)}; {note}",
                )
            )
    return found


def class_accuracy(
    errors: NDArray[np.float64], groups: NDArray[np.int64], t: float, level: float
) -> tuple[float, float, float]:
    """Accuracy on one class: the wider of Wilson's interval and the cluster-robust one.

    Args:
        errors: (n,) of its images.
        groups: (n,) equal for near duplicates.
        t: Quantile of the cluster-robust interval.
        level: Of Wilson's.
    """
    n = len(errors)
    lost, low, high = paired_difference(errors, np.zeros(n), groups, t=t)
    wilson = proportion_interval(n - errors.sum(), n, level)
    return 1 - lost, max(0.0, min(wilson[0], 1 - high)), min(1.0, max(wilson[1], 1 - low))
