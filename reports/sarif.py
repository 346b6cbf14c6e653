"""`report.sarif`: one rule a limit, for whatever shows findings beside code (SARIF 2.1.0).

Only what is not met becomes a result: a gate that failed or is undecided is an error, since neither
may be deployed; a limit that only warns is a warning, one that informs a note. A waived limit is a
suppressed result. Each points at the line of the policy that sets the limit, or where it could be
set: a result without a place is refused by the usual readers.
"""

import json
from pathlib import Path, PurePath
from urllib.parse import quote

from audit.reports.document import Document, Gate
from audit.reports.files import write_atomic
from audit.reports.junit import deciding, told
from audit.reports.text import visible

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

USUAL = "audit.yaml"  # where a limit can be set that no file of the user sets
LEVELS = {"gate": "error", "warn": "warning", "info": "note"}
Json = dict[str, object]


def write_sarif(document: Document, folder: Path) -> Path:
    """Write `report.sarif` into the run folder.

    If the verdict is not a pass although no gate says why, one more rule named "verdict" has a
    result.

    Raises:
        OSError: If the file cannot be written.
    """
    gates = deciding(document)
    driver: Json = {"name": "null-audit", "rules": [rule(gate) for gate in gates]}
    results = [
        result(gate, place)
        for place, gate in enumerate(gates)
        if gate.verdict != "pass" or gate.waiver
    ]
    run: Json = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    run["invocations"] = [{"executionSuccessful": True, "exitCode": document.exit_code}]
    found: Json = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    path = folder / "report.sarif"
    text = json.dumps(found, indent=1).replace("<", "\\u003c")  # no markup, whoever shows it
    write_atomic(path, text.encode("ascii") + b"\n")
    return path


def rule(gate: Gate) -> Json:
    """A limit, whatever became of it."""
    return {
        "id": visible(gate.name),
        "shortDescription": {"text": visible(gate.statement, 600) or visible(gate.name)},
        "defaultConfiguration": {"level": LEVELS[gate.severity]},
    }


def result(gate: Gate, place: int) -> Json:
    """A limit that is not met, or that is excused."""
    words = visible(gate.explanation or gate.statement, 1000)
    found: Json = {
        "ruleId": visible(gate.name),
        "ruleIndex": place,
        "level": LEVELS[gate.severity],
        "message": {"text": plain(f"{gate.verdict}: {words} ({told(gate)})")},
        "locations": [{"physicalLocation": location(gate)}],
        "partialFingerprints": {"limit/v1": visible(gate.name)},
    }
    if gate.waiver:
        waived = {"kind": "external", "justification": visible(gate.waiver, 1000)}
        found["suppressions"] = [waived]
    return found


def plain(text: str) -> str:
    """A message without links: square brackets would begin one."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def location(gate: Gate) -> Json:
    """The line that sets the limit."""
    path = PurePath(gate.file or USUAL)
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    return {"artifactLocation": {"uri": uri}, "region": {"startLine": max(1, gate.line)}}
