"""Position: does it pay to know where things are?

What it measures:
    Accuracy of CoordConv-q minus that of its circular twin, which is the same network without the
    coordinates and exactly blind to position; and what relocating every image (a roll by a quarter
    of the side or more, along both axes) costs CoordConv-q, the twin and the model.

Why it matters:
    Labels that leak through absolute position (a scanner's mark, a ruler, a centred object) make a
    model look able until things move.

How it can mislead:
    - An un-padded BagNet is not blind to position: its patches do not cross the border.
    - Rolling brings the left edge beside the right one, a content the model has never seen; its
      cost is therefore only evidence together with that of the twin.
    - "Not shown" is not "absent".

References:
    Liu et al. (2018), NeurIPS, arXiv:1807.03247
    Islam et al. (2020), ICLR, arXiv:2001.08248
    Kayhan & van Gemert (2020), CVPR, arXiv:2003.07064
"""

import math
from collections.abc import Sequence

from audit.evidence import null_errors as predictions
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.null_errors import Errors, read_ladder
from audit.evidence.setup import Setup
from audit.jobs.job import Job
from audit.jobs.kind import Kind
from audit.record import (
    About,
    Finding,
    Measurement,
    Quantity,
    by_quantity,
    exactly,
    role_of,
    title_of,
)
from audit.reports.document import Chart, Picture, Section, dot
from audit.reports.text import interval, number
from audit.stats.intervals import paired_difference

NAME = "position"
CLAIMED = Quantity(check=NAME, quantity="claimed")
LIMIT = 0.01  # one point, on each of the four tests
KINDS: dict[str, Kind] = {}
NAMES = {
    "effect": About("what knowing the position adds to a blind model"),
    "relocation.<model>": About("what relocating every image costs a model"),
    "claimed": About("1 if position was shown to explain more than 1 point, else 0"),
}
LIMITS = """
  # Position: 1 if absolute position was shown to explain more than 1 point, else 0.
  position:
    measure: "position.claimed"
    at_most: 0
    severity: warn
    optional: true
    statement: "absolute position was not shown to explain more than 1 point of accuracy"
"""
LEFT_OUT: dict[str, str] = {}


def needs(setup: Setup) -> tuple[Job, ...]:
    """CoordConv, its twin and the model, on the images and on relocated ones."""
    pair = [setup.null(kind) for kind in ("coordconv", "circular")]
    if not setup.gating or None in pair:
        return ()
    jobs = [*predictions.needs(setup), requests.subject_outputs(setup, relocated=True)]
    for null in pair:
        assert null is not None
        jobs += [
            requests.null_outputs(setup, null, s, relocated=True)
            for s in predictions.seeds(setup, null)
        ]
    return tuple(jobs)


def measure(case: Case) -> list[Measurement]:
    """The effect of coordinates, the cost of relocation, and whether both together are a claim."""
    setup = case.setup
    told, blind = (setup.null(kind) for kind in ("coordconv", "circular"))
    if not setup.gating or told is None or blind is None:
        return []  # the profile trains no circular twin
    ladder = read_ladder(case)
    lacking = [ladder.unusable[n.name] for n in (told, blind) if n.name not in ladder.errors]
    if lacking:
        return [exactly(CLAIMED, math.nan, len(case.labels), lacking[0])]
    errors = {n.name: ladder.errors[n.name] for n in (told, blind)}
    extra = 2 * ladder.seed_variance / len(errors[told.name])
    effect = paired_difference(
        errors[blind.name], errors[told.name], case.groups, extra_variance=extra
    )
    moved: dict[str, Errors] = {
        null.name: predictions.stacked(case, null, relocated=True) for null in (told, blind)
    }
    moved["subject"] = case.errors(requests.subject_outputs(setup, relocated=True))[None]
    errors["subject"] = case.errors(requests.subject_outputs(setup))[None]
    costs = {
        name: paired_difference(
            moved[name],
            errors[name],
            case.groups,
            # The twin's logits are proved to stay the same for every seed, so none is drawn.
            extra_variance=extra if name == told.name else 0.0,
        )
        for name in moved
    }
    unusable = [
        ladder.unusable[null.name] for null in (told, blind) if null.name in ladder.unusable
    ]
    claimed = (
        effect[1] > LIMIT
        and costs[told.name][1] > LIMIT
        and costs["subject"][1] > LIMIT
        and costs[blind.name][2] < LIMIT
    )
    n = len(case.labels)
    found = [point("effect", "", effect, n, f"{told.title} minus {blind.title}")]
    found += [point("relocation", name, costs[name], n, "") for name in costs]
    if unusable:
        return [*found, exactly(CLAIMED, math.nan, n, unusable[0])]
    return [
        *found,
        exactly(CLAIMED, float(claimed), n, "1 if all four tests say so, 0 if it was not shown"),
    ]


def point(
    quantity: str, of: str, interval: tuple[float, float, float], n: int, note: str
) -> Measurement:
    """A difference of accuracies."""
    value, low, high = interval
    return Measurement(
        check=NAME,
        quantity=quantity,
        of=of,
        value=value,
        unit="points",
        low=low,
        high=high,
        n=n,
        note=note,
    )


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the position test into words; see `audit.checks.Check`."""
    found = by_quantity(measurements, NAME)
    claimed, effect = found.get(("claimed", "")), found.get(("effect", ""))
    if claimed is None or effect is None or claimed.value != claimed.value:
        summary = (
            f"Not measured: {claimed.note}"
            if claimed is not None
            else "Not measured: this profile trains no circular twin. Use --profile default."
        )
    else:
        summary = (
            f"Knowing where each patch is adds {number(effect.value, 'points')} of accuracy "
            f"({interval(effect.low, effect.high, 'points')}) to a blind model. "
            + (
                "Relocation hurts it and this model and not the position-blind twin: position "
                "explains part of the accuracy."
                if claimed.value
                else "That position explains more than one point of this model's accuracy is not "
                "shown."
            )
        )
    costs = [m for m in measurements if m.quantity == "relocation"]
    return Section(
        name=NAME,
        title="Does it pay to know where things are?",
        verdict=None,
        summary=summary,
        rows=tuple(
            {
                "what": f"cost of relocation: {title_of(m.of)}"
                if m.quantity == "relocation"
                else m.note or m.name,
                "value": number(m.value, m.unit),
                "95 % interval": interval(m.low, m.high, m.unit),
                "n": m.n,
            }
            for m in measurements
        ),
        charts=relocation_chart(costs),
        pictures=tuple(pictures),
        caveats=(
            "'Not shown' is not 'absent'.",
            "Relocated images join edges that never meet in real ones; the cost to the model alone "
            "proves nothing.",
        ),
        references=(
            "Liu et al. (2018), NeurIPS, arXiv:1807.03247",
            "Islam et al. (2020), ICLR, arXiv:2001.08248",
        ),
    )


def relocation_chart(costs: Sequence[Measurement]) -> tuple[Chart, ...]:
    """What relocation costs each model."""
    if not costs:
        return ()
    series = tuple(dot(title_of(m.of), role_of(m.of), m.value, m.low, m.high) for m in costs)
    return (
        Chart(
            title="What relocating every image costs",
            description="Accuracy on the images minus accuracy on the same images rolled by a "
            "quarter of the side, with the 95 % interval.",
            kind="interval",
            x_label="loss in points",
            y_label="model",
            series=series,
            limits=((LIMIT, "1 point"),),
            points=True,
        ),
    )
