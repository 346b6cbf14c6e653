"""ID profile: how many directions do the features vary along, from the pixels to the last layer?

What it measures:
    The TwoNN estimate at the input and at every cut point of the model against relative depth (the
    share of multiply-adds before it), beside it the number of principal components that hold 90 %
    of the variance; the same for untrained networks and for each trained null, on the same
    evaluation images.

    The untrained control is the paper's: networks with open branches, and with batch norms that are
    estimated on about 1,000 training images (evaluation images where there are none). Its curve is
    the geometric mean of three networks (one in the quick profile). Their spread is part of its
    intervals and of the tests of its shape; the shapes of the single networks are counted.

Why it matters:
    In trained networks the dimension first rises and then falls: a hunchback. In untrained ones it
    stays flat, and in networks that fitted shuffled labels the last layers do not fall (Ansuini et
    al.). The number of components shows none of this, so the layers lie on curved surfaces.

How it can mislead:
    - A low last layer goes with generalisation among networks of one family. It is no proof of it:
      nulls that cannot see objects fall, too, and a network that was trained briefly may not.
    - The paper's untrained network was a plain one. Residual networks that pool can rise and fall
      untrained, too: only a shape that the twin lacks says something about training. Three
      networks rarely show a shape surely, so the shapes that single networks have are counted too.
    - A limit on the last layer over the peak can be met by a network that throws all but the class
      away, right or wrong, and missed by a good one with few stages or without a wide early layer.
    - Above about 20 dimensions the estimate is biased low, and the peak is above: so the peak is
      understated, and the last layer over the peak overstated.
    - The estimator is the censored maximum likelihood of TwoNN, not the papers' line fit, which is
      at hand as `audit.kernels.estimators.two_nn(..., "fit")` and is not shown.
    - The estimate depends on the number of images. Curves are comparable within one report only.
    - Early maps are cut where the architecture has its stages; a peak between two stages is missed.
    - Classes are mixed, as in the paper's last-layer figure; its hunchback figure has one class.
    - Features after a ReLU, after a sum and after a layer norm differ in more than depth.

References:
    Ansuini et al. (2019), NeurIPS, arXiv:1905.12784
    Facco et al. (2017), Sci. Rep. 7:12140, doi:10.1038/s41598-017-11873-y
"""

from collections import Counter
from collections.abc import Sequence

from audit.checks.dimension.drawn import CurveOfDraws, joined
from audit.checks.dimension.jobs import ID_PROFILE, TWIN, profiles
from audit.checks.dimension.outcomes import ProfilePoint
from audit.checks.dimension.profile_report import (
    CAVEATS,
    MEANING,
    NAME,
    alike,
    chart,
    row,
    sentence,
)
from audit.evidence.case import Case, NotMeasured
from audit.evidence.setup import Setup
from audit.evidence.shared_jobs import norms_note
from audit.jobs.job import Job
from audit.jobs.kind import by_name
from audit.kernels.bias import bias_note
from audit.record import About, Finding, Measurement
from audit.reports.document import Picture, Section
from audit.stats.curve_shape import FEWEST, Ratio, shape_of

__all__ = ["KINDS", "LEFT_OUT", "LIMITS", "NAME", "NAMES", "measure", "needs", "section"]
NAN = float("nan")
ALL_TOGETHER = "the interval holds for all points of the curve together"
KINDS = by_name(ID_PROFILE)
NAMES = {
    "dimension.<point>": About("dimension at one depth of a network, or of untrained ones"),
    "pca.<point>": About("components for 90 % of the variance there"),
    "peak_depth.<profiled>": About("relative depth at which the dimension is largest"),
    "first_over_peak.<profiled>": About("dimension of the input over the largest"),
    "last_over_peak.<profiled>": About("dimension of the last layer over the largest"),
    "hunchback.<profiled>": About("1 if it was shown to rise and fall with depth, else 0"),
    "flat.<profiled>": About("1 if it was shown to stay nearly the same, else 0"),
}
LIMITS = """
  # The last layer beside the largest dimension of any depth. It informs.
  id_last_over_peak:
    measure: "id_profile.last_over_peak.subject"
    at_most: 0.9
    severity: info
    optional: true
    statement: "the last layer has at most {limit} times the largest dimension of any depth"
"""
LEFT_OUT: dict[str, str] = {}


def needs(setup: Setup) -> tuple[Job, ...]:
    """One pass over the images for each network."""
    return tuple(job for jobs in profiles(setup).values() for job in jobs)


def measure(case: Case) -> list[Measurement]:
    """Every point of every curve, and its shape."""
    found: list[Measurement] = []
    for name, jobs in profiles(case.setup).items():
        try:
            curve = joined([case.result(job) for job in jobs])
        except NotMeasured as missing:
            found += unshaped(name, str(missing), 0)
            continue
        norms = norms_note(case.setup) if name == TWIN else ""
        also = "; ".join(part for part in (curve.note, norms) if part)
        found += of_points(name, curve.points, also)
        found += of_shape(name, curve)
    return found


