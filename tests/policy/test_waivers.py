"""Waivers: excused for a reason until a date, never silently, never for ever."""

from datetime import date

import pytest
from lxml import etree

from audit.core.errors import AuditError
from audit.pipeline.compose import gate
from audit.policy.headline import headline
from audit.policy.judge import judge, verdict
from audit.reports.document import Document
from audit.reports.html import render as html
from audit.reports.junit import write_junit
from audit.reports.markdown import render as markdown
from audit.runs.report import load_report
from tests.samples.policy import finding, measured, read, write
from tests.samples.runs import make_run, wrong

TODAY = date(2027, 1, 31)
WAIVED = """waivers:
  gain:
    reason: new camera.
    until: 2027-01-31
    by: A. Name
"""
WORDS = "waived until 2027-01-31 because: new camera (A. Name)"


def test_a_waived_gate_keeps_its_verdict_and_does_not_count(tmp_path):
    policy = read(tmp_path, WAIVED, today=TODAY)
    found = {f.limit: f for f in judge([measured("data.exact_leaks", 1, unit="count")], policy)}
    assert (found["gain"].verdict, found["gain"].waiver) == ("inconclusive", WORDS)
    assert found["exact_leaks"].waiver == ""
    assert verdict([finding("fail", waiver=WORDS), finding("pass")]) == ("pass", 0)


def test_with_every_gate_waived_nothing_is_decided():
    every = [finding("pass", waiver=WORDS), finding("fail", "warn")]
    assert verdict(every) == ("inconclusive", 3)
    assert headline(every, ()).startswith("Nothing was decided: every gate of the policy is waived")


def test_the_headline_names_what_is_waived():
    said = headline([finding("fail", waiver=WORDS), finding("pass")], ())
    assert said.endswith(f" x (fail) is {WORDS}.")


@pytest.fixture
def document():
    gates = (gate(finding("fail", waiver=WORDS)), gate(finding("pass")))
    return Document(title="t", verdict="pass", headline="h", exit_code=0, gates=gates)


def test_junit_shows_a_waived_limit_as_skipped(document, tmp_path):
    suite = etree.parse(write_junit(document, tmp_path)).getroot()[0]
    (skipped,) = suite.findall("testcase/skipped")
    assert skipped.get("message").startswith(f"{WORDS}; fail: ")
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "1")


def test_junit_is_not_green_where_every_gate_is_waived(tmp_path):
    document = Document(title="t", verdict="inconclusive", headline="h", exit_code=3,
                        gates=(gate(finding("pass", waiver=WORDS)),))  # fmt: skip
    suite = etree.parse(write_junit(document, tmp_path)).getroot()[0]
    assert suite.get("errors") == "1"


def test_the_other_formats_show_it(document, tmp_path):
    assert "fail, waived" in markdown(document)
    for shown in (markdown(document), html(document, tmp_path)):
        assert "waived until 2027-01-31 because: new camera (A. Name)" in shown


@pytest.mark.parametrize("who", ["new camera.", "A. Name"])
def test_a_waiver_cannot_act_on_a_terminal(tmp_path, who):
    text = WAIVED.replace(who, '"\\x1b[31mred"')
    words = read(tmp_path, text, today=TODAY).waivers[0].words
    assert "\\x1b[31mred" in words
    assert "\x1b" not in words


def test_a_long_reason_is_refused(tmp_path):
    with pytest.raises(AuditError, match="some text up to 500 letters"):
        read(tmp_path, WAIVED.replace("new camera.", "a" * 501), today=TODAY)


def test_an_expired_waiver_judges_nothing(tmp_path, command, capsys):
    run, policy = make_run(tmp_path / "run", wrong(40), wrong(160)), write(tmp_path, WAIVED)
    policy.write_text(WAIVED.replace("2027", "2020"))
    assert command("judge", run, "--policy", policy, "--exit-zero") == 2
    assert capsys.readouterr().err.startswith(f"audit: POLICY_WAIVER_EXPIRED: {policy}, line 4, ")


def test_a_report_from_before_there_were_waivers_still_loads(tmp_path):
    file = make_run(tmp_path / "run", wrong(40), wrong(160)) / "report.yaml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "waiver:" not in line))
    assert load_report(file).findings[0].waiver == ""


REFUSED = {  # text: reason and what the message must say
    WAIVED.replace("01-31", "01-30"): "POLICY_WAIVER_EXPIRED: .*policy.yaml, line 4, waives `gain` "
    "until 2027-01-30",
    WAIVED.replace("gain", "gian"): "POLICY_INVALID: .*line 2, waives `gian`.*limit is `gain`",
    WAIVED.replace("gain", "xyzzy"): "which is no limit of the policy; known are `gain`, ",
    WAIVED.replace("    until: 2027-01-31\n", ""): "line 2, needs `until`, a date such as",
    WAIVED.replace("2027-01-31", "2027-02-30"): "line 4, needs `until`, a date",
    WAIVED.replace("2027-01-31", "20270131"): "line 4, needs `until`, a date",
    WAIVED.replace("new camera.", '" "'): "line 3, needs `reason`, some text",
    WAIVED.replace("A. Name", "3"): "line 5, needs `by`, some text",
    WAIVED.replace("by:", "bye:"): "line 5, has the unknown key `bye`.*`by`",
    "waivers: [gain]": "line 1, needs `waivers` to be a mapping",
    "waivers:\n  gain: 3": "line 2, needs {reason, until} to waive `gain`",
}


@pytest.mark.parametrize("text", REFUSED)
def test_bad_waivers_are_refused_with_file_and_line(text, tmp_path):
    with pytest.raises(AuditError, match=REFUSED[text]):
        read(tmp_path, text, today=TODAY)
