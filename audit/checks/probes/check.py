"""Probes: from which depth on can the classes be read off by a linear model?

What it measures:
    At every cut the features are frozen, averaged over positions, brought to length one, and read
    out by a logistic regression and by a linear SVM (each class against the rest, squared hinge
    loss), learned on training images; how freely each may fit is chosen on training images set
    aside. Accuracy is that on the evaluation images. Beside it the same of untrained networks, of
    the images' pixels, and, with --probe-data, all of it on another data set.

    The untrained control is the paper's: networks with open branches, and with batch norms that are
    estimated on about 1,000 of the model's training images. It is the mean of three networks (one
    in the quick profile), and their run-to-run variation, pooled over the cuts, is part of the
    interval of all that is compared with it, with one degree of freedom less than there are
    networks.

Why it matters:
    Where the accuracy rises, the network makes the classes easier to tell; where it does not, or
    falls, later layers add nothing that a linear model can use. On other data it shows what of the
    network carries over.

How it can mislead:
    - What can be read out is there; it is not shown that the network uses it.
    - An untrained network and the pixels can be read out too: only what exceeds them was learned.
    - Layers differ in width, and wide ones are read out more easily with many images.
    - The network was trained on the images that the read-outs of its own task learn from.
    - Averaging over positions removes where things are.
    - How strongly a read-out is held down is searched by factors of ten, and no further than a
      thousandth and a million; the note of one that is still best at an end says so.
    - With one untrained network, intervals leave out how much its draw matters.

References:
    Donahue et al. (2014), ICML, arXiv:1310.1531
    Razavian et al. (2014), CVPR Workshops, arXiv:1403.6382
    Alain & Bengio (2016), arXiv:1610.01644
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.checks.probes import jobs as probe_requests
from audit.checks.probes import report as probe_words
from audit.checks.probes.jobs import PROBES
from audit.checks.probes.outcomes import ReadOut, twin_name
from audit.checks.probes.twins import QUIET, Twins, twins_of
from audit.evidence.case import Case, NotMeasured
from audit.evidence.setup import CutPoint, ExtraDataset, Setup
from audit.evidence.shared_jobs import draws as drawn
from audit.jobs.job import Job
from audit.jobs.kind import by_name
from audit.record import About, Finding, Measurement, Quantity, Unit
from audit.reports.document import Picture, Section
from audit.stats.effects import SeedNoise
from audit.stats.effects import difference as effect

NAME = "probes"
NO_TRAINING = "it needs the training images, which a folder of nulls does not hold"
NO_CUTS = "no place between the layers of the model was found"
MIDDLE = (0.25, 0.75)  # relative depths
PIXELS = ("subject", "pixels", "logistic")

READOUTS = {"linear": ("subject", "logistic"), "svm": ("subject", "hinge")}

LAST = "last_minus_middle"
Errors = NDArray[np.float64]
Groups = NDArray[np.int64]
Key = tuple[str, ...]  # network, cut, loss
KINDS = by_name(PROBES)
NAMES = {
    "linear.<cut>": About("accuracy of a linear model that reads a cut off"),
    "svm.<cut>": About("the same of a linear SVM"),
    "untrained.<cut>": About("the same of a linear model, of untrained networks"),
    "gain.<cut>": About("linear read-out of a cut minus that of untrained networks"),
    "pixels": About("accuracy of a linear model of the pixels"),
    "last_minus_middle": About("linear read-out of the last cut minus that of the middle ones"),
    "other_linear.<cut>": About("the same on other data (--probe-data)", single=False),
    "other_svm.<cut>": About("likewise", single=False),
    "other_untrained.<cut>": About("likewise", single=False),
    "other_gain.<cut>": About("likewise", single=False),
    "other_pixels": About("likewise", single=False),
    "other_last_minus_middle": About("likewise", single=False),
}
LIMITS = """
  # Probes: what a linear model reads off the last cut, beside the cuts in the middle. Below 0 the
  # last layers lose what was there, which is common where a network has learned its training
  # images by heart. It informs.
  probe_gain:
    measure: "probes.last_minus_middle"
    at_least: 0
    severity: info
    optional: true
    statement: >-
      the classes are read off the last layers at least {limit} better than off the middle
