"""Many audits on the same data: which model takes most of the errors of the strongest null."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from audit.comparison import scatter
from audit.comparison.change import Change, change, not_same_images, other_classes
from audit.comparison.facts import same_policy
from audit.comparison.record import Entry, Result
from audit.comparison.significance import more_than_noise
from audit.comparison.words import with_interval
from audit.core.errors import AuditError
from audit.record import GAIN, GAP, Measurement, Quantity, is_gap, title_of
from audit.reports.comparison.document import Compared, Comparison
from audit.reports.document import Cell, Chart, Section, dot
from audit.reports.text import fixed, interval, number, visible
from audit.runs.finished import FinishedRun

SUBJECT = Quantity(check=GAP, quantity="accuracy", of="subject")
NO_ACCURACY = Measurement(**SUBJECT.fields, value=math.nan, unit="fraction", note="not measured")
NO_GAIN = Measurement(check=GAP, quantity=GAIN, value=math.nan, unit="gain", note="not measured")

CAVEATS = (
    "The order is that of the estimates. Where a model is not more than noise behind the one "
    "above it, their order may be chance; “behind” asks that of neighbours only, each by itself.",
    "Each gain is over the strongest claim rung of the model's own run, and each verdict by the "
    "policy of its own run.",
    "A leaderboard invites choosing the best: the first model's numbers are flattered by having "
    "been chosen on these images.",
)


def leaderboard(runs: Sequence[FinishedRun], command: str = "") -> Result:
    """A table over models audited on the same data, and the scatter of dimension and accuracy.

    Args:
        runs: At least one.
        command: That makes it again.

    Raises:
        AuditError: COMPARE_DATA if a run is on other data than the first.
    """
    for run in runs[1:]:
        demand_same_data(runs[0], run)
    ordered = sorted(runs, key=_order)
    titles = distinct([run.report.document.title for run in ordered])
    entries = tuple(
        entry(rank, title, run, ordered[rank - 2] if rank > 1 else None)
        for rank, (run, title) in enumerate(zip(ordered, titles, strict=True), start=1)
    )
    found, left_out = scatter.points(ordered, titles)
    rhos = scatter.correlations(found)
    document = Comparison(
        kind="leaderboard",
        title=f"Leaderboard of {len(runs)} audited {'model' if len(runs) == 1 else 'models'}",
        headline=headline(entries),
        runs=tuple(_compared(e, run) for e, run in zip(entries, ordered, strict=True)),
        sections=(board(entries, notes(ordered)), scatter.section(found, rhos, left_out)),
        caveats=CAVEATS,
        command=command,
    )
    return Result(document=document, entries=entries, points=found, correlations=rhos)


def demand_same_data(first: FinishedRun, other: FinishedRun) -> None:
    """Refuse a run on other data: its place in the table would mean nothing.

    Raises:
        AuditError: COMPARE_DATA.
    """
    one, two = (run.report.facts.data for run in (first, other))
    digests = ((one.digest, two.digest), (one.eval_digest, two.eval_digest))
    same = any(a and a == b for a, b in digests)
    if not other_classes(first, other) and (same or not not_same_images(first, other)):
        return
    raise AuditError(
        "COMPARE_DATA",
        f"a leaderboard needs audits on the same data, but {visible(str(other.path))} was "
        f"audited on other data than {visible(str(first.path))}.",
        "Leave it out, or compare the two alone.",
    )


def claims(run: FinishedRun) -> dict[str, Measurement]:
    """The gain over every claim rung of a run, by the rung's name."""
    gains = (m for m in run.report.measurements if is_gap(m, GAIN))
    return {m.of: m for m in gains if m.detail.get("claim")}


def strongest(run: FinishedRun) -> tuple[str, Measurement]:
    """The claim rung that leaves the model the least gain; ("", NaN) if none was measured."""
    known = {name: m for name, m in claims(run).items() if not math.isnan(m.value)}
    if not known:
        return "", NO_GAIN
    name = min(known, key=lambda name: known[name].value)
    return name, known[name]


def _order(run: FinishedRun) -> tuple[bool, float]:
    gain = strongest(run)[1].value
    return math.isnan(gain), -gain


def distinct(titles: Sequence[str]) -> list[str]:
    """Titles, numbered where several are equal."""
    total, seen, named = Counter(titles), Counter[str](), []
    for title in titles:
        seen[title] += 1
        named.append(f"{title} #{seen[title]}" if total[title] > 1 else title)
    return named


