"""A stored run as the reference: what became worse since then, judged like anything else."""

import dataclasses
import gzip
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from audit.core.errors import AuditError
from audit.pipeline import reference
from audit.pipeline.reference import (
    Reference,
    needed_reference,
    require_same_data,
    with_reference,
)
from audit.policy.judge import judge
from audit.record.facts import DataFacts, Facts
from audit.runs.finished import load_run
from audit.runs.predictions import parse_predictions
from audit.runs.report import load_report
from tests.samples.audits import refused, tiny_flags
from tests.samples.policy import bet, measured, one_limit, read, write
from tests.samples.runs import N, make_run, table, wrong

ACCURACY = "accuracy_gap.accuracy.subject"
DROP = f"""limits:
  drop: {{measure: {ACCURACY}, relative_to: reference, at_least: -0.05, severity: gate}}
"""
NULL = wrong(160, 100)


@pytest.fixture
def old(tmp_path):
    return make_run(tmp_path / "old", wrong(40), NULL)


def new(tmp_path, errors=42, **words):
    return make_run(tmp_path / "new", wrong(errors), NULL, **words)


def drop(run, old, policy):
    report = with_reference(load_run(run), Reference(load_run(old), "a flag"))
    found = judge(report.measurements, policy)
    return next(f for f in found if f.limit == "drop")


@pytest.mark.parametrize(("errors", "verdict"), [(42, "pass"), (56, "inconclusive"), (99, "fail")])
def test_a_regression_gate(old, tmp_path, errors, verdict):
    found = drop(new(tmp_path, errors), old, read(tmp_path, DROP))
    assert found.verdict == verdict
    assert found.value == pytest.approx((40 - errors) / N)
    assert found.low < found.value < found.high
    assert (found.unit, found.n) == ("points", N)
    assert "paired over the same images; against the run old, " in found.explanation
    assert "less that of the reference run is at least −5.0 points" in found.statement


@pytest.mark.parametrize("lacking", ["now", "then"])
def test_what_only_one_run_measured_is_undecided(old, tmp_path, lacking):
    now, then = load_run(new(tmp_path)), load_run(old)
    both = {"now": now, "then": then}
    report = both[lacking].report
    fewer = tuple(m for m in report.measurements if m.name != ACCURACY)
    less = report.model_copy(update={"measurements": fewer})
    both[lacking] = dataclasses.replace(both[lacking], report=less)
    found = with_reference(both["now"], Reference(both["then"], "a flag")).measurements
    (decided,) = judge(found, one_limit("*", relative_to="reference", at_least=-9))
    assert (decided.verdict, decided.reason) == ("inconclusive", "NOT_MEASURED")


def test_differences_are_judged_again_without_the_reference(old, tmp_path, command, capsys):
    policy, again = write(tmp_path, DROP), tmp_path / "again"
    words = ["--policy", policy, "--json"]
    command("judge", new(tmp_path), *words, "--reference", old, "--out", again)
    first = json.loads(capsys.readouterr().out)
    assert first["gates"]["drop"] == "pass"
    command("judge", again, *words)
    assert json.loads(capsys.readouterr().out)["gates"] == first["gates"]
    names = [m.name for m in load_report(again).measurements]
    assert sum(name.startswith("reference.") for name in names) * 2 == len(set(names))


def test_the_policy_may_name_the_run(old, tmp_path, command, capsys):
    write(tmp_path, f"reference: old\n{DROP}")
    command("judge", new(tmp_path), "--policy", tmp_path / "policy.yaml", "--json")
    assert json.loads(capsys.readouterr().out)["gates"]["drop"] == "pass"


def test_judging_against_a_run_needs_no_torch(old, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['timm'] = None; "
        "from audit.cli import main; main()"
    )
    words = ["judge", new(tmp_path), "--policy", write(tmp_path, DROP), "--reference", old]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True,
                          check=False)  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    assert b"drop" in done.stderr


def test_a_star_means_what_this_audit_measured():
    here, change = measured("data.groups", 1, 1, 1), measured("reference.data.groups", 0, 0, 0)
    assert judge([here, change], one_limit("*", at_least=1))[0].verdict == "pass"
    assert judge([here, change], one_limit("reference.*", at_least=1))[0].verdict == "fail"


def test_relative_to_a_null_is_the_paired_gap():
    gap = measured("accuracy_gap.gap.bagnet-9", 0.1, 0.05, 0.15)
    null = bet(0.2, 0.1, name="accuracy_gap.gain.bagnet-9")
    (found,) = judge([gap, null], one_limit(ACCURACY, relative_to="bagnet-9", at_least=0.04))
    assert (found.verdict, found.measurements) == ("pass", (gap.name,))
    assert found.statement == f"{ACCURACY} less that of BagNet-9 is at least 4.0 points"


def test_relative_to_a_null_counts_what_more_training_might_add_to_it():
    gap, limit = measured("accuracy_gap.gap.bagnet-9", 0.1, 0.05, 0.15), {"at_least": 0.04}
    for planted in ({"allowance": 0.03}, {"failed": True}, {"allowance": float("inf")}):
        null = bet(0.2, 0.1, name="accuracy_gap.gain.bagnet-9", **planted)
        (found,) = judge([gap, null], one_limit(ACCURACY, relative_to="bagnet-9", **limit))
        assert found.verdict == "inconclusive"