"""
LEFT_OUT = {
    "probe_cuts": "{} cuts that are read out",
    "probe_images": "{:,} images for the read-outs",
    "probe_svm": "the linear SVM beside the linear read-out",
}


def needs(setup: Setup) -> tuple[Job, ...]:
    """One job a data set."""
    if not probe_requests.cuts_read(setup):
        return ()
    own = (probe_requests.probes(setup),) if setup.training_images else ()
    return own + ((probe_requests.probes(setup, setup.probe),) if setup.probe else ())


def measure(case: Case) -> list[Measurement]:
    """Read-outs of the model's own task, and of the other data if there are any."""
    setup = case.setup
    if not setup.profile.probe_cuts:
        return []
    others = [setup.probe] if setup.probe else []
    if not setup.all_cuts:
        return [missing(about(data, LAST), NO_CUTS) for data in (None, *others)]
    if not setup.training_images:
        found = [missing(about(None, LAST), NO_TRAINING)]
    else:
        found = attempted(case, None)
    return found + [m for data in others for m in attempted(case, data)]


def about(other: ExtraDataset | None, quantity: str, cut: str = "") -> Quantity:
    """What a measurement on a data set is of."""
    stem = probe_words.OTHER if other else ""
    return Quantity(check=NAME, quantity=stem + quantity, of=cut)


def attempted(case: Case, other: ExtraDataset | None) -> list[Measurement]:
    """What one data set gives; if its job failed, one NaN that says why."""
    try:
        return of_data(case, other)
    except NotMeasured as reason:
        return [missing(about(other, LAST), str(reason))]


def of_data(case: Case, other: ExtraDataset | None) -> list[Measurement]:
    """Accuracy of every read-out, what it gains over untrained, and the last over the middle.

    Raises:
        NotMeasured: If the job failed.
    """
    outcome = case.result(probe_requests.probes(case.setup, other))
    values, arrays = outcome.read(ReadOut), outcome.arrays
    wrong, groups = read_out(case, arrays, other)
    keys: tuple[Key, ...] = values.rows
    errors = dict(zip(keys, wrong.astype(np.float64), strict=True))
    edges = dict(zip(keys, values.edges, strict=True))
    told = zip(keys, values.widths, values.strengths, strict=True)
    notes = {key: probe_words.fitted(width, c, edges[key]) for key, width, c in told}
    found = []
    if PIXELS in errors:
        words = f"{notes[PIXELS]}; {learned(values, other)}"
        found.append(accuracy(about(other, "pixels"), errors[PIXELS], groups, 0.0, words))
    cuts = probe_requests.cuts_read(case.setup)
    draws = [twin_name(draw) for draw in drawn(case.setup)]
    twins = twins_of(draws, cuts, errors, notes)
    for cut in cuts:
        for readout, (network, loss) in READOUTS.items():
            if readout == "svm" and not case.setup.profile.probe_svm:
                continue
            name, key = about(other, readout, cut.name), (network, cut.name, loss)
            if key in errors:
                found.append(accuracy(name, errors[key], groups, cut.depth, notes[key]))
            else:
                why = values.reasons.get(f"{network}.{cut.name}", "it was not read out")
                found.append(missing(name, why, cut.depth))
        found.append(of_twins(about(other, "untrained", cut.name), twins, groups, cut, values))
        at_edge = any(edges.get((name, cut.name, "logistic")) for name in ("subject", *draws))
        own = errors.get(("subject", cut.name, "logistic"))
        found.append(gain(about(other, "gain", cut.name), own, twins, groups, cut, at_edge))
    linear = {cut: errors.get(("subject", cut.name, "logistic")) for cut in cuts}
    words = learned(values, other)
    if any(edges.get(("subject", cut.name, "logistic")) for cut in (cuts[-1], *middle_of(cuts))):
        words += f"; {probe_words.ONE_AT_EDGE}"
    return [*found, last_minus_middle(about(other, LAST), linear, groups, words)]


def read_out(
    case: Case, arrays: Mapping[str, NDArray[Any]], other: ExtraDataset | None
) -> tuple[NDArray[Any], Groups]:
    """Errors (rows, n) and groups (n,) of the sampled images that count; of other data all do.

    Raises:
        NotMeasured: If none counts.
    """
    if other:
        return arrays["wrong"], arrays["groups"]
    counted = case.counted[arrays["index"]]
    if not counted.any():
        raise NotMeasured("every evaluation image that was sampled is a copy and left out")
    return arrays["wrong"][:, counted], case.given_groups[arrays["index"][counted]]


def learned(values: ReadOut, other: ExtraDataset | None) -> str:
    """On what the read-outs were learned, in words."""
    fewer = values.images < values.asked
    text = (
        f"learned on {values.images:,} training images"
        + (f" (of {values.asked:,}: the features of more do not fit)" if fewer else "")
        + (f" of {other.name}" if other else "")
        + f", C chosen on {values.heldout_images:,} of them"
    )
    if other and other.seen:
        text += f"; {other.seen:,} evaluation images are training images of the audited data"
    return text


