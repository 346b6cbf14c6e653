"""Two runs beside each other: what differs in what they say, in verdicts, in numbers."""

import math
from collections.abc import Iterable, Sequence

from audit.comparison.change import Change, change, not_same_images, other_classes
from audit.comparison.facts import agreement, different, same_policy
from audit.comparison.per_image import CLASS
from audit.comparison.record import Result
from audit.comparison.significance import more_than_noise, p_value
from audit.comparison.words import noise_words, quantity, row
from audit.policy.gain_verdict import holm
from audit.record import GAP, Finding, is_gain, is_gap, role_of
from audit.reports.comparison.document import Compared, Comparison
from audit.reports.document import Cell, Chart, Section, dot
from audit.reports.text import interval, number
from audit.runs.finished import FinishedRun

ACCURACY = "accuracy"
LABELS = ("A", "B")

LEFT_OUT = {  # quantities of the gap: told by the accuracies, or none of the model
    "gap",
    "mcnemar",
    "allowance",
    "class_gap",
    "twin_gain",
}

MOST_CLASSES = 30

CAVEATS = (
    "Every interval is for its row alone: among 20 rows of pure noise one is expected to be "
    "“more than noise”. The accuracies are therefore also marked after Holm's correction, which "
    "holds over all rows of their table together. n counts near duplicates as one image.",
    "The models are taken as they are: what another training run of the same recipe would give is "
    "not part of any interval. The nulls' spread over seeds is.",
    "“No” means that these images cannot tell the two apart, not that they are equal.",
)

ONLY_FACTS = "Which of the two is better: no number of one can be held against one of the other."

UNPAIRED = (
    "A row that is not paired adds the two intervals in quadrature, as if the runs were "
    "independent; on the same images that is usually wider than need be."
)


def compare_two(before: FinishedRun, after: FinishedRun, command: str = "") -> Result:
    """All that differs between two runs.

    Args:
        before: The first run, A.
        after: The second, B.
        command: That makes the comparison again.

    Returns:
        Facts and verdicts only where the classes differ: their numbers answer other questions.
    """
    changes = () if other_classes(before, after) else tuple(all_changes(before, after))
    tested = {c.name: p_value(c) for c in changes if _tested(c)}
    adjusted = holm({name: p for name, p in tested.items() if not math.isnan(p)})
    facts = different(before, after)
    document = Comparison(
        kind="two runs",
        title="Two audits compared",
        headline=headline(before, after, changes),
        runs=tuple(map(compared, LABELS, (before, after))),
        sections=(
            facts_section(before, after, facts),
            verdict_section(before, after),
            *number_sections(after, changes, adjusted),
        ),
        caveats=caveats(changes),
        command=command,
    )
    return Result(document=document, facts=facts, changes=changes, holm=adjusted)


def caveats(changes: Sequence[Change]) -> tuple[str, ...]:
    """What these changes do not say."""
    if not changes:
        return (ONLY_FACTS,)
    return CAVEATS + ((UNPAIRED,) if any(map(_is_unpaired, changes)) else ())


def compared(label: str, run: FinishedRun) -> Compared:
    """One run in a few words."""
    document = run.report.document
    told = {
        "verdict": document.verdict,
        "date": run.report.facts.audit.date,
        "read from": str(run.path),
    }
    return Compared(label=label, title=document.title, facts={k: v for k, v in told.items() if v})


def all_changes(before: FinishedRun, after: FinishedRun) -> Iterable[Change]:
    """Of every quantity that either run holds as one number, in the order of the report."""
    for name in dict.fromkeys([*after.by_name, *before.by_name]):
        known = after.by_name.get(name) or before.by_name.get(name)
        if known is not None and not (known.minus_reference or known.crashed):
            yield change(known, before, after)


def _tested(c: Change) -> bool:
    """Whether a change in accuracy is a question at all: the same null has none."""
    return is_gap(c, ACCURACY) and not c.same


def _is_unpaired(c: Change) -> bool:
    return not c.paired and c.low < c.high


def headline(before: FinishedRun, after: FinishedRun, changes: Sequence[Change]) -> str:
    """What a reader must know: the accuracy, whether its change is noise, the verdict."""
    verdicts = [run.report.document.verdict for run in (before, after)]
    judged = f"Both are judged {verdicts[0]}."
    if verdicts[0] != verdicts[1]:
        judged = f"The verdict goes from {verdicts[0]} to {verdicts[1]}."
    found = next((c for c in changes if is_gap(c, ACCURACY) and c.of == "subject"), None)
    if other_classes(before, after):
        return f"The two runs know different classes, so only facts are compared. {judged}"
    if found is None or math.isnan(found.value):
        return f"The accuracies cannot be compared. {judged}"
    return f"{accuracy_words(found)}{_data_words(before, after, found)} {judged}"


def accuracy_words(c: Change) -> str:
    """The change of the subject's accuracy in one sentence."""
    n = f"{c.n:,} {'images, paired' if c.paired else 'images, unpaired'}"
    if c.value == 0:
        return f"A and B get equally many images right ({n})."
    side = "more" if c.value > 0 else "fewer"
    return (
        f"B gets {number(abs(c.value), 'points')} {side} of the images right than A (95 % interval "
        f"of the change {interval(c.low, c.high, 'points')}; {n}): {noise_words(c)}."
    )


def _data_words(before: FinishedRun, after: FinishedRun, c: Change) -> str:
    """Why it is not paired."""
    reason = "" if c.paired else not_same_images(before, after)
    return f" It is not paired: {reason}." if reason else ""


