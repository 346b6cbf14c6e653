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
    - A model that was not trained to its end gains by learning on, and BnB+ minus BnB with it. So
      where either control is shown to end above the model by more than that, co-adaptation is not
      measured either.
    - A frozen prefix of an untrained network is the control: its accuracy needs no learned layers.
      The prefix has open branches, and its batch norms are estimated on training images. Three
      such networks are averaged (one in the quick profile), and their run-to-run variation, pooled
      over the cuts, is part of the interval.
    - With one seed of the fresh layers the intervals hold the images' part of the variance only;
      with several, the seeds' part too.

References:
    Yosinski et al. (2014), NeurIPS, arXiv:1411.1792
"""

from collections.abc import Sequence

import numpy as np

from audit.checks.transfer import jobs as transfer_requests
from audit.checks.transfer.controls import failed_controls, still_learning
from audit.checks.transfer.curves import effects, not_cut, point, rows, series, training_note
from audit.checks.transfer.jobs import TRANSFER
from audit.checks.transfer.outcomes import UNTRAINED, Retrained
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case, NotMeasured
from audit.evidence.setup import CutPoint, Setup
from audit.jobs.job import Job
from audit.jobs.kind import by_name
from audit.record import About, Finding, Measurement, Quantity
from audit.reports.document import Chart, Picture, Role, Section
from audit.reports.text import interval, number
from audit.stats.effects import Table, seed_noise

NAME = "transfer"
BASE = Quantity(check=NAME, quantity="base")
DROP = Quantity(check=NAME, quantity="coadaptation")

MODES: dict[str, tuple[str, Role]] = {
    "frozen": ("BnB: frozen", "subject"),
    "tuned": ("BnB+: all learn", "control"),
    "untrained": ("fresh, frozen", "untrained"),
}

NO_TRAINING = "it needs the training images, which a folder of nulls does not hold"
NO_CUTS = "the network could not be cut at any place behind which the rest can be learned anew"
KINDS = by_name(TRANSFER)
NAMES = {
    "base": About("accuracy of the subject as it is"),
    "frozen.<cut>": About("accuracy with the layers before a cut frozen"),
    "tuned.<cut>": About("accuracy with all layers learning"),
    "untrained.<cut>": About("accuracy with the frozen prefix of an untrained network"),
    "coadaptation.<cut>": About("what freezing the layers before a cut costs"),
}
LIMITS = """
  # Transfer: what re-training the later layers on frozen earlier ones loses, at every cut.
  coadaptation:
    measure: "transfer.coadaptation.*"
    at_most: 0.05
    severity: warn
    optional: true
    statement: "freezing the earlier layers costs at most {limit} at every cut"
