"""Last-layer intrinsic dimension against accuracy, over all models of several runs.

Ansuini et al. (2019), arXiv:1905.12784, found that among trained networks a lower dimension of the
last hidden layer goes with a better accuracy. Here that is asked of the models at hand.
"""

import math
import re
from collections.abc import Sequence

from audit.comparison.record import Point
from audit.comparison.words import with_interval
from audit.record import GAP, Measurement, role_of, title_of
from audit.reports.document import Cell, Chart, Section, Series
from audit.reports.text import fixed
from audit.runs.finished import FinishedRun
from audit.stats.rank_correlation import LEAST, Correlation, spearman

DIMENSION = "intrinsic_dimension", "last_layer"  # check and quantity
NULLS = "nulls and controls"
ENOUGH, STRONG = 6, -0.8  # models of one family, and their rho, from which ID may warn

CAVEATS = (
    "The dimension has no good side by itself: blind nulls, briefly trained and untrained networks "
    "show the same values. A limit on it may be raised to a warning only where at least six models "
    "of one family on these data show a rank correlation of −0.8 or below.",
    "The nulls share a recipe and a design, and all models the same images: they are no random "
    "sample of models, so the interval of the rank correlation is too narrow rather than too wide.",
    "Features after a ReLU and after a layer norm are not comparable: compare within one family.",
    "Above about 20 the estimate is biased low.",
)


def points(runs: Sequence[FinishedRun], titles: Sequence[str]) -> tuple[tuple[Point, ...], str]:
    """Every model of every run that has both numbers, a null that several runs share once.

    Args:
        runs: On the same data.
        titles: What their subjects are called.

    Returns:
        The models, and a sentence on those that had to be left out, or nothing.
    """
    found: dict[tuple[str, float, float], Point] = {}
    lacking: list[str] = []
    for run, title in zip(runs, titles, strict=True):
        for model in models(run):
            point = _point(run, title, model)
            if point is None:
                lacking.append(title if model == "subject" else title_of(model))
                continue
            key = (title if model == "subject" else "", point.dimension.value, point.accuracy.value)
            found.setdefault((f"{model} {key[0]}", *key[1:]), point)
    kept, odd = _same_images([*found.values()])
    left = [*dict.fromkeys([*lacking, *(point.model for point in odd)])]
    why = "without a number, or on another number of images"
    return kept, f"Left out ({why}): {', '.join(left)}." if left else ""


def models(run: FinishedRun) -> list[str]:
    """The models of a run whose dimension was to be measured."""
    own = (m for m in run.report.measurements if not m.minus_reference)
    return [*dict.fromkeys(m.of for m in own if (m.check, m.quantity) == DIMENSION)]


def dimension(run: FinishedRun, model: str) -> Measurement | None:
    """The dimension of a model's last layer."""
    return run.number(*DIMENSION, model)


def _point(run: FinishedRun, title: str, model: str) -> Point | None:
    """One model; None if either number is missing."""
    found, accuracy = dimension(run, model), run.number(GAP, "accuracy", model)
    if found is None or accuracy is None or math.isnan(found.value + accuracy.value):
        return None
    subject = model == "subject"
    return Point(
        model=title if subject else title_of(model),
        name=model,
        family=family(run.report.facts.model.architecture) if subject else NULLS,
        role=role_of(model),
        dimension=found,
        accuracy=accuracy,
    )


def _same_images(found: list[Point]) -> tuple[tuple[Point, ...], list[Point]]:
    """The models whose dimension rests on the most common number of images, and the others."""
    counts = [point.dimension.n for point in found]
    usual = max(set(counts), key=lambda n: (counts.count(n), n), default=0)
    kept = tuple(point for point in found if point.dimension.n == usual)
    return kept, [point for point in found if point.dimension.n != usual]


def family(architecture: str) -> str:
    """Letters before the first digit or separator: "resnet18" and "resnet10t" are one family."""
    found = re.match(r"[a-z]+", architecture.lower())
    return found[0] if found else "unknown"


