"""`model-card.md`: the audit as a block for the model's card, for people and for hubs.

The front matter follows the `model-index` that model hubs read (its fields are those of
`EvalResult` in the package `huggingface_hub`): one result, with a metric for every number of the
first screen that has a name for machines. The text below it is what a card should say of them.
"""

import math
from pathlib import Path

from audit.reports import yaml
from audit.reports.document import Document, KeyNumber
from audit.reports.files import write_atomic
from audit.reports.markdown import plain
from audit.reports.text import visible

FILE = "model-card.md"
_TASK = {"type": "image-classification", "name": "Image classification"}


def write_model_card(document: Document, folder: Path) -> Path:
    """Write `model-card.md` into the run folder.

    Raises:
        OSError: If the file cannot be written.
    """
    path = folder / FILE
    write_atomic(path, render(document).encode())
    return path


def render(document: Document) -> str:
    """Make the text: see `write_model_card`."""
    measured = [key for key in document.numbers if key.metric and math.isfinite(key.estimate)]
    front = f"---\n{yaml.dump(_index(document, measured))}---\n\n" if measured else ""
    lines = [
        "## Audit against blind models",
        f"**{document.verdict.capitalize()}.** {plain(document.headline, 1000)}",
    ]
    if document.numbers:
        lines.append("\n".join(_number(key) for key in document.numbers))
    if document.certainty:
        lines.append(plain(document.certainty, 1000))
    if document.watermark:
        lines.append(plain(document.watermark, 600))
    if document.not_established:
        told = "\n".join(f"- {plain(sentence, 1000)}" for sentence in document.not_established)
        lines.append(f"The audit does not establish:\n\n{told}")
    return front + "\n\n".join(lines) + "\n"


def _number(key: KeyNumber) -> str:
    """One number as a line of a list."""
    span = f"95 % interval {plain(key.interval)}" if key.interval else "no interval"
    return f"- {plain(key.label)}: {plain(key.value)} ({span}, n = {key.n:,})"


def _index(document: Document, measured: list[KeyNumber]) -> dict[str, object]:
    """The front matter: plain data."""
    dataset: dict[str, object] = {
        "type": "imagefolder",
        "name": visible(document.data_source or "evaluation images"),
        "split": "evaluation",
    }
    if document.data_digest:
        dataset["args"] = {"sha256": visible(document.data_digest)}
    metrics = [
        {
            "type": key.metric,
            "name": visible(key.label),
            "value": key.estimate,
            "args": {"interval": visible(key.interval), "n": key.n},
        }
        for key in measured
    ]
    result = {"task": _TASK, "dataset": dataset, "metrics": metrics}
    return {"model-index": [{"name": visible(document.title), "results": [result]}]}