def facts_section(
    before: FinishedRun, after: FinishedRun, facts: Sequence[dict[str, str]]
) -> Section:
    """What the runs say differently of themselves."""
    return Section(
        name="facts",
        title="What was audited, and how",
        verdict=None,
        summary=agreement(before, after)
        + ("" if facts else " Nothing differs in what the reports say of themselves."),
        rows=tuple({**fact} for fact in facts),
    )


def verdict_section(before: FinishedRun, after: FinishedRun) -> Section:
    """Limits that were judged differently."""
    first, second = ({f.limit: f for f in run.report.findings} for run in (before, after))
    rows: list[dict[str, Cell]] = []
    for limit in dict.fromkeys([*first, *second]):
        a, b = _verdict(first.get(limit)), _verdict(second.get(limit))
        if a != b:
            known = second.get(limit) or first[limit]
            rows.append({"limit": limit, "A": a, "B": b, "asked": known.statement})
    total = len({**first, **second})
    summary = f"{len(rows)} of {total} limits changed." if rows else f"None of {total} changed."
    if not same_policy(before, after):
        summary += (
            " The runs were judged by different policies: judge one again under the other's "
            "(`audit judge RUN --policy FILE`) before reading anything into a changed verdict."
        )
    return Section(
        name="limits", title="Limits that changed", verdict=None, summary=summary, rows=tuple(rows)
    )


def _verdict(finding: Finding | None) -> str:
    if finding is None:
        return "not asked"
    kind = "" if finding.severity == "gate" else f" ({finding.severity})"
    return finding.verdict + kind + (" (waived)" if finding.waiver else "")


def number_sections(
    after: FinishedRun, changes: Sequence[Change], adjusted: dict[str, float]
) -> tuple[Section, ...]:
    """Accuracies, gains, then every other check under its own title."""
    if not changes:
        return ()
    titles = {section.name: section.title for section in after.report.document.sections}
    by_table: dict[str, list[Change]] = {"accuracy": [], "gain": [], "classes": []}
    for c in changes:
        if not (c.check == GAP and c.quantity in LEFT_OUT):
            by_table.setdefault(_table_of(c), []).append(c)
    accuracy, gains, classes = (by_table.pop(name) for name in ("accuracy", "gain", "classes"))
    return (
        table("accuracy", "Accuracy on the evaluation images", accuracy, adjusted=adjusted),
        table("gain", "Share of each null's errors that the model removes", gains),
        *((class_table(classes),) if classes else ()),
        *(table(check, titles.get(check, check), found) for check, found in by_table.items()),
    )


def _table_of(c: Change) -> str:
    """The table that a quantity stands in: its own, or that of its check."""
    if is_gap(c, ACCURACY):
        return "accuracy"
    if is_gain(c):
        return "gain"
    return "classes" if is_gap(c, CLASS) else c.check


def class_table(changes: Sequence[Change]) -> Section:
    """Accuracy class by class; of many classes those that changed most."""
    largest = sorted(changes, key=lambda c: (math.isnan(c.value), -abs(c.value)))
    section = table("classes", "Accuracy of each class", largest[:MOST_CLASSES])
    text = f"The intervals of all {len(changes)} classes hold together. {section.summary}"
    if len(changes) > MOST_CLASSES:
        text += f" Only the {MOST_CLASSES} that changed most are shown."
    return section.model_copy(update={"summary": text})


def table(
    name: str, title: str, changes: Sequence[Change], adjusted: dict[str, float] | None = None
) -> Section:
    """One table of changes and, of what has an interval, the picture; what is the same is counted.

    Args:
        name: Of the section.
        title: Likewise.
        changes: Its rows.
        adjusted: p-values after Holm, for a table that has that column.
    """
    apart = name in ("accuracy", "gain")  # where a missing null is worth a row
    shown = [c for c in changes if not c.same and (apart or not math.isnan(c.value))]
    drawn = [c for c in shown if c.low <= c.high and apart]
    return Section(
        name=name,
        title=title,
        verdict=None,
        summary=summary(changes, shown, adjusted),
        rows=tuple(row(c, adjusted) for c in shown),
        charts=(chart(title, drawn),) if drawn else (),
    )


def summary(
    changes: Sequence[Change], shown: Sequence[Change], adjusted: dict[str, float] | None
) -> str:
    """How many rows changed by more than noise, and what is not shown."""
    answers = [more_than_noise(c) for c in shown]
    parts = []
    if shown:
        parts.append(f"{answers.count('yes')} of {len(shown)} changed by more than noise.")
    if adjusted is not None and len(adjusted) > 1:
        kept = sum(p <= 0.05 for p in adjusted.values())
        parts.append(f"After Holm's correction over {len(adjusted)} rows: {kept}.")
    same = sum(c.same for c in changes)
    lacking = [quantity(c) for c in changes if not c.same and c not in shown]
    if lacking:
        few = ", ".join(lacking[:4]) + (", …" if len(lacking) > 4 else "")
        parts.append(f"One run or both hold no number of {len(lacking)} more ({few}).")
    if same:
        parts.append(f"{same} {'is' if same == 1 else 'are'} exactly the same in both.")
    return " ".join(parts) or "Neither run holds a number of this kind."


def chart(title: str, changes: Sequence[Change]) -> Chart:
    """Changes with their intervals around 0."""
    points = changes[0].unit != "gain"
    return Chart(
        title=f"{title}: B less A",
        description="Each row is a change with its 95 % interval; an interval that does not touch "
        "the line at 0 is more than noise.",
        kind="interval",
        x_label="change in percentage points" if points else "change in the gain",
        y_label="quantity",
        series=tuple(dot(quantity(c), role_of(c.of), c.value, c.low, c.high) for c in changes),
        limits=((0.0, "no change"),),
        points=points,
    )
