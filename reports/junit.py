r"""`junit.xml`: one test case a limit, for build servers.

A gate that fails is a `<failure>`; a gate that is undecided is an `<error>`, because it must not
look green. A limit that only warns or informs is `<skipped>` with its sentence when it is not
met: build servers show that beside the passes without turning red, while the output of a passing
case is hidden by most of them. A waived limit is `<skipped>` with its verdict, reason and date.
"""

from pathlib import Path
from xml.etree import ElementTree

from audit.reports.document import Document, Gate
from audit.reports.files import write_atomic
from audit.reports.text import interval, number, visible

Element = ElementTree.Element


def write_junit(document: Document, folder: Path) -> Path:
    """Write `junit.xml` into the run folder.

    If the verdict is not a pass although no gate says why (a check crashed), one more case named
    "verdict" carries the error: the file is green only if the audit passed.

    Raises:
        OSError: If the file cannot be written.
    """
    root = Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", name=f"audit {visible(document.title)}")
    listed = ElementTree.SubElement(suite, "properties")
    facts = {"verdict": document.verdict, "exit_code": str(document.exit_code)}
    for name, value in (facts | document.subject).items():
        ElementTree.SubElement(listed, "property", name=visible(name), value=visible(value, 600))
    for gate in deciding(document):
        _add_case(suite, gate)
    _count(root, suite)
    ElementTree.indent(root)
    path = folder / "junit.xml"
    write_atomic(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    return path


def deciding(document: Document) -> tuple[Gate, ...]:
    """All limits, and one more where the verdict is no pass although no gate says why."""
    gates = [g for g in document.gates if g.severity == "gate" and not g.waiver]
    if document.verdict == "pass" or any(g.verdict != "pass" for g in gates):
        return document.gates
    whole = Gate(
        name="verdict",
        statement="the audit as a whole",
        verdict="fail" if document.verdict == "fail" else "inconclusive",
        severity="gate",
        explanation=document.headline,
    )
    return (*document.gates, whole)


def _add_case(suite: Element, gate: Gate) -> None:
    name = visible(gate.name)
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"audit.{gate.severity}", name=name, time="0"
    )
    if gate.verdict != "pass" or gate.waiver:
        kind = "failure" if gate.verdict == "fail" else "error"
        if gate.severity != "gate" or gate.waiver:
            kind = "skipped"
        message = f"{gate.verdict}: {gate.explanation or gate.statement}"
        message = f"{gate.waiver}; {message}" if gate.waiver else message
        result = ElementTree.SubElement(case, kind, message=visible(message, 1000))
        if kind != "skipped":
            result.set("type", visible(gate.reason or gate.verdict.upper()))
        result.text = told(gate)
    ElementTree.SubElement(case, "system-out").text = told(gate)


def told(gate: Gate) -> str:
    """The limit and its number in one line."""
    figures = f"{number(gate.value, gate.unit)}, 95 % {interval(gate.low, gate.high, gate.unit)}"
    return f"{visible(gate.statement, 600)}: {visible(figures)}, n = {gate.n:,}"


def _count(root: Element, suite: Element) -> None:
    """Set the totals that build servers read."""
    cases = suite.findall("testcase")
    totals = {"tests": len(cases)}
    for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        totals[plural] = sum(case.find(kind) is not None for case in cases)
    for name, total in totals.items():
        suite.set(name, str(total))
        if name != "skipped":  # the outer element has no such attribute
            root.set(name, str(total))
    suite.set("time", "0")