def accuracy(
    what: Quantity, errors: Errors, groups: Groups, at: float, note: str, noise: SeedNoise = QUIET
) -> Measurement:
    """Share of the evaluation images that a read-out, or the mean of several, gets right."""
    table = np.atleast_2d(errors)
    lost, low, high = effect(table, np.zeros_like(table), groups, noise)
    return Measurement(
        **what.fields,
        value=1 - lost,
        unit="fraction",
        low=max(0.0, 1 - high),
        high=min(1.0, 1 - low),
        n=table.shape[1],
        at=at,
        note=note,
    )


def of_twins(
    what: Quantity, twins: Twins, groups: Groups, cut: CutPoint, values: ReadOut
) -> Measurement:
    """Accuracy of the read-outs of untrained networks, their mean."""
    if cut.name not in twins.tables:
        whys = (values.reasons.get(f"{name}.{cut.name}") for name in twins.names)
        why = next((why for why in whys if why), "it was not read out")
        return missing(what, why, cut.depth)
    table, note = twins.tables[cut.name], twins.notes[cut.name]
    return accuracy(what, table, groups, cut.depth, note, twins.of_accuracy)


def gain(
    what: Quantity,
    own: Errors | None,
    twins: Twins,
    groups: Groups,
    cut: CutPoint,
    at_edge: bool,
) -> Measurement:
    """Accuracy of the linear read-out minus the mean of the untrained networks', paired."""
    if own is None or cut.name not in twins.tables:
        return missing(what, "one of the two could not be read out", cut.depth)
    note = f"{twins.words}; {probe_words.ONE_AT_EDGE}" if at_edge else twins.words
    return difference(
        what, twins.tables[cut.name], own, groups, note, cut.depth, noise=twins.of_gain
    )


def middle_of(cuts: Sequence[CutPoint]) -> tuple[CutPoint, ...]:
    """Cuts between a quarter and three quarters of the depth, else the one nearest to the half.

    The last cut, and what is as deep, are not among them.
    """
    before = [cut for cut in cuts[:-1] if cut.depth < cuts[-1].depth]
    within = [cut for cut in before if MIDDLE[0] <= cut.depth <= MIDDLE[1]]
    return tuple(within or sorted(before, key=lambda cut: abs(cut.depth - 0.5))[:1])


def last_minus_middle(
    what: Quantity, linear: Mapping[CutPoint, Errors | None], groups: Groups, note: str
) -> Measurement:
    """Accuracy at the last cut minus the mean over the middle cuts, image by image."""
    *_, last = linear
    middle = middle_of(tuple(linear))
    if not middle:
        return missing(what, "it needs a cut before the last one")
    own, others = linear[last], [linear[cut] for cut in middle]
    known = [errors for errors in others if errors is not None]
    if own is None or len(known) < len(others):
        return missing(what, "the last or a middle cut could not be read out")
    cuts = f"{last.name} minus the mean of {', '.join(cut.name for cut in middle)}"
    return difference(what, np.stack(known), own, groups, f"{cuts}; {note}")


def difference(
    what: Quantity,
    worse: Errors,
    better: Errors,
    groups: Groups,
    note: str,
    at: float | None = None,
    noise: SeedNoise = QUIET,
) -> Measurement:
    """Accuracy of one read-out minus that of others on the same images."""
    value, low, high = effect(np.atleast_2d(worse), better[None], groups, noise)
    n = len(better)
    return Measurement(
        **what.fields, value=value, unit="points", low=low, high=high, n=n, at=at, note=note
    )


def missing(what: Quantity, why: str, at: float | None = None) -> Measurement:
    """Not measured, and why."""
    differences = [stem + quantity for stem in probe_words.STEMS for quantity in (LAST, "gain")]
    unit: Unit = "points" if what.quantity in differences else "fraction"
    return Measurement(**what.fields, value=float("nan"), unit=unit, note=why, at=at)


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the read-outs into words; see `audit.checks.Check`."""
    return Section(
        name=NAME,
        title="From which depth on can the classes be read off?",
        verdict=None,
        summary=probe_words.summary(measurements),
        rows=probe_words.rows(measurements),
        charts=probe_words.charts(measurements),
        pictures=tuple(pictures),
        caveats=probe_words.CAVEATS,
        references=(
            "Donahue et al. (2014), ICML, arXiv:1310.1531",
            "Razavian et al. (2014), CVPR Workshops, arXiv:1403.6382",
            "Alain & Bengio (2016), arXiv:1610.01644",
        ),
    )
