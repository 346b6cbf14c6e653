"""Transfer fragility: do the model's layers work only together?

What it measures:
    The model is cut at several depths. BnB keeps the layers before the cut frozen and learns fresh
    ones behind it on the same data; BnB+ lets all of them learn. Co-adaptation at a cut is BnB+
    minus BnB, on the same evaluation images.

Why it matters:
    Neighbouring layers that are co-adapted cannot be found again by learning one side alone. The
    model then depends on details of its own training, and breaks when it is fine-tuned or adapted.

How it can mislead:
    - All networks of the curve learn from fewer images and steps than the model did. So the cut
      before the classifier must return to the model's accuracy within 1 point and BnB+ within 2;
      otherwise the curve says little, and co-adaptation is not measured.
    - A frozen prefix with fresh weights is drawn beside it: that much needs no learned layers.
    - One seed of the fresh layers. The intervals hold the images' part of the variance only.

References:
    Yosinski et al. (2014), NeurIPS, arXiv:1411.1792
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audit import requests
from audit.case import Case, CutPoint, NotMeasured, Setup
from audit.record import Finding, Measurement
from audit.stats import paired_difference, simultaneous_quantile
from audit.work import Job
from reports.text import interval, number
from reports.words import Chart, Picture, Role, Section, Series

NAME = "transfer"
MODES = {
    "frozen": "BnB: frozen",
    "tuned": "BnB+: all learn",
    "untrained": "fresh, frozen",
}
ROLES: dict[str, Role] = {"frozen": "subject", "tuned": "control", "untrained": "untrained"}
NO_TRAINING = "it needs the training images, which a folder of nulls does not hold"
HEAD_RETURNS, TUNED_RETURNS = 0.01, 0.02  # how far from the model the controls may end


def needs(setup: Setup) -> tuple[Job, ...]:
    """Three networks a cut, and the model itself."""
    jobs = [requests.transfer(setup, cut, mode) for cut in setup.cuts for mode in MODES]
    return (requests.facts(setup), requests.subject_outputs(setup), *jobs) if jobs else ()


def measure(case: Case) -> list[Measurement]:
    """Accuracy of every network of the curve, and co-adaptation at every cut."""
    if not case.setup.cuts and case.setup.training_images:
        return []
    base = case.errors(requests.subject_outputs(case.setup))
    if not case.setup.training_images:
        return [point("base", base, base, case, 0.0, NO_TRAINING)]
    found = [point("base", base, base, case, 0.0)]
    reached: dict[tuple[str, str], NDArray[np.float64]] = {}
    missing: dict[str, str] = {}
    for cut in case.setup.cuts:
        for mode in MODES:
            try:
                errors, note = network(case, cut, mode)
            except NotMeasured as reason:
                missing.setdefault(cut.name, f"{MODES[mode]}: {reason}")
                continue
            reached[cut.name, mode] = errors
            found.append(point(f"{mode}.{cut.name}", errors, base, case, cut.depth, note))
    missing |= controls([c for c in case.setup.cuts if c.name not in missing], reached, base)
    for cut in case.setup.cuts:
        found.append(coadaptation(case, cut, reached, missing.get(cut.name, "")))
    return found


def network(case: Case, cut: CutPoint, mode: str) -> tuple[NDArray[np.float64], str]:
    """Errors of one network of the curve (n,), and how it was trained.

    Raises:
        NotMeasured: If it could not be trained.
    """
    outcome = case.result(requests.transfer(case.setup, cut, mode))
    if "errors" not in outcome.arrays:
        raise NotMeasured(outcome.values["reason"])
    values = outcome.values
    note = f"{values['images']} training images, {values['seen']} seen, rate {values['rate']:g}"
    return outcome.arrays["errors"], note


def point(
    name: str,
    errors: NDArray[np.float64],
    base: NDArray[np.float64],
    case: Case,
    depth: float,
    note: str = "",
) -> Measurement:
    """Accuracy of one network of the curve."""
    zero = np.zeros_like(errors)
    lost, low, high = paired_difference(errors, zero, case.groups)
    return Measurement(
        name=f"{NAME}.{name}",
        value=1 - lost,
        unit="fraction",
        low=max(0.0, 1 - high),
        high=min(1.0, 1 - low),
        n=len(errors),
        at=depth,
        note=note,
        detail={"base_minus_this": float(errors.mean() - base.mean())},
    )


def controls(
    cuts: Sequence[CutPoint],
    reached: dict[tuple[str, str], NDArray[np.float64]],
    base: NDArray[np.float64],
) -> dict[str, str]:
    """Why a cut cannot be trusted, by its name; absent if its controls hold.

    BnB+ must return to the model at each cut; the classifier learned anew must for all of them.
    """
    trouble: dict[str, str] = {}
    for cut in cuts:
        lost = float(reached[cut.name, "tuned"].mean() - base.mean())
        if lost > TUNED_RETURNS:
            trouble[cut.name] = (
                f"BnB+ at {cut.name} ends {100 * lost:.1f} points below the model (2 are allowed): "
                "the retraining budget is too small to tell"
            )
    for cut in cuts:
        lost = float(reached[cut.name, "frozen"].mean() - base.mean())
        if cut.head and lost > HEAD_RETURNS:
            reason = (
                f"learning only the classifier anew ends {100 * lost:.1f} points below the model "
                "(1 is allowed): the retraining budget is too small to tell"
            )
            return {c.name: reason for c in cuts}
    return trouble


def coadaptation(
    case: Case,
    cut: CutPoint,
    reached: dict[tuple[str, str], NDArray[np.float64]],
    trouble: str,
) -> Measurement:
    """BnB+ minus BnB, paired, with an interval that holds for all cuts together."""
    name, n = f"{NAME}.coadaptation.{cut.name}", len(case.labels)
    both = [reached.get((cut.name, mode)) for mode in ("frozen", "tuned")]
    if trouble or both[0] is None or both[1] is None:
        return Measurement(
            name=name,
            value=float("nan"),
            unit="points",
            n=n,
            note=trouble,
            at=cut.depth,
        )
    value, low, high = paired_difference(both[0], both[1], case.groups)
    widen = simultaneous_quantile(len(case.setup.cuts)) / simultaneous_quantile(1)
    return Measurement(
        name=name,
        value=value,
        unit="points",
        low=value - widen * (value - low),
        high=value + widen * (high - value),
        n=n,
        at=cut.depth,
    )


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the curve into words; see `audit.checks.Check`."""
    curve = [m for m in measurements if m.name.split(".")[1] in MODES]
    drops = [m for m in measurements if m.name.startswith(f"{NAME}.coadaptation.")]
    measured = [m for m in drops if m.value == m.value]
    left_out = [m for m in drops if m.value != m.value]
    if measured:
        worst = max(measured, key=lambda m: m.value)
        summary = (
            f"Freezing the earlier layers and learning the rest anew costs at most "
            f"{number(worst.value, 'points')} ({interval(worst.low, worst.high, 'points')}, for "
            f"all cuts together), at {worst.name.split('.', 2)[2]}."
        )
        if left_out:
            summary += (
                f" At {len(left_out)} of {len(drops)} cuts it was not measured: {left_out[0].note}."
            )
    elif drops:
        summary = f"Co-adaptation was not measured: {drops[0].note}."
    elif any(m.note == NO_TRAINING for m in measurements):
        summary = f"Not measured: {NO_TRAINING}."
    else:
        summary = "Not measured: the model could not be cut, or the profile leaves it out."
    return Section(
        name=NAME,
        title="Do the layers work only together?",
        verdict=None,
        summary=summary,
        rows=tuple(
            {
                "network": ".".join(m.name.split(".")[1:]),
                "relative depth": None if m.at is None else round(m.at, 3),
                "value": number(m.value, m.unit),
                "95 % interval": interval(m.low, m.high, m.unit),
                "model minus this": number(m.detail["base_minus_this"], "points")
                if "base_minus_this" in m.detail
                else None,
                "n": m.n,
                "note": m.note,
            }
            for m in measurements
        ),
        charts=(curve_chart(curve, measurements),) if curve else (),
        pictures=tuple(pictures),
        caveats=(
            "All networks of the curve learn from fewer images and steps than the model did. If "
            "learning only the classifier anew does not return to the model's accuracy within 1 "
            "point, or BnB+ within 2, co-adaptation is not measured.",
            "One seed of the fresh layers: the intervals hold the images' part of the variance.",
            "A drop says that layers depend on each other, not that the model is wrong.",
        ),
        references=("Yosinski et al. (2014), NeurIPS, arXiv:1411.1792",),
    )


def curve_chart(curve: Sequence[Measurement], measurements: Sequence[Measurement]) -> Chart:
    """Accuracy of the three kinds of network against the depth of the cut."""
    series = []
    for mode, title in MODES.items():
        points = [m for m in curve if m.name.split(".")[1] == mode and m.at is not None]
        series.append(
            Series(
                name=title,
                role=ROLES[mode],
                x=tuple(m.at for m in points if m.at is not None),
                y=tuple(m.value for m in points),
                low=tuple(m.low for m in points),
                high=tuple(m.high for m in points),
            )
        )
    base = next((m for m in measurements if m.name == f"{NAME}.base"), None)
    return Chart(
        title="Accuracy after the layers behind a cut were learned anew",
        description="For each cut, by the share of computation before it: accuracy with the layers "
        "before it frozen (BnB), with all layers learning (BnB+), and, as a control, with a frozen "
        "prefix of fresh weights.",
        kind="line",
        x_label="depth of the cut (share of multiply-adds before it)",
        y_label="accuracy",
        series=tuple(series),
        limits=((base.value, "the model as it is"),) if base else (),
        percent=True,
    )
