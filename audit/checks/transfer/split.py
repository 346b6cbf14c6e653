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
    - All networks trained here share images, budget, schedule and augmentation, and the budget is
      small. So baseB must be above the largest class's share, BnB before the classifier must return
      to it within 1 point and BnB+ within 2; otherwise nothing is measured there.
    - Where one of these is shown to end above baseB by more than that, baseB was not trained to its
      end, and BnB+ minus BnB holds what longer training gains: co-adaptation is not measured. The
      other effects compare networks that learned B equally long, and are, with a note.
    - Where B is another data set, A is the model as it was given: other images, another budget.
      BnB minus AnB is then no specialisation and is not measured; the gain holds all of that.
    - AnB+ has seen more steps than baseB, its donor's included: BnB+ beside it has, too.
    - The paper pools AnB with BnA, each beside its own base. Here only B is learned behind layers
      of A, so what is particular to the two halves, as one that is harder, stays in the effects.
    - A frozen prefix of an untrained network is the control: its accuracy needs no learned
      layers. It is made and averaged as in the model's own curve.
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

from audit.checks.transfer import jobs as ask
from audit.checks.transfer.controls import failed_controls, still_learning
from audit.checks.transfer.curves import effects, not_cut, point, rows, training_note
from audit.checks.transfer.jobs import SPLIT_BASE, SPLIT_NETWORK
from audit.checks.transfer.outcomes import Retrained, TrainedBase
from audit.checks.transfer.split_report import (
    CAVEATS,
    CURVES,
    GIVEN,
    NO_PREMISE,
    NOT_IN_PROFILE,
    UNFINISHED,
    chart,
    sides,
    summary,
)
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case, NotMeasured
from audit.evidence.setup import CutPoint, Setup
from audit.jobs.job import Job
from audit.jobs.kind import by_name
from audit.record import About, Finding, Measurement, Quantity
from audit.reports.document import Picture, Section
from audit.reports.text import number
from audit.stats.effects import Table, difference, seed_noise

NAME = "split_transfer"
BASE = Quantity(check=NAME, quantity="base")
EFFECTS = ("coadaptation", "specialisation", "gain")
OF_A = ("anb", "anb_plus")
KINDS = by_name(SPLIT_BASE, SPLIT_NETWORK)
NAMES = {
    "base": About("accuracy on B of a network that learned B from scratch"),
    "bnb.<cut>": About("the same behind frozen layers of such a network"),
    "bnb_plus.<cut>": About("the same where those layers learn on"),
    "anb.<cut>": About("the same behind frozen layers of a network that learned A"),
    "anb_plus.<cut>": About("the same where those layers learn on"),
    "untrained.<cut>": About("the same behind the frozen prefix of an untrained network"),
    "coadaptation.<cut>": About("what freezing B's own layers costs B"),
    "specialisation.<cut>": About("what layers of A cost B, beside its own"),
    "gain.<cut>": About("what B gains by beginning with layers of A"),
}
LIMITS = """
  # Transfer between halves of the classes: what layers of A cost B, beside its own, at every cut.
  # Layers just before the classifier are special in every good network, so it informs. With other
  # data as B (--transfer-data) A is the model as it was given, and this is not measured.
  specialisation:
    measure: "split_transfer.specialisation.*"
    at_most: 0.10
    severity: info
    optional: true
    statement: "frozen layers of another task cost at most {limit} more than its own at every cut"
"""
LEFT_OUT = {
    "split_transfer": "transfer between halves of the classes",
}


def needs(setup: Setup) -> tuple[Job, ...]:
    """The bases and the networks of every kind at every cut."""
    if not ask.asked(setup):
        return ()
    found = [requests.facts(setup), *bases(setup, "b")]
    found += [] if setup.transfer else bases(setup, "a")
    for cut in setup.cuts:
        found += [job for kind in CURVES for job in networks(setup, cut, kind)]
    return tuple(found)


def bases(setup: Setup, side: str) -> list[Job]:
    """The base networks of one side, one a seed."""
    return [ask.base(setup, side, seed) for seed in range(setup.profile.transfer_seeds)]


def networks(setup: Setup, cut: CutPoint, kind: str) -> list[Job]:
    """The networks of one kind at one cut, one a seed."""
    return [ask.network(setup, cut, kind, seed) for seed in ask.seeds(setup, kind)]