"""
LEFT_OUT = {
    "cuts": "{} cuts of the transfer curve",
    "transfer_images": "{:,} images of the transfer curve",
    "transfer_seen": "{:,} images seen per network of the transfer curve",
    "transfer_seeds": "{} seeds of the transfer curve",
}


def needs(setup: Setup) -> tuple[Job, ...]:
    """The networks of every kind at every cut, and the model itself."""
    jobs = [job for cut in setup.cuts for mode in MODES for job in networks(setup, cut, mode)]
    return (requests.facts(setup), requests.subject_outputs(setup), *jobs) if jobs else ()


def networks(setup: Setup, cut: CutPoint, mode: str) -> list[Job]:
    """The networks of one kind at one cut, one a seed."""
    seeds = transfer_requests.seeds(setup, mode)
    return [transfer_requests.own_network(setup, cut, mode, seed) for seed in seeds]


def measure(case: Case) -> list[Measurement]:
    """Accuracy of every network of the curve, and co-adaptation at every cut."""
    cuts, groups = case.setup.cuts, case.groups
    if not cuts and case.setup.training_images:
        asked = case.setup.profile.cuts > 0
        return [not_cut(DROP, NO_CUTS)] if asked else []
    base = case.errors(requests.subject_outputs(case.setup))[None]  # (1, n)
    why = "" if case.setup.training_images else NO_TRAINING
    none = seed_noise([], independent=True)
    found = [point(BASE, base, base, groups, at=0.0, noise=none, note=why)]
    if why:
        return [*found, not_cut(DROP, why)]
    reached: dict[str, dict[str, Table]] = {mode: {} for mode in MODES}
    notes: dict[tuple[str, str], str] = {}
    missing: dict[str, str] = {}
    for cut in cuts:
        for mode, (title, _) in MODES.items():
            try:
                reached[mode][cut.name], notes[mode, cut.name] = trained(case, cut, mode)
            except NotMeasured as reason:
                missing.setdefault(cut.name, f"{title.partition(':')[0]}: {reason}")
    for mode, tables in reached.items():
        # the untrained prefixes of one seed are parts of one network
        noise = seed_noise([*tables.values()], independent=mode != UNTRAINED)
        for cut in (c for c in cuts if c.name in tables):
            what, note = Quantity(check=NAME, quantity=mode, of=cut.name), notes[mode, cut.name]
            errors = tables[cut.name]
            found.append(point(what, errors, base, groups, at=cut.depth, noise=noise, note=note))
    frozen, tuned = reached["frozen"], reached["tuned"]
    origin = "the model"
    unfinished = still_learning(cuts, frozen, tuned, base, origin, groups, independent=True)
    failed = failed_controls(cuts, frozen, tuned, base, origin, missing)
    missing = unfinished | failed | missing
    pairs = {name: (frozen[name], tuned[name]) for name in frozen if name in tuned}
    return [*found, *effects(DROP, cuts, pairs, groups, missing, independent=True)]


def trained(case: Case, cut: CutPoint, mode: str) -> tuple[Table, str]:
    """Errors of the networks of one kind at one cut (S, n), and how they were trained.

    Raises:
        NotMeasured: If one of them could not be trained.
    """
    outcomes = [case.result(job) for job in networks(case.setup, cut, mode)]
    note = training_note(outcomes[0].read(Retrained), len(outcomes), mode)
    return np.stack([case.rows(outcome.arrays["errors"]) for outcome in outcomes]), note


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the curve into words; see `audit.checks.Check`."""
    curve = [m for m in measurements if m.quantity in MODES]
    drops = [m for m in measurements if m.quantity == DROP.quantity]
    measured = [m for m in drops if m.value == m.value]
    left_out = [m for m in drops if m.value != m.value]
    if measured:
        worst = max(measured, key=lambda m: m.value)
        summary = (
            f"Freezing the earlier layers and learning the rest anew costs at most "
            f"{number(worst.value, 'points')} ({interval(worst.low, worst.high, 'points')}, for "
            f"all cuts together), at {worst.of}."
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
        summary = "Not measured: the profile leaves it out."
    return Section(
        name=NAME,
        title="Do the layers work only together?",
        verdict=None,
        summary=summary,
        rows=rows(measurements, "model minus this"),
        charts=(curve_chart(curve, measurements),) if curve else (),
        pictures=tuple(pictures),
        caveats=(
            "All networks of the curve learn from fewer images and steps than the model did. If "
            "learning only the classifier anew does not return to the model's accuracy within 1 "
            "point, or BnB+ within 2, co-adaptation is not measured.",
            "Where BnB+ is shown to end above the model by more than 2 points, or learning only "
            "the classifier anew by more than 1, the model was not trained to its end, and "
            "co-adaptation, which would hold what longer training gains, is not measured.",
            "Fresh weights: the untrained prefix has open branches and batch norms that are "
            "estimated on images; several such networks are averaged.",
            "With one seed of the fresh layers, intervals hold the images' part of the variance "
            "only; with several, the seeds' part too.",
            "A drop says that layers depend on each other, not that the model is wrong.",
        ),
        references=("Yosinski et al. (2014), NeurIPS, arXiv:1411.1792",),
    )


def curve_chart(curve: Sequence[Measurement], measurements: Sequence[Measurement]) -> Chart:
    """Accuracy of the three kinds of network against the depth of the cut."""
    base = next((m for m in measurements if m.quantity == BASE.quantity), None)
    return Chart(
        title="Accuracy after the layers behind a cut were learned anew",
        description="For each cut, by the share of computation before it: accuracy with the layers "
        "before it frozen (BnB), with all layers learning (BnB+), and, as a control, with a frozen "
        "prefix of fresh weights.",
        kind="line",
        x_label="depth of the cut (share of multiply-adds before it)",
        y_label="accuracy",
        series=series(curve, MODES),
        limits=((base.value, "the model as it is"),) if base else (),
        percent=True,
    )
