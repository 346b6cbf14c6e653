"""The full transfer experiment in words: what A and B are, the effects, and the chart."""

from collections.abc import Sequence

from audit.checks.transfer.curves import series
from audit.evidence.setup import Setup
from audit.record import Measurement
from audit.reports.document import Chart, Role
from audit.reports.text import interval, number, visible

CURVES: dict[str, tuple[str, Role]] = {
    "bnb": ("BnB: own, frozen", "subject"),
    "bnb_plus": ("BnB+: own, all learn", "subject"),
    "anb": ("AnB: other, frozen", "control"),
    "anb_plus": ("AnB+: other, all learn", "control"),
    "untrained": ("fresh, frozen", "untrained"),
}

EFFECTS = {
    "specialisation": "freezing layers of A instead of its own costs B at most",
    "coadaptation": "freezing B's own layers costs at most",
    "gain": "letting layers of A learn on gains at most",
}

NOT_IN_PROFILE = (
    "it was not asked for (--transfer-classes, --transfer-data, or --set split_transfer=true)"
)

GIVEN = "A is the model as it was given, learned from other images, with a budget of its own"
NO_PREMISE = f"{GIVEN}, so that layers of A and of B differ by more than the task"
UNFINISHED = "baseB was not trained to its end: with longer training this may differ"

CAVEATS = (
    "What is lost from A to B depends on how alike the two are; it says nothing about a third "
    "task.",
    "Where the classes are divided, the networks are not the model's own: the effects are those of "
    "its architecture and of a short recipe on these data. One division was tried.",
    "The paper pools both directions, each beside its own base. Here only B is learned behind "
    "layers of A: what is particular to the two halves, as one that is harder, stays in the "
    "effects.",
    "BnB before the classifier must return to baseB within 1 point and BnB+ within 2, and the "
    "bases must have learned; where they do not, no effect is measured. Where one is shown to end "
    "higher than that, baseB was not trained to its end, and co-adaptation is not measured.",
    "With --transfer-data A is the model as it was given: it learned from other images, for longer "
    "or shorter than baseB. AnB differs from BnB by all of that, so specialisation is not measured "
    "there, and the gain holds it.",
    "AnB+ has seen more steps than baseB, those of its donor included; BnB+ has, too.",
    "A limit on specialisation asks for early layers that serve both tasks; layers just before the "
    "classifier are special to their task in every good network.",
)


def sides(setup: Setup) -> str:
    """What A and B are, in words."""
    if setup.transfer is not None:
        seen = (
            f", {setup.transfer.seen:,} of them training images of A" if setup.transfer.seen else ""
        )
        return (
            f"A: the model itself; B: {setup.transfer.name}, "
            f"{setup.transfer.n_eval:,} evaluation images{seen}"
        )
    of_b = [name for name in setup.classes if name not in setup.transfer_classes]
    return f"A: {listed(setup.transfer_classes)}; B: {listed(of_b)}"


def listed(names: Sequence[str]) -> str:
    """Up to twelve names."""
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(visible(name, 30) for name in names[:12]) + more


def summary(measurements: Sequence[Measurement], base: Measurement | None) -> str:
    """What was transferred, and the largest of each effect."""
    if base is None:
        crashed = next((m.note for m in measurements if m.note), NOT_IN_PROFILE)
        return f"Not measured: {crashed}."
    if base.value != base.value:
        return f"Not measured: {base.note}."
    parts = [f"{base.clause}. baseB reaches {number(base.value, 'fraction')}."]
    lost: dict[str, list[str]] = {}  # by reason
    for effect, words in EFFECTS.items():
        own = [m for m in measurements if m.quantity == effect]
        known = [m for m in own if m.value == m.value]
        if known:
            top = max(known, key=lambda m: m.value)
            parts.append(
                f"{words[0].upper()}{words[1:]} {number(top.value, 'points')} "
                f"({interval(top.low, top.high, 'points')}, for all cuts together), at "
                f"{top.of}."
            )
        for m in own:
            if m.value != m.value:
                what = effect.replace("coadaptation", "co-adaptation")
                lost.setdefault(m.note, []).append(f"{what} at {m.of}")
    parts += [f"Not measured, {', '.join(what)}: {note}." for note, what in lost.items()]
    return " ".join(parts)


def chart(curve: Sequence[Measurement], base: Measurement) -> Chart:
    """Accuracy on B of the five kinds of network against the depth of the cut."""
    return Chart(
        title="Accuracy on B behind layers of B and of A",
        description="For each cut, by the share of computation before it: accuracy on B with "
        "layers of its own base (BnB, BnB+) and of the other (AnB, AnB+) before the cut, frozen or "
        "learning on, and, as a control, with a frozen prefix of fresh weights.",
        kind="line",
        x_label="depth of the cut (share of multiply-adds before it)",
        y_label="accuracy on B",
        series=series(curve, CURVES),
        limits=((base.value, "baseB"),),
        percent=True,
    )
