"""Transfer between tasks: what layers learned on A are worth on B.

What it measures:
    The classes are divided in two halves, A and B, or B is another data set and A is the model
    itself. Base networks of the model's architecture learn each half from scratch. At each cut B is
    learned again behind layers of baseB, frozen (BnB) or learning on (BnB+), and behind layers of
    baseA (AnB, AnB+). Two effects that one curve alone mixes: co-adaptation = BnB+ minus BnB, and
    specialisation = BnB minus AnB. The gain of transferring is AnB+ minus baseB.

Why it matters:
    Layers that lost nothing on the way from A to B are general, and those that lost much hold what
    is particular to A. A model whose early layers are special will be expensive to adapt.

How it can mislead:
    - A drop depends on how alike A and B are: halves drawn at random share more than animals and
      vehicles do. It says nothing about a third task.
    - All networks of the curves share images, budget, schedule and augmentation, and the budget is
      small. So baseB must be above the largest class's share, BnB before the classifier must return
      to it within 1 point and BnB+ within 2; otherwise nothing is measured there.
    - AnB+ has seen more steps than baseB, its donor's included: BnB+ beside it has, too.
    - A frozen prefix with fresh weights is drawn beside: that much needs no learned layers.
    - Where the classes are divided, the networks are not the model's own: the effects are those of
      its architecture and recipe on these data.
    - One division of the classes. Another one may differ by more than the intervals.

References:
    Yosinski et al. (2014), NeurIPS, arXiv:1411.1792
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from audit import requests
from audit import transfer_requests as ask
from audit.case import Case, CutPoint, NotMeasured, Setup
from audit.curves import (
    Table,
    difference,
    effects,
    failed_controls,
    point,
    rows,
    seed_noise,
    training_note,
)
from audit.record import Finding, Measurement
from audit.split_words import KINDS, LEFT_OUT, chart, sides, summary
from audit.work import Job
from reports.text import number
from reports.words import Picture, Section

NAME = "split_transfer"
STEMS = {
    "bnb": f"{NAME}.bnb.",
    "bnb_plus": f"{NAME}.bnb_plus.",
    "anb": f"{NAME}.anb.",
    "anb_plus": f"{NAME}.anb_plus.",
    "untrained": f"{NAME}.untrained.",
}


def needs(setup: Setup) -> tuple[Job, ...]:
    """The bases and five networks a cut, for every seed."""
    if not ask.asked(setup):
        return ()
    found = [requests.facts(setup), *bases(setup, "b")]
    found += [] if setup.transfer else bases(setup, "a")
    for cut in setup.cuts:
        found += [job for kind in KINDS for job in networks(setup, cut, kind)]
    return tuple(found)


def bases(setup: Setup, side: str) -> list[Job]:
    """The base networks of one side, one a seed."""
    return [ask.base(setup, side, seed) for seed in range(setup.profile.transfer_seeds)]


def networks(setup: Setup, cut: CutPoint, kind: str) -> list[Job]:
    """The networks of one kind at one cut, one a seed."""
    return [ask.network(setup, cut, kind, seed) for seed in range(setup.profile.transfer_seeds)]


def measure(case: Case) -> list[Measurement]:
    """Accuracy on B of every network, and the three effects at every cut."""
    setup = case.setup
    why = lacking(setup)
    if why == LEFT_OUT:
        return []
    groups = groups_of_b(case)
    try:
        if why:
            raise NotMeasured(why)
        base, note = learned(case, bases(setup, "b"), "baseB")
    except NotMeasured as reason:
        return [Measurement(name=f"{NAME}.base", value=math.nan, unit="fraction", note=str(reason))]
    noise = seed_noise([base], independent=False)
    note = f"{sides(setup)}; {note}"
    found = [point(f"{NAME}.base", base, base, groups, at=0.0, noise=noise, note=note)]
    reached, missing = curves(case)
    for kind, tables in reached.items():
        noise = seed_noise([errors for errors, _ in tables.values()], independent=False)
        for cut in (c for c in setup.cuts if c.name in tables):
            name, (errors, note) = f"{STEMS[kind]}{cut.name}", tables[cut.name]
            found.append(point(name, errors, base, groups, at=cut.depth, noise=noise, note=note))
    return [*found, *all_effects(case, base, reached, missing)]


def lacking(setup: Setup) -> str:
    """Why nothing can be measured; empty if something can."""
    if setup.transfer is None and not setup.transfer_classes:
        return (
            "a division of the classes needs four or more" if setup.profile.split_transfer else ""
        ) or LEFT_OUT
    if setup.transfer is None and not setup.training_images:
        return "it needs the training images, which a folder of nulls does not hold"
    return "" if setup.cuts else "the model could not be cut, or the profile has no cuts"


def groups_of_b(case: Case) -> NDArray[np.int64] | None:
    """Near duplicates among the evaluation images of B; None for data beside the audited ones."""
    if case.setup.transfer is not None:
        return None
    of_b = [
        i for i, name in enumerate(case.setup.classes) if name not in case.setup.transfer_classes
    ]
    return case.groups[np.isin(case.labels, of_b)]


def learned(case: Case, jobs: Sequence[Job], title: str) -> tuple[Table, str]:
    """Errors of base networks (S, n), and how they were trained.

    Raises:
        NotMeasured: If one failed, or they are not better than naming the largest class.
    """
    errors, note = trained(case, jobs)
    chance = float(case.value(jobs[0], "chance"))
    lost = difference(errors, np.zeros_like(errors), None, seed_noise([errors], independent=False))
    if not 1 - lost.high > chance:
        raise NotMeasured(
            f"{title} reaches {number(1 - lost.value, 'fraction')}, which is not surely more than "
            f"the share of the largest class, {number(chance, 'fraction')}: the budget is too small"
        )
    return errors, note


def trained(case: Case, jobs: Sequence[Job]) -> tuple[Table, str]:
    """Errors of the networks of some jobs (S, n), and how they were trained.

    Raises:
        NotMeasured: If one of them could not be trained.
    """
    outcomes = [case.result(job) for job in jobs]
    for outcome in outcomes:
        if "errors" not in outcome.arrays:
            raise NotMeasured(outcome.values["reason"])
    note = training_note(outcomes[0].values, len(outcomes))
    return np.stack([outcome.arrays["errors"] for outcome in outcomes]), note


Reached = dict[str, dict[str, tuple[Table, str]]]


def curves(case: Case) -> tuple[Reached, dict[str, dict[str, str]]]:
    """Errors and notes by kind and cut, and why some are missing, likewise."""
    reached: Reached = {kind: {} for kind in KINDS}
    missing: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for kind, (title, _) in KINDS.items():
        for cut in case.setup.cuts:
            try:
                reached[kind][cut.name] = trained(case, networks(case.setup, cut, kind))
            except NotMeasured as reason:
                missing[kind][cut.name] = f"{title.partition(':')[0]}: {reason}"
    return reached, missing


def all_effects(
    case: Case, base: Table, reached: Reached, missing: Mapping[str, Mapping[str, str]]
) -> list[Measurement]:
    """Co-adaptation, specialisation and the gain of transferring at every cut."""
    setup, groups, n = case.setup, groups_of_b(case), base.shape[1]
    tables = {kind: {cut: e for cut, (e, _) in found.items()} for kind, found in reached.items()}
    own = {**missing["untrained"], **missing["bnb_plus"], **missing["bnb"]}
    own |= failed_controls(setup.cuts, tables["bnb"], tables["bnb_plus"], base, "baseB", own)
    of_a = unlearned(case)
    other = {kind: {**missing[kind], **of_a, **own} for kind in ("anb", "anb_plus")}
    wanted = (  # stem, the worse and the better, why not
        (f"{NAME}.coadaptation.", paired(tables["bnb"], tables["bnb_plus"]), own),
        (f"{NAME}.specialisation.", paired(tables["anb"], tables["bnb"]), other["anb"]),
        (
            f"{NAME}.gain.",
            {cut: (base, table) for cut, table in tables["anb_plus"].items()},
            other["anb_plus"],
        ),
    )
    found: list[Measurement] = []
    for stem, pairs, why in wanted:
        found += effects(stem, setup.cuts, pairs, groups, why, n, independent=False)
    return found


def paired(
    worse: Mapping[str, Table], better: Mapping[str, Table]
) -> dict[str, tuple[Table, Table]]:
    """Both errors of the cuts that have both."""
    return {cut: (worse[cut], better[cut]) for cut in worse if cut in better}


def unlearned(case: Case) -> dict[str, str]:
    """Why layers of A say nothing, by cut; empty if baseA learned, or if A is the model itself."""
    if case.setup.transfer is not None:
        return {}
    try:
        learned(case, bases(case.setup, "a"), "baseA")
    except NotMeasured as reason:
        return {cut.name: str(reason) for cut in case.setup.cuts}
    return {}


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the four curves into words; see `audit.checks.Check`."""
    base = next((m for m in measurements if m.name == f"{NAME}.base"), None)
    curve = [m for m in measurements if m.name.split(".")[1] in KINDS]
    return Section(
        name=NAME,
        title="What are the layers worth on another task?",
        verdict=None,
        summary=summary(measurements, base),
        rows=rows(measurements, "baseB minus this"),
        charts=(chart(curve, base),) if curve and base else (),
        pictures=tuple(pictures),
        caveats=(
            "What is lost from A to B depends on how alike the two are; it says nothing about a "
            "third task.",
            "Where the classes are divided, the networks are not the model's own: the effects are "
            "those of its architecture and of a short recipe on these data. One division was "
            "tried.",
            "BnB before the classifier must return to baseB within 1 point and BnB+ within 2, and "
            "the bases must have learned; where they do not, nothing is measured.",
            "AnB+ has seen more steps than baseB, those of its donor included; BnB+ has, too.",
            "A limit on specialisation asks for early layers that serve both tasks; layers just "
            "before the classifier are special to their task in every good network.",
        ),
        references=("Yosinski et al. (2014), NeurIPS, arXiv:1411.1792",),
    )
