"""`report.md`: the report in one screen, for a merge request or a job summary.

Plain enough for both GitHub and GitLab. Text from the document cannot become markup, a table's
border, a link, or a notice to a person (https://github.github.com/gfm/, section 2.4).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from audit.reports.document import Document, Gate
from audit.reports.files import write_atomic
from audit.reports.text import interval, number, visible

_MARKUP = re.compile(r"([\\`*_\[\]|~$#!^])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_BULLET = re.compile(r"^(?=[-+=:/])")  # would begin a list, a rule or a command
_ORDINAL = re.compile(r"^(\d+)(?=[.)](?:\s|$))")  # would begin a numbered list
_MENTION = re.compile(r"@(?=\w)")
_ADDRESS = re.compile(r"(?i)(https?|ftp)(?=://)|\bwww(?=\.)")
_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔"}


def write_markdown(document: Document, folder: Path) -> Path:
    """Write `report.md` into the run folder.

    Raises:
        OSError: If the file cannot be written.
    """
    path = folder / "report.md"
    write_atomic(path, render(document).encode())
    return path


def render(document: Document) -> str:
    """Make the text: see `write_markdown`."""
    verdict = f"{_SIGNS[document.verdict]} {document.verdict.upper()}"
    parts = [f"# {verdict}: {plain(document.title)}"]
    if document.watermark:
        parts.append(f"> **{plain(document.watermark, 600)}**")
    parts.append(f"**{document.verdict.capitalize()}.** {plain(document.headline, 1000)}")
    if document.numbers:
        rows = [
            (k.label, k.value, k.interval or "no interval", f"{k.n:,}") for k in document.numbers
        ]
        parts.append(_table(("", "Value", "95 % interval", "n"), rows))
    if document.gates:
        parts += ["## Limits", _table(_GATE_COLUMNS, [_gate_row(gate) for gate in document.gates])]
    if document.sections:
        lines = [
            f"- **{plain(section.title)}**{f' ({section.verdict})' if section.verdict else ''}: "
            f"{plain(section.summary, 1000)}"
            for section in document.sections
        ]
        parts += ["## Findings", "\n".join(lines)]
    if document.not_established:
        lines = [f"- {plain(sentence, 1000)}" for sentence in document.not_established]
        parts += ["## What this audit does not establish", "\n".join(lines)]
    parts += _again(document)
    return "\n\n".join(parts) + "\n"


_GATE_COLUMNS = ("Verdict", "Limit", "Value", "95 % interval", "n", "Why")


def _gate_row(gate: Gate) -> tuple[str, ...]:
    kind = "" if gate.severity == "gate" else f" ({gate.severity})"
    kind += ", waived" if gate.waiver else ""
    reason = f"{gate.reason}: " if gate.reason else ""
    return (
        f"{_SIGNS[gate.verdict]} {gate.verdict}{kind}",
        gate.statement,
        number(gate.value, gate.unit),
        interval(gate.low, gate.high, gate.unit),
        f"{gate.n:,}" if gate.n else "–",
        f"{reason}{gate.explanation}" + (f" {gate.waiver}" if gate.waiver else ""),
    )


def _again(document: Document) -> list[str]:
    """Where the rest stands, and how to repeat it."""
    parts = []
    if document.command:
        lines = [visible(line, 4000) for line in document.command.split("\n")]
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", document.command)), default=0))
        parts += ["## The same audit again", "\n".join([f"{fence}sh", *lines, fence])]
    hint = "Charts, pictures and all numbers: `report.html` in the same folder (it opens offline)."
    return [*parts, f"{hint} Every number for machines: `report.yaml`."]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A pipe table; every cell is escaped."""
    lines = [head, tuple("---" for _ in head)]
    body = [tuple(plain(text, 1000) for text in row) for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*lines, *body])


def plain(text: str, limit: int = 200) -> str:
    """Make a text show as itself in Markdown, on one line, wherever it stands.

    Args:
        text: Untrusted.
        limit: Most characters shown, as for `visible`.
    """
    text = visible(text, limit).strip()
    text = _MARKUP.sub(r"\\\1", text).translate(_ENTITIES)
    text = _ORDINAL.sub(r"\1\\", _BULLET.sub(r"\\", text))
    text = _MENTION.sub("@<!-- -->", text)  # renders as "@", notifies nobody
    return _ADDRESS.sub(r"\g<0><!-- -->", text)  # no link is made of a bare address