def correlations(found: Sequence[Point]) -> tuple[Correlation, ...]:
    """Over all models, over the subjects, and over each family with enough models."""
    kinds = {"all models": list(found), "audited models": [p for p in found if p.role == "subject"]}
    for point in found:
        kinds.setdefault(kind(point), []).append(point)
    return tuple(
        spearman([p.dimension.value for p in own], [p.accuracy.value for p in own], over=name)
        for name, own in kinds.items()
        if name == "all models" or len(own) >= LEAST
    )


def kind(point: Point) -> str:
    """The models that a model is one of, in words."""
    return NULLS if point.family == NULLS else f"family {point.family}"


def section(found: Sequence[Point], rhos: Sequence[Correlation], left_out: str) -> Section:
    """The scatter, the rank correlations, and every model's two numbers."""
    return Section(
        name="dimension",
        title="Last-layer dimension against accuracy",
        verdict=None,
        summary=" ".join(part for part in (summary(rhos), warnable(rhos, found), left_out) if part),
        rows=_rows(found),
        charts=(chart(found),) if found else (),
        caveats=CAVEATS,
        references=(
            "Ansuini et al. (2019), NeurIPS, arXiv:1905.12784",
            "Bonett & Wright (2000), Psychometrika 65:23, doi:10.1007/BF02294183",
        ),
    )


def summary(rhos: Sequence[Correlation]) -> str:
    """The rank correlations in words, each with its interval and n."""
    told = [
        f"{rho.over}: {rho.note} ({rho.n})"
        if math.isnan(rho.value)
        else f"{rho.over}: {fixed(rho.value, 2)} ({fixed(rho.low, 2)} to {fixed(rho.high, 2)}, "
        f"{rho.n} models{f'; {rho.note}' if rho.note else ''})"
        for rho in rhos
    ]
    return (
        "Spearman's rank correlation of dimension with accuracy (95 % interval by Fisher's z with "
        f"the variance of Bonett and Wright) over {'; '.join(told)}."
    )


def warnable(rhos: Sequence[Correlation], found: Sequence[Point]) -> str:
    """Whether the dimension may be raised to a warning on these data."""
    families = {kind(point) for point in found if point.family != NULLS}
    strong = [
        rho.over for rho in rhos if rho.over in families and rho.n >= ENOUGH and rho.value <= STRONG
    ]
    if strong:
        return f"On these data a limit on the dimension may warn for {', '.join(strong)}."
    return "On these data the dimension informs and must not warn."


def chart(found: Sequence[Point]) -> Chart:
    """One dot a model."""
    return Chart(
        title="Intrinsic dimension of the last layer against accuracy",
        description="Each dot is a model on the same images, its bar the 95 % interval of the "
        "dimension. If a lower dimension went with a better accuracy, the dots would fall from the "
        "upper left to the lower right.",
        kind="scatter",
        x_label="accuracy, %",
        y_label="dimension (TwoNN)",
        series=tuple(
            Series(
                name=p.model,
                role=p.role,
                x=(round(100 * p.accuracy.value, 4),),
                y=(p.dimension.value,),
                low=(p.dimension.low,),
                high=(p.dimension.high,),
            )
            for p in found
        ),
    )


def _rows(found: Sequence[Point]) -> tuple[dict[str, Cell], ...]:
    """The table; its column of notes only where there is one."""
    rows: list[dict[str, Cell]] = [
        {
            "model": p.model,
            "family": p.family,
            "accuracy (95 % interval)": with_interval(p.accuracy),
            "dimension (95 % interval)": with_interval(p.dimension),
            "n": f"{p.dimension.n:,}",
            "note": p.dimension.note or "–",
        }
        for p in found
    ]
    if not any(p.dimension.note for p in found):
        rows = [{key: cell for key, cell in row.items() if key != "note"} for row in rows]
    return tuple(rows)