def of_points(name: str, points: Sequence[ProfilePoint], also: str = "") -> list[Measurement]:
    """Both dimensions at each depth of one network; `also` is said of every point."""
    found = []
    for p in points:
        note = f"not measured: {p.reason}" if p.reason else noted(p, also)
        found.append(
            Measurement(
                check=NAME,
                quantity="dimension",
                of=name,
                layer=p.name,
                value=p.value,
                unit="dimensions",
                low=p.low,
                high=p.high,
                n=p.n,
                at=p.depth,
                note=note,
                detail={"coordinates": float(p.width)},
            )
        )
    for p in points:
        note = "a count over these images, without an interval; at most n - 1"
        note += f"; {also}" if also else ""
        if p.pca != p.pca:
            note = f"not measured: {p.reason or 'the features do not vary'}"
        found.append(
            Measurement(
                check=NAME,
                quantity="pca",
                of=name,
                layer=p.name,
                value=p.pca,
                unit="dimensions",
                n=p.n + p.duplicates,
                at=p.depth,
                note=note,
            )
        )
    return found


def noted(p: ProfilePoint, also: str) -> str:
    """What to think of one point."""
    merged = f"{p.duplicates} duplicates merged" if p.duplicates else ""
    return "; ".join(part for part in (also, bias_note(p.value, p.n), merged) if part)


def of_shape(name: str, curve: CurveOfDraws) -> list[Measurement]:
    """Peak, ratios of the ends to it, and what the curve looks like."""
    points = curve.points
    known = [i for i, p in enumerate(points) if not p.reason]
    ends = [points[i] for i in (0, -1) if points[i].reason]
    if ends:
        return unshaped(name, f"{ends[0].name} has no dimension: {ends[0].reason}")
    if len(known) < FEWEST:
        return unshaped(name, f"{len(known)} points are too few for a shape; {FEWEST} are needed")
    depths = [points[i].depth for i in known]
    values = [points[i].value for i in known]
    shape = shape_of(values, curve.in_blocks[known], depths, curve.drawn[:, known])
    peak, n = points[known[shape.peak]], min(points[i].n for i in known)
    found = [
        Measurement(
            check=NAME,
            quantity="peak_depth",
            of=name,
            value=peak.depth,
            unit="fraction",
            low=shape.depths[0],
            high=shape.depths[1],
            n=n,
            note=f"at {peak.name}; from the first to the last point that images cannot tell "
            "from the peak",
            detail={"dimension": peak.value},
        ),
        over_peak("first_over_peak", name, shape.first, n),
        over_peak("last_over_peak", name, shape.last, n),
    ]
    for kind in ("hunchback", "flat"):
        note = f"{shape.kind}: {MEANING[shape.kind]}; a yes or no of tests at 5 %, no interval"
        note += f"; {curve.note}, each by itself: {curve.shapes}" if curve.kinds else ""
        value = float(shape.kind == kind)
        found.append(
            Measurement(
                check=NAME,
                quantity=kind,
                of=name,
                value=value,
                unit="count",
                n=n,
                note=note,
                category=shape.kind,
                detail={kind: float(n) for kind, n in Counter(curve.kinds).items()},
            )
        )
    return found


def over_peak(quantity: str, of: str, ratio: Ratio, n: int) -> Measurement:
    """An end of the curve over its peak."""
    note = ALL_TOGETHER if ratio.low == ratio.low else "this end is the peak: no interval"
    value, low, high = ratio
    return Measurement(
        check=NAME,
        quantity=quantity,
        of=of,
        value=value,
        unit="ratio",
        low=low,
        high=high,
        n=n,
        note=note,
    )


def unshaped(name: str, reason: str, n: int = 0) -> list[Measurement]:
    """A curve without a shape."""
    units = {"peak_depth": "fraction", "first_over_peak": "ratio", "last_over_peak": "ratio"}
    units |= {"hunchback": "count", "flat": "count"}
    return [
        Measurement.model_validate(
            {"check": NAME, "quantity": quantity, "of": name, "value": NAN, "unit": unit, "n": n}
            | {"note": f"not measured: {reason}", "clause": reason.removesuffix(".")}
        )
        for quantity, unit in units.items()
    ]


def section(
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    pictures: Sequence[Picture] = (),
) -> Section:
    """Put the curves into words; see `audit.checks.Check`."""
    networks = [m.of for m in measurements if m.quantity == "hunchback"]
    charts = (
        chart(measurements, "dimension", networks),
        chart(measurements, "pca", networks),
    )
    return Section(
        name=NAME,
        title="Intrinsic dimension at every depth",
        verdict=None,
        summary=" ".join(
            [*(sentence(measurements, name) for name in ("subject", TWIN)), alike(measurements)]
        ).strip()
        if networks
        else "Not measured: the profile leaves it out.",
        rows=tuple(row(measurements, name) for name in networks),
        charts=tuple(drawn for drawn in charts if drawn.series),
        pictures=tuple(pictures),
        caveats=CAVEATS,
        references=(
            "Ansuini et al. (2019), NeurIPS, arXiv:1905.12784",
            "Facco et al. (2017), Sci. Rep. 7:12140",
        ),
    )
