"""`report.sarif` says of every limit what the report says, where the limit is set."""

import json

import pytest

from audit.api import load_policy
from audit.policy.judge import judge
from audit.reports.document import Document, Gate
from audit.reports.sarif import location, plain, write_sarif
from tests.samples.report import sample_document

POLICY = """\
limits:
  # ours
  gain:
    at_least: 0.2
  mine: {measure: transfer.coadaptation.*, at_most: 3, severity: gate}
"""


def gate(verdict, severity="gate", **more):
    return Gate(name=f"{verdict}-{severity}", statement="s", verdict=verdict, severity=severity,
                explanation="because", **more)  # fmt: skip


def written(tmp_path, *gates, verdict="fail", code=1):
    document = Document(title="m", verdict=verdict, headline="why", exit_code=code, gates=gates)
    found = json.loads(write_sarif(document, tmp_path).read_text())
    assert found["version"] == "2.1.0"
    (run,) = found["runs"]
    assert run["invocations"][0]["exitCode"] == code
    return run


def test_every_limit_is_a_rule_and_what_is_not_met_a_result(tmp_path):
    run = written(tmp_path, gate("fail"), gate("pass"), gate("inconclusive"),
                  gate("fail", "warn"), gate("inconclusive", "info"))  # fmt: skip
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == [
        "fail-gate",
        "pass-gate",
        "inconclusive-gate",
        "fail-warn",
        "inconclusive-info",
    ]
    found = [(rules[r["ruleIndex"]], r["ruleId"], r["level"]) for r in run["results"]]
    assert found == [
        ("fail-gate", "fail-gate", "error"),
        ("inconclusive-gate", "inconclusive-gate", "error"),
        ("fail-warn", "fail-warn", "warning"),
        ("inconclusive-info", "inconclusive-info", "note"),
    ]


def test_a_waived_limit_is_suppressed_whatever_its_verdict(tmp_path):
    run = written(tmp_path, gate("fail", waiver="until June"), gate("pass", waiver="until May"))
    waived, passed, whole = run["results"]
    assert waived["suppressions"] == [{"kind": "external", "justification": "until June"}]
    assert passed["suppressions"]
    assert whole["ruleId"] == "verdict"  # nothing else says why this is no pass


def test_a_verdict_that_no_gate_explains_has_a_result(tmp_path):
    run = written(tmp_path, gate("pass"), verdict="inconclusive", code=3)
    (only,) = run["results"]
    assert (only["ruleId"], only["level"]) == ("verdict", "error")
    assert "why" in only["message"]["text"]
    assert written(tmp_path, gate("pass"), verdict="pass", code=0)["results"] == []


@pytest.mark.parametrize(("file", "line", "uri", "start"), [
    ("", 0, "audit.yaml", 1),
    ("ci/my policy.yaml", 7, "ci/my%20policy.yaml", 7),
    ("/etc/p#1.yaml", 2, "file:///etc/p%231.yaml", 2),
])  # fmt: skip
def test_a_result_points_at_the_line_of_the_policy(file, line, uri, start):
    found = location(gate("fail", file=file, line=line))
    assert found["artifactLocation"]["uri"] == uri
    assert found["region"]["startLine"] == start


def test_limits_know_the_line_that_sets_them(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    places = {f.limit: (f.file, f.line) for f in judge([], load_policy(path))}
    assert places["gain"] == (str(path), 3)
    assert places["mine"] == (str(path), 5)
    assert places["exact_leaks"] == ("", 0)
    assert {(f.file, f.line) for f in judge([], load_policy())} == {("", 0)}


def test_brackets_are_no_links_and_tags_no_markup(tmp_path):
    assert plain("a [b](c) \\") == "a \\[b\\](c) \\\\"
    write_sarif(sample_document(), tmp_path)
    text = (tmp_path / "report.sarif").read_text()
    assert "<" not in text
    assert text.isascii()