def measure(case: Case) -> list[Measurement]:
    """Accuracy on B of every network, and the three effects at every cut."""
    setup = case.setup
    why = lacking(setup)
    if why == NOT_IN_PROFILE:
        return []
    try:
        if why:
            raise NotMeasured(why)
        base, note = trained(case, bases(setup, "b"), "b")
        groups = groups_of(case, "b")
    except NotMeasured as reason:
        alone = Measurement(**BASE.fields, value=math.nan, unit="fraction", note=str(reason))
        return [alone, *(not_cut(effect(kind), str(reason)) for kind in EFFECTS)]
    noise = seed_noise([base], independent=False)
    tasks = sides(setup)
    of_base = point(BASE, base, base, groups, at=0.0, noise=noise, note=f"{tasks}; {note}")
    found = [of_base.model_copy(update={"clause": tasks})]
    reached, missing = curves(case)
    for kind, tables in reached.items():
        noise = seed_noise([errors for errors, _ in tables.values()], independent=False)
        for cut in (c for c in setup.cuts if c.name in tables):
            what = Quantity(check=NAME, quantity=kind, of=cut.name)
            errors, note = tables[cut.name]
            note = joined(note, GIVEN if setup.transfer and kind in OF_A else "")
            found.append(point(what, errors, base, groups, at=cut.depth, noise=noise, note=note))
    return [*found, *all_effects(case, base, groups, reached, missing)]


def effect(kind: str) -> Quantity:
    """One of `EFFECTS`, without its cut."""
    return Quantity(check=NAME, quantity=kind)


def lacking(setup: Setup) -> str:
    """Why nothing can be measured; empty if something can."""
    if setup.transfer is None and not setup.transfer_classes:
        return (
            "a division of the classes needs four or more" if setup.profile.split_transfer else ""
        ) or NOT_IN_PROFILE
    if setup.transfer is None and not setup.training_images:
        return "it needs the training images, which a folder of nulls does not hold"
    return "" if setup.cuts else "the model could not be cut, or the profile has no cuts"


def groups_of(case: Case, side: str) -> NDArray[np.int64]:
    """Near duplicates among the evaluation images of A or B that count.

    Raises:
        NotMeasured: If those of other data were not looked for, because a base failed.
    """
    setup = case.setup
    if setup.transfer is not None:
        return case.result(bases(setup, side)[0]).arrays["groups"]
    return case.given_groups[members(case, side) & case.counted]


def members(case: Case, side: str) -> NDArray[np.bool_]:
    """Which evaluation images are of the classes of A or B: (N,)."""
    names = case.setup.transfer_classes
    of_a = np.isin(case.given_labels, [case.setup.classes.index(name) for name in names])
    return of_a if side == "a" else ~of_a