def entry(rank: int, title: str, run: FinishedRun, above: FinishedRun | None) -> Entry:
    """One model's line."""
    name, gain = strongest(run)
    return Entry(
        rank=rank,
        run=str(run.path),
        title=title,
        verdict=run.report.document.verdict,
        accuracy=run.by_name.get(SUBJECT.name) or NO_ACCURACY,
        strongest=name,
        gain=gain,
        dimension=scatter.dimension(run, "subject"),
        behind=change(SUBJECT, above, run) if above is not None else None,
    )


def headline(entries: Sequence[Entry]) -> str:
    """Who is first, by how much, and how many pass."""
    passed = sum(e.verdict == "pass" for e in entries)
    judged = (
        f"{passed} of {len(entries)} {'passes' if passed == 1 else 'pass'} by their own policy."
    )
    first = entries[0]
    if math.isnan(first.gain.value):
        return f"No run holds a gain over a claim rung, so there is no order. {judged}"
    text = (
        f"{first.title} removes the largest share of the errors of its strongest null, "
        f"{title_of(first.strongest)}: a gain of {number(first.gain.value, 'gain')} "
        f"({interval(first.gain.low, first.gain.high, 'gain')}, n = {first.gain.n:,})."
    )
    if len(entries) > 1 and entries[1].behind is not None:
        answer = more_than_noise(entries[1].behind)
        lead = {
            "yes": "more than noise",
            "no": "no more than noise may explain",
            "cannot tell": "of which nothing can be told",
        }[answer]
        text += (
            f" The second is {number(-entries[1].behind.value, 'points')} less accurate, {lead}."
        )
    return f"{text} {judged}"


def _compared(e: Entry, run: FinishedRun) -> Compared:
    told = {"verdict": e.verdict, "read from": e.run}
    date = run.report.facts.audit.date
    return Compared(label=str(e.rank), title=e.title, facts=told | ({"date": date} if date else {}))


def notes(runs: Sequence[FinishedRun]) -> str:
    """What makes the rows less comparable than they look."""
    said = []
    if len({_ladder(run) for run in runs}) > 1:
        said.append(
            "The runs' nulls differ (other rungs, seeds or budgets), so their gains are not over "
            "the same opponent."
        )
    if any(not same_policy(runs[0], run) for run in runs[1:]):
        said.append("The runs were judged by different policies.")
    reasons = [not_same_images(a, b) for a, b in pairwise(runs)]
    if any(reasons):
        said.append(f"Not all neighbours are paired: {next(filter(None, reasons))}.")
    return " ".join(said)


def _ladder(run: FinishedRun) -> tuple[tuple[str, float], ...]:
    """The claim rungs with their accuracies: equal where the nulls are the same."""
    found = [(name, run.number(GAP, "accuracy", name)) for name in sorted(claims(run))]
    return tuple((name, -1.0 if m is None else m.value) for name, m in found)


def board(entries: Sequence[Entry], note: str) -> Section:
    """The table, and the gains as a picture."""
    return Section(
        name="leaderboard",
        title="Models by their gain over the strongest null",
        verdict=None,
        summary="The gain is the share of the strongest claim rung's errors that the model "
        f"removes; what no blind model could do. {note}".strip(),
        rows=tuple(map(_row, entries)),
        charts=(_chart(entries),),
    )


def _row(e: Entry) -> dict[str, Cell]:
    """One model's line of the table."""
    behind = e.behind
    return {
        "model": f"{e.rank} {e.title}",
        "verdict": e.verdict,
        "gain (95 % interval)": with_interval(e.gain),
        "over": title_of(e.strongest) if e.strongest else "–",
        "accuracy (95 % interval)": with_interval(e.accuracy),
        "points less the row above": _points(behind) if behind else "–",
        "more than noise": "–" if behind is None else more_than_noise(behind),
        "n": f"{e.accuracy.n:,}",
        "dimension": with_interval(e.dimension) if e.dimension else "–",
    }


def _points(c: Change) -> str:
    """A difference of accuracies in points with its interval, without the word."""
    low, high = (fixed(100 * end, 1) for end in (c.low, c.high))
    return f"{fixed(100 * c.value, 1)} ({low} to {high})" if c.low <= c.high else number(c.value)


def _chart(entries: Sequence[Entry]) -> Chart:
    """Gains with their intervals."""
    return Chart(
        title="Gain over the strongest null",
        description="Each row is a model, the dot its gain, the bar the 95 % interval; at 0 a "
        "blind model is as good.",
        kind="interval",
        x_label="gain: share of the null's errors removed",
        y_label="model",
        series=tuple(
            dot(f"{e.rank} {e.title}", "subject", e.gain.value, e.gain.low, e.gain.high)
            for e in entries
        ),
        limits=((0.0, "as good as a blind model"),),
    )