def test_an_audit_is_compared_before_it_is_judged(old, monkeypatch):
    subject = wrong(60)
    rows = parse_predictions(gzip.decompress(table(subject, NULL)))
    monkeypatch.setattr(reference, "predictions_table", lambda *_: rows)
    own = [m for m in load_report(old).measurements if m.name != ACCURACY]
    own.append(measured(ACCURACY, 1 - 60 / N, 0.8, 0.9, unit="fraction"))
    found = reference.measured_against(
        Reference(load_run(old), "a flag"), {"accuracy_gap": own}, None, ()
    )
    by_name = {m.name: m for m in found}
    assert by_name[f"reference.{ACCURACY}"].value == pytest.approx(-20 / N)
    assert by_name["reference.data.exact_leaks"].value == 0
    assert not np.isnan([m.low for m in found]).any()


# Refused


def test_a_limit_that_needs_a_reference_must_find_one(old, tmp_path, command, capsys):
    words = ["judge", old, "--policy", write(tmp_path, DROP)]
    refused(command, capsys, "CONFIG_NO_REFERENCE: the limit `drop` is relative to", *words)
    with pytest.raises(AuditError, match="CONFIG_NO_REFERENCE"):
        needed_reference(None, read(tmp_path, DROP), "")
    assert needed_reference(None, read(tmp_path, ""), "") is None


def test_a_reference_of_another_schema(old, tmp_path, command, capsys):
    text = (old / "report.yaml").read_text()
    (old / "report.yaml").write_text(text.replace("schema_version: 2", "schema_version: 7", 1))
    policy = write(tmp_path, f"# the last release\nreference: old\n{DROP}")
    place = (
        f"the reference run named by {policy}, line 2: this version reads reports of schema 1 to 2"
    )
    words = ["judge", new(tmp_path), "--policy", policy]
    refused(command, capsys, f"REPORT_SCHEMA: {place}", *words)


def test_what_audit_yaml_names_and_is_not_there_is_told_with_its_line(
    model, tmp_path, command, capsys
):
    for line, reason in (
        ("reference: gone", "REPORT_NOT_FOUND"),
        ("nulls: gone", "NULLS_NOT_FOUND"),
    ):
        (tmp_path / "audit.yaml").write_text(f"# ours\nseed: 0\n{line}\n")
        assert "audit.yaml, line 3: " in refused(command, capsys, reason, model)


@pytest.mark.parametrize("other", [{"data": "e" * 64}, {"classes": "ac"}])
def test_a_reference_on_other_data(old, tmp_path, command, capsys, other):
    words = ["--policy", write(tmp_path, DROP), "--reference", old]
    message = "REFERENCE_OTHER_DATA: the reference run named by `--reference` needs"
    refused(command, capsys, message, "judge", new(tmp_path, **other), *words)


def test_other_training_data_are_no_other_evaluation_data(old):
    run = Reference(load_run(old), "policy.yaml, line 2,")
    data = DataFacts(digest="d" * 64, eval_digest="e" * 64)
    facts = Facts(data=data)
    then = replace(run.run, report=run.run.report.model_copy(update={"facts": facts}))
    run = replace(run, run=then)
    require_same_data(DataFacts(digest="x", eval_digest="e" * 64), run)
    with pytest.raises(AuditError, match=r"REFERENCE_OTHER_DATA.* policy.yaml, line 2, needs"):
        require_same_data(DataFacts(digest="d" * 64, eval_digest="x"), run)


def test_a_reference_whose_data_are_not_known_is_refused(old):
    then = load_run(old)
    unknown = replace(then, report=then.report.model_copy(update={"facts": Facts()}))
    for data in (DataFacts(), DataFacts(digest="d" * 64)):
        with pytest.raises(AuditError, match=r"REFERENCE_OTHER_DATA.*'nothing'"):
            require_same_data(data, Reference(unknown, "a flag"))


def test_a_reference_that_is_not_there(old, tmp_path, command, capsys):
    words = ["judge", old, "--reference", tmp_path / "none"]
    message = "REPORT_NOT_FOUND: the reference run named by `--reference`"
    assert len(refused(command, capsys, message, *words).splitlines()) == 1


# The whole path


def test_an_audit_against_itself_is_no_worse(data, model, cache, finished, command, tmp_path):
    out, policy = tmp_path / "out", write(tmp_path, DROP)
    words = ["--policy", policy, "--reference", finished[0], "--pretrained-on", "none", "-q"]
    command(model, *tiny_flags(data, cache, out), *words)
    report = load_report(out)
    gate = next(g for g in report.document.gates if g.name == "drop")
    assert (gate.verdict, gate.value) == ("pass", 0)
    assert "--reference" in report.document.command
    assert report.facts.audit.reference == Reference(load_run(finished[0]), "").facts
    assert report.facts.data == load_report(finished[0]).facts.data
