"""`compare.md`: a comparison for a merge request or a job summary."""

from audit.reports.comparison.document import Comparison
from audit.reports.document import Section
from audit.reports.markdown import plain
from audit.reports.page import columns, row_cell
from audit.reports.text import visible


def render(comparison: Comparison) -> str:
    """Make the text; no string in it becomes markup."""
    parts = [f"# {plain(comparison.title)}", f"**{plain(comparison.headline, 2000)}**"]
    if comparison.kind == "two runs":
        parts.append("\n".join(_run(run.label, run.title, run.facts) for run in comparison.runs))
    for section in comparison.sections:
        parts += [f"## {plain(section.title)}", plain(section.summary, 4000)]
        if section.rows:
            parts.append(_table(section))
    if comparison.caveats:
        sentences = [f"- {plain(sentence, 2000)}" for sentence in comparison.caveats]
        parts += ["## What this does not say", "\n".join(sentences)]
    if comparison.command:
        parts += [
            "## The same comparison again",
            f"```sh\n{visible(comparison.command, 4000)}\n```",
        ]
    hint = "Charts: `compare.html` in the same folder (it opens offline)."
    return "\n\n".join([*parts, f"{hint} Every number for machines: `compare.yaml`."]) + "\n"


def _run(label: str, title: str, facts: dict[str, str]) -> str:
    told = ", ".join(f"{plain(key)}: {plain(value)}" for key, value in facts.items())
    return f"- **{plain(label)}**: {plain(title)} ({told})"


def _table(section: Section) -> str:
    """A pipe table of the section's rows; every cell is escaped."""
    names = columns(section)
    lines = [[plain(name) for name in names], ["---"] * len(names)]
    lines += [[plain(row_cell(row, name), 600) for name in names] for row in section.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
