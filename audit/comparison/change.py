"""Two finished runs, and how one quantity differs between them.

Where both runs count the same images (the same paths with the same labels, in any order) and hold
predictions on them, accuracies, gaps and gains are compared image by image: what both get right or
wrong alike cancels. Everything else is compared by its two intervals, and says so. Copies that a
run left out of its count are left out here, too.

No torch: a comparison reads what was stored, and pandas only where there are predictions.
"""

import math

import numpy as np
from numpy.typing import NDArray

from audit.comparison.per_image import Loss, loss
from audit.record import GAP, Measurement, Quantity
from audit.runs.finished import FILE, FinishedRun
from audit.stats.intervals import IMAGE_DF, paired_difference, simultaneous_quantile

EXACT = ("count", "images")  # units of which a value without an interval is the whole truth
EXACT_NOTE = "counted, not estimated"


class Change(Quantity):
    """How one quantity differs between two runs.

    Attributes:
        unit: Of all its numbers.
        before: Value in the first run, NaN where it was not measured.
        after: In the second.
        value: after - before.
        low: Lower end of its 95 % interval; NaN where there is none.
        high: Upper end.
        n: Images, or groups of near duplicates, that the difference rests on.
        paired: Whether it was taken image by image.
        note: How it was taken, or why there is no number.
    """

    unit: str
    before: float
    after: float
    value: float
    low: float
    high: float
    n: int
    paired: bool
    note: str = ""

    @property
    def same(self) -> bool:
        """Whether nothing is asked: the same null or count, equal to the last digit."""
        return self.before == self.after and self.of != "subject"


def change(what: Quantity, before: FinishedRun, after: FinishedRun) -> Change:
    """The difference of one measurement between two runs, with its 95 % interval.

    Args:
        what: The measurement. Curves, whose points share one name, are not compared.
        before: The first run.
        after: The second.

    Returns:
        NaN with a note where either run has not measured it.
    """
    a, b = before.by_name.get(what.name), after.by_name.get(what.name)
    if a is None or b is None or math.isnan(a.value) or math.isnan(b.value):
        return _missing(what, a, b, _lacking(a, b))
    if a.unit != b.unit:
        return _missing(what, a, b, f"the units differ: {a.unit} before, {b.unit} after")
    if what.check != GAP or not what.of:
        return _unpaired(a, b, "")
    reason = not_same_images(before, after)
    if reason:
        return _unpaired(a, b, reason)
    x, y = loss(a, before), loss(b, after)
    if x is None or y is None:
        return _unpaired(a, b, "")
    if not (x.gives(a.value) and y.gives(b.value)):
        return _unpaired(a, b, f"{FILE} does not give the value that report.yaml states")
    return _paired(a, b, x, y, groups(before, after))


def not_same_images(before: FinishedRun, after: FinishedRun) -> str:
    """Why two runs cannot be compared image by image; empty if they can."""
    for run, place in ((before, "first"), (after, "second")):
        if run.counted_predictions is None:
            return f"the {place} run holds no predictions"
        if run.counted_predictions.empty:
            return f"no evaluation image of the {place} run counts"
    if other_classes(before, after):
        return "the classes differ"
    a, b = before.counted_predictions, after.counted_predictions
    assert a is not None
    assert b is not None
    first, second = (run.report.facts.data.eval_digest for run in (before, after))
    if first and second and first != second:
        return "the evaluation images differ in content"
    if len(a) != len(b):
        return f"{len(a):,} evaluation images count before, {len(b):,} after"
    if not np.array_equal(a["path"].to_numpy(), b["path"].to_numpy()):
        return "the evaluation images have other names"
    if not np.array_equal(a["label"].to_numpy(), b["label"].to_numpy()):
        return "the evaluation images have other labels"
    return ""


def other_classes(before: FinishedRun, after: FinishedRun) -> bool:
    """Whether the classes differ, as far as the reports tell."""
    a, b = (run.report.facts.data.classes for run in (before, after))
    return bool(a and b) and a != b


def groups(before: FinishedRun, after: FinishedRun) -> NDArray[np.int64] | None:
    """(n,) near duplicates of either run: the grouping with fewer groups; None without any."""
    found = [
        run.counted_predictions["group"].to_numpy()
        for run in (before, after)
        if run.counted_predictions is not None and "group" in run.counted_predictions
    ]
    return min(found, key=lambda labels: len(np.unique(labels)), default=None)


def _paired(
    a: Measurement, b: Measurement, x: Loss, y: Loss, groups: NDArray[np.int64] | None
) -> Change:
    """Image by image; the smaller scale makes the least interval that of two whole images."""
    scale = min(x.scale, y.scale)
    shared = x.null is not None and y.null is not None and np.array_equal(x.null, y.null)
    noise = x.slope**2 * x.noise + y.slope**2 * y.noise
    if shared:
        noise = (x.slope - y.slope) ** 2 * max(x.noise, y.noise)
    if x.member is not None and groups is not None:
        groups = groups[x.member]
    count = len(x.values) if groups is None else len(np.unique(groups))
    t = simultaneous_quantile(x.classes, max(1.0, min(IMAGE_DF, count - 1)))
    value, low, high = paired_difference(
        x.values * scale, y.values * scale, groups, t=t, extra_variance=noise * scale**2
    )
    same = "; the null is the same in both" if shared else ""
    together = f"; the intervals of all {x.classes} classes hold together"
    return Change(
        **a.fields,
        unit=a.unit,
        before=a.value,
        after=b.value,
        value=value / scale,
        low=low / scale,
        high=high / scale,
        n=count,
        paired=True,
        note=f"paired over the same images{same}{together if x.classes > 1 else ''}",
    )


def _unpaired(a: Measurement, b: Measurement, reason: str) -> Change:
    """From the two intervals: the distances of their ends, added in quadrature.

    The method of variance estimates recovery, Zou & Donner (2008), doi:10.1002/sim.3095, equation
    for a difference of two independent estimates.
    """
    value = b.value - a.value
    exact = a.unit in EXACT or a.check == "data"
    if exact and all(math.isnan(end) for m in (a, b) for end in (m.low, m.high)):
        low = high = value
        note = EXACT_NOTE
    else:
        low = value - math.hypot(b.value - b.low, a.high - a.value)
        high = value + math.hypot(b.high - b.value, a.value - a.low)
        note = "unpaired, the two intervals in quadrature" + (f": {reason}" if reason else "")
        if math.isnan(low) or math.isnan(high):
            note = "no interval: at least one of the two has none"
    return Change(
        **a.fields,
        unit=a.unit,
        before=a.value,
        after=b.value,
        value=value,
        low=low,
        high=high,
        n=min(a.n, b.n),
        paired=False,
        note=note,
    )


def _lacking(a: Measurement | None, b: Measurement | None) -> str:
    """Where a quantity is missing, and why."""
    return "; ".join(
        (f"not measured {place}: {m.note}" if m and m.note else f"no number {place}")
        for m, place in ((a, "before"), (b, "after"))
        if m is None or math.isnan(m.value)
    )


def _missing(what: Quantity, a: Measurement | None, b: Measurement | None, note: str) -> Change:
    """A change that has no number."""
    nan, known = math.nan, a or b
    return Change(
        **what.fields,
        unit=known.unit if known else "",
        before=a.value if a else nan,
        after=b.value if b else nan,
        value=nan,
        low=nan,
        high=nan,
        n=0,
        paired=False,
        note=note,
    )
