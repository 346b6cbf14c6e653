"""The page that `coverage.py` writes."""

from collections.abc import Mapping
from typing import Any

import timm

Record = dict[str, Any]
JobResults = dict[tuple[str, str], Record]  # by architecture and step

HEADLESS = "has no layer that makes logits"
ENOUGH = 4  # cuts at different depths
CLASSIFIERS = {  # how the logits follow from the last hidden layer
    "equal": "one classifier, fed with the last hidden layer, gives the logits",
    "averages": "several classifiers, whose average is the logits",
    "combines": "several classifiers, not simply averaged",
    "unused": "the classifier's layer is not called",
    "scales": "the logits are not simply the classifier's output",
    "other input": "the classifier is fed with something else than the last hidden layer",
}


def page(
    groups: Mapping[str, list[str]], chosen: Mapping[str, str], done: JobResults, largest: int
) -> str:
    """Counts, what is special, and one line a family.

    Args:
        groups: Architectures by family.
        chosen: The architecture that stands for each structure.
        done: All that was found.
        largest: Parameters up to which an architecture was built with values.
    """
    names = [name for members in groups.values() for name in members]
    special = {name: why for name in names if (why := words(name, chosen, done))}
    headed = [name for name in names if "error" not in done[name, "outline"]]
    families = {family(name, groups) for name in headed if not traced(name, chosen, done)}
    return "\n".join(
        [
            "# Which architectures can be audited",
            "",
            f"Made by `python benchmarks/coverage.py` with timm {timm.__version__}; the head of "
            "that script says how.",
            "",
            "| | number |",
            "|---|---|",
            *(f"| {what} | {number:,} |" for what, number in counts(names, chosen, done).items()),
            "| families with an architecture that has a classifier and is not cut by a trace | "
            f"{len(families)}: {', '.join(sorted(families))} |",
            "",
            "## Architectures that need a word",
            "",
            "| architecture | what is special |",
            "|---|---|",
            *(f"| {name} | {why.replace('|', '/')} |" for name, why in special.items()),
            "",
            "## Families: the smallest architecture, with values",
            "",
            "| family | architectures | smallest | million parameters | side | classifier | cuts | "
            "of these split | result |",
            "|---|---|---|---|---|---|---|---|---|",
            *(family_row(name, members, done, largest) for name, members in groups.items()),
            "",
        ]
    )


def counts(names: list[str], chosen: Mapping[str, str], done: JobResults) -> dict[str, int]:
    """What the first table says."""
    rows = {name: done[name, "outline"] for name in names}
    fine = {name: row for name, row in rows.items() if "error" not in row}
    found = [row for row in fine.values() if row["found"]]
    return {
        "architectures of timm": len(rows),
        "built, with a last hidden layer and logits": sum(r["logits"] for r in fine.values()),
        "encoders without a classifier, which an audit refuses": sum(
            HEADLESS in row.get("error", "") for row in rows.values()
        ),
        **{
            what: n
            for word, what in CLASSIFIERS.items()
            if (n := sum(r["classifier"] == word for r in fine.values()))
        },
        "a training checkpoint of it passes all checks of loading": sum(
            not row["refused"] for row in fine.values()
        ),
        "structures, of which the smallest architecture was cut": len(chosen),
        "architectures cut by a trace": sum(traced(name, chosen, done) for name in names),
        "found again by the names and shapes of their weights": len(found),
        "of these, with no other candidate": sum(not r["rivals"] + r["twins"] for r in found),
        "of these, with candidates that compute the same alone": sum(
            bool(r["twins"]) and not r["rivals"] for r in found
        ),
        "of these, with candidates that compute something else": sum(
            bool(r["rivals"]) for r in found
        ),
    }


def cut_of(name: str, chosen: Mapping[str, str], done: JobResults) -> Record:
    """What is known of an architecture's cuts: its own, or those of its structure."""
    stands = chosen.get(done[name, "outline"].get("structure", ""), name)
    return done.get((name, "cuts")) or done.get((stands, "cuts"), {"error": "not built"})


def traced(name: str, chosen: Mapping[str, str], done: JobResults) -> bool:
    """Whether an architecture is cut by its trace."""
    return bool(cut_of(name, chosen, done).get("traced"))


def family(name: str, groups: Mapping[str, list[str]]) -> str:
    """The family of an architecture."""
    return next(group for group, members in groups.items() if name in members)


def words(name: str, chosen: Mapping[str, str], done: JobResults) -> str:
    """Why an architecture needs a word; empty if it needs none."""
    row, cut = done[name, "outline"], cut_of(name, chosen, done)
    if "error" in row:
        return f"fails: {row['error']}"
    notes = []
    if row["classifier"] not in ("equal", "averages"):
        notes.append(CLASSIFIERS[row["classifier"]])
    if "error" in cut:
        notes.append(f"no cuts: {cut['error']}")
    else:
        notes += cut_words(cut)
    if row["refused"]:
        way = row["refused_with_size"] or "with it a training checkpoint is loaded"
        notes.append(f"not loaded as it is: {row['refused']} ({way})")
    if not row["found"]:
        notes.append("not found by its weights")
    if row["rivals"]:
        notes.append(f"its weights fit {', '.join(row['matching_architectures'])} as well")
    return "; ".join(notes)


def cut_words(cut: Record) -> list[str]:
    """What is special about cuts."""
    notes = []
    if not cut["traced"]:
        notes.append("cut by the order of its modules, because a trace fails or finds too little")
    if cut["depths"] < ENOUGH:
        notes.append(f"only {cut['depths']} cuts at different depths")
    if cut["frozen"] < cut["cuts"]:
        odd = ", ".join(cut["odd"])
        notes.append(
            f"{cut['cuts'] - cut['frozen']} of {cut['cuts']} cuts divide no weights: {odd}"
        )
    return notes


def family_row(name: str, members: list[str], done: JobResults, largest: int) -> str:
    """One family's line."""
    built = [m for m in members if "parameters" in done[m, "outline"]]
    least = min(built, key=lambda m: done[m, "outline"]["parameters"], default="")
    outlined, record = done.get((least, "outline"), {}), done.get((least, "values"), {})
    cells = [
        *(name, len(members), least),
        f"{outlined.get('parameters', 0) / 1e6:.1f}",
        *(outlined.get("side", ""), record.get("classifier", "")),
        *(record.get("cuts", ""), record.get("split", ""), result(record, largest)),
    ]
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


def result(record: Record, largest: int) -> str:
    """What came out of building with values."""
    if not record:
        return f"not built with values: no architecture below {largest // 10**6} million parameters"
    if "error" in record:
        return str(record["error"])
    problems = []
    if not record["whole"]:
        problems.append("the logits of features and head are not the network's")
    if not record["backward"]:
        problems.append("gradients are not finite")
    if problems:
        return "; ".join(problems)
    unused = record["without_gradient"]
    return f"passes; {unused} parameters get no gradient" if unused else "passes"