def that_count(case: Case, side: str, errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Errors on the images that count; on other data all do.

    Args:
        case: Says which count.
        side: "a" or "b".
        errors: (N,) on all evaluation images of that side.

    Raises:
        NotMeasured: If none counts.
    """
    if case.setup.transfer is not None:
        return errors
    found = errors[case.counted[members(case, side)]]
    if not len(found):
        raise NotMeasured(f"all evaluation images of {side.upper()} are copies and left out")
    return found


def unlearned(case: Case, side: str) -> str:
    """Why a base says nothing: it failed, or is not better than naming the largest class."""
    if case.setup.transfer is not None and side == "a":
        return ""  # the model itself
    jobs = bases(case.setup, side)
    try:
        errors, _ = trained(case, jobs, side)
    except NotMeasured as reason:
        return str(reason)
    chance = case.values(jobs[0], TrainedBase).chance
    noise = seed_noise([errors], independent=False)
    lost = difference(errors, np.zeros_like(errors), groups_of(case, side), noise)
    if 1 - lost.high > chance:
        return ""
    return (
        f"base{side.upper()} reaches {number(1 - lost.value, 'fraction')}, which is not surely "
        f"more than the share of the largest class, {number(chance, 'fraction')}: the budget is "
        "too small"
    )


def trained(case: Case, jobs: Sequence[Job], side: str) -> tuple[Table, str]:
    """Errors on one side of the networks of some jobs (S, n), and how they were trained.

    Raises:
        NotMeasured: If one of them could not be trained.
    """
    outcomes = [case.result(job) for job in jobs]
    kind = str(jobs[0].params.get("curve", "base"))
    note = training_note(outcomes[0].read(Retrained), len(outcomes), kind)
    errors = [that_count(case, side, outcome.arrays["errors"]) for outcome in outcomes]
    return np.stack(errors), note


Reached = dict[str, dict[str, tuple[Table, str]]]


def curves(case: Case) -> tuple[Reached, dict[str, dict[str, str]]]:
    """Errors and notes by kind and cut, and why some are missing, likewise."""
    reached: Reached = {kind: {} for kind in CURVES}
    missing: dict[str, dict[str, str]] = {kind: {} for kind in CURVES}
    for kind, (title, _) in CURVES.items():
        for cut in case.setup.cuts:
            try:
                reached[kind][cut.name] = trained(case, networks(case.setup, cut, kind), "b")
            except NotMeasured as reason:
                missing[kind][cut.name] = f"{title.partition(':')[0]}: {reason}"
    return reached, missing


def all_effects(
    case: Case,
    base: Table,
    groups: NDArray[np.int64],
    reached: Reached,
    missing: Mapping[str, dict[str, str]],
) -> list[Measurement]:
    """Co-adaptation, specialisation and the gain of transferring at every cut."""
    cuts, given = case.setup.cuts, case.setup.transfer is not None
    tables = {kind: {cut: e for cut, (e, _) in found.items()} for kind, found in reached.items()}
    bnb, tuned = tables["bnb"], tables["bnb_plus"]
    longer = still_learning(cuts, bnb, tuned, base, "baseB", groups, independent=False)
    own = {**missing["untrained"], **missing["bnb_plus"], **missing["bnb"]}
    own |= failed_controls(cuts, bnb, tuned, base, "baseB", own)
    own |= everywhere(cuts, unlearned(case, "b"))
    of_a = everywhere(cuts, unlearned(case, "a"))
    fitted_on_other_data = everywhere(cuts, NO_PREMISE if given else "")
    nothing: dict[str, str] = {}
    remarks = dict.fromkeys(longer, UNFINISHED)
    also = GIVEN if given else ""
    of_gain = {cut.name: joined(also, remarks.get(cut.name, "")) for cut in cuts}
    gains = {cut: (base, table) for cut, table in tables["anb_plus"].items()}
    wanted = (  # name, the worse and the better, why not, what else to know
        ("coadaptation", paired(bnb, tuned), longer | own, nothing),
        ("specialisation", paired(tables["anb"], bnb),
         fitted_on_other_data | missing["anb"] | of_a | own, remarks),
        ("gain", gains, missing["anb_plus"] | of_a | own, of_gain),
    )  # fmt: skip
    found: list[Measurement] = []
    for name, pairs, why, told in wanted:
        found += effects(effect(name), cuts, pairs, groups, why, independent=False, remarks=told)
    return found


def joined(*parts: str) -> str:
    """What is not empty, in one note."""
    return "; ".join(part for part in parts if part)


def everywhere(cuts: Sequence[CutPoint], why: str) -> dict[str, str]:
    """One reason for every cut; none if it is empty."""
    return {cut.name: why for cut in cuts} if why else {}


def paired(
    worse: Mapping[str, Table], better: Mapping[str, Table]
) -> dict[str, tuple[Table, Table]]:
    """Both errors of the cuts that have both."""
    return {cut: (worse[cut], better[cut]) for cut in worse if cut in better}


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the four curves into words; see `audit.checks.Check`."""
    base = next((m for m in measurements if m.quantity == BASE.quantity), None)
    curve = [m for m in measurements if m.quantity in CURVES]
    return Section(
        name=NAME,
        title="What are the layers worth on another task?",
        verdict=None,
        summary=summary(measurements, base),
        rows=rows(measurements, "baseB minus this"),
        charts=(chart(curve, base),) if curve and base else (),
        pictures=tuple(pictures),
        caveats=CAVEATS,
        references=("Yosinski et al. (2014), NeurIPS, arXiv:1411.1792",),
    )
