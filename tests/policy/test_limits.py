"""Policies are read strictly: what a limit asks for exists, or file and line are named."""

from datetime import date
from pathlib import Path

import pytest

from audit import checks
from audit.api import load_policy
from audit.core.errors import AuditError
from audit.policy.limits import parse_policy, resolved
from audit.reports import yaml
from tests.samples.policy import read, write


def test_the_default_policy_is_the_designed_one():
    limits = {limit.name: limit for limit in load_policy().limits}
    gates = {name for name, limit in limits.items() if limit.severity == "gate"}

    assert gates == {"gain", "prior_gap", "label_order", "exact_leaks", "near_leaks"}
    assert (limits["gain"].comparator, limits["gain"].bound) == ("at_least", 0.10)
    assert (limits["near_leaks"].comparator, limits["near_leaks"].bound) == ("at_most", 0.05)
    some = limits["some_near_leaks"]
    assert (some.comparator, some.bound, some.severity) == ("at_most", 0.01, "warn")
    assert limits["exact_leaks"].bound == 0
    assert limits["coadaptation"].bound == 0.05


def test_a_resolved_policy_reads_back():
    policy = load_policy()
    assert (
        parse_policy(yaml.load(yaml.dump(resolved(policy))), checks.vocabulary(), base=None)
        == policy
    )


def test_a_file_changes_single_limits(tmp_path):
    changed = load_policy(
        write(tmp_path, "limits:\n  gain: {above: 2e-1}\n  twin: {severity: info}")
    )
    limits = {limit.name: limit for limit in changed.limits}

    assert (limits["gain"].comparator, limits["gain"].bound) == ("above", 0.2)
    assert limits["gain"].measure == "accuracy_gap.gain.*"
    assert limits["twin"].severity == "info"
    assert len(limits) == len(load_policy().limits)


def test_lines_are_those_of_the_key_not_of_a_comment(tmp_path):
    with pytest.raises(AuditError, match=r"policy.yaml, line 4, needs a finite number"):
        read(tmp_path, "# gain: {at_least: x}\nlimits:\n  # gain: 1\n  gain: {at_least: x}")


def test_a_full_policy_reads_back():
    raw = {
        "version": 1,
        "reference": "runs/old",
        "limits": {
            "drop": {
                "measure": "accuracy_gap.class_accuracy.*",
                "class": "a*b",
                "relative_to": "reference",
                "at_least": -0.01,
                "severity": "gate",
            }
        },
        "waivers": {"drop": {"reason": "known", "until": "2999-01-01", "by": "A"}},
    }
    policy = parse_policy(raw, checks.vocabulary(), base=None)
    assert (
        parse_policy(yaml.load(yaml.dump(resolved(policy))), checks.vocabulary(), base=None)
        == policy
    )
    assert policy.needs_reference == "drop"


def test_a_reference_stands_relative_to_its_file(tmp_path):
    policy = read(tmp_path, "# old\nreference: runs/old")
    assert policy.reference == str(tmp_path / "runs/old")
    assert policy.reference_place == f"{tmp_path / 'policy.yaml'}, line 2"


def test_the_documented_policy_is_read(tmp_path):
    guide = Path(__file__).parents[2] / "docs" / "policy.md"
    written = guide.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    policy = read(tmp_path, written, today=date(2027, 1, 31))
    assert len(policy.limits) == len(load_policy().limits) + 4


def test_an_empty_file_is_the_default_policy(tmp_path):
    assert load_policy(write(tmp_path, "# nothing\n")) == load_policy()


REFUSED = {  # text: what the message must say
    "limit: {}": "line 1, has the unknown key `limit`; the nearest known key is `limits`",
    "limits:\n  gain: {at_leest: 0.2}": "line 2, has the unknown key `at_leest`.*`at_least`",
    "limits:\n  gian: {at_least: 0.2}": r"line 2, needs `meas.*; the nearest limit is `gain`\.$",
    "xyzzy: 1": r"unknown key `xyzzy`; known are `version`, .*`waivers`\.$",
    "limits:\n  gain: {measure: xyzzy}": "no check makes; `audit init` lists all",
    "limits:\n  twin: {relative_to: xyzzy}": "nor a null; known are `reference`, `prior`",
    "limits:\n  gain: {at_least: .nan}": "needs a finite number for `gain.at_least`",
    "limits:\n  gain:\n    at_least: .inf": "line 3, needs a finite number",
    "limits:\n  gain: {at_least: true}": "finite number",
    "limits:\n  gain: {at_least: '0.1'}": "finite number",
    "limits:\n  gain: {at_least: 1}": "below 1 for the gain",
    "limits:\n  gain: {at_most: 0.5}": "`at_least`",
    "limits:\n  gain: {above: 0, below: 1}": "both `above` and `below`",
    "limits:\n  gain: {severity: gates}": "one of gate, warn, info",
    "limits:\n  gain: {optional: 1}": "true or false",
    "limits:\n  gain: {measure: 3}": "some text",
    "limits:\n  gain: 0.2": "line 2, needs a mapping for the limit `gain`",
    "limits: [1]": "a mapping of names",
    "limits:\n  new: {measure: x, severity: warn}": "one of `at_least`, `at_most`",
    "version: 2": "`version` other than 1",
    "limits: {a: 1, a: 2}": "second time",
    "limits: &a {}": "not allowed",
    "- 1": "mapping",
    "limits: {": "line 2: not valid YAML",
    "limits:\n  new: {severity: warn,\n    measure: data.groups}": "line 2, needs a number: one of",
    "limits:\n  gain: {measure: accuracy_gap.gian.*}": "line 2, asks .*`accuracy_gap.gain.*`",
    "limits:\n  gain:\n    measure: a.*.b": "line 3, asks in `gain` for the measurement",
    "limits:\n  gain: {measure: accuracy_gap.gain.bagnet-7}": "known name is `.*gain.bagnet-17`",
    "limits:\n  twin: {relative_to: bagnet}": "line 2, sets .*the nearest of them is `bagnet-9`",
    "limits:\n  twin: {relative_to: prior}": "only `accuracy_gap.accuracy.subject` relative",
    "limits:\n  twin: {measure: accuracy_gap.heldout.*, relative_to: reference}": "one number",
    "limits:\n  twin: {class: cat}": "line 2, can ask for a class only of",
    "reference: [1]": "line 1, needs `reference` to be the path",
}


@pytest.mark.parametrize("text", REFUSED)
def test_bad_policies_are_refused_with_file_and_line(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(AuditError, match=REFUSED[text]) as caught:
        load_policy(path)
    assert caught.value.reason == "POLICY_INVALID"
    assert "policy.yaml" in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00limits")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(AuditError, match="POLICY_INVALID"):
            load_policy(path)


def test_a_limit_that_asks_for_something_else_loses_its_old_words(tmp_path):
    """Else a gain over the prior alone would read as one over every blind model."""

    def words(text):
        return {x.name: x.statement for x in load_policy(write(tmp_path, text)).limits}["gain"]

    assert words("limits:\n  gain: {measure: accuracy_gap.gain.prior}") == ""
    assert "every model" in words("limits:\n  gain: {at_least: 0.3}")


def test_hidden_characters_of_a_name_are_shown(tmp_path):
    with pytest.raises(AuditError, match=r"u202e"):
        load_policy(write(tmp_path, 'limits:\n  "a\\u202eb": {at_least: 1}'))


def test_every_default_limit_says_what_it_asks_for():
    for limit in load_policy().limits:
        assert limit.statement
    assert checks.vocabulary().limits.isascii()
