"""A check, a baseline and a report format each take two places: the listings of the guide run."""

import importlib
import json
import re
from types import SimpleNamespace

import pytest

from audit import baselines, checks, reports
from audit.pipeline.schema import report_schema
from audit.runs.report import load_report
from tests.samples.audits import ROOT, invoked, tiny_flags

GUIDE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`((?:audit|baselines|reports)/\S+\.py)`\n\n```python\n(.*?)^```",
                        GUIDE, re.MULTILINE | re.DOTALL))  # fmt: skip
TABLES = re.findall(r"^\*\*Place 2: .*?`((?:audit|baselines|reports)/?\S*__init__\.py|NULLS)`",
                    GUIDE, re.MULTILINE)  # fmt: skip
PACKAGES = {"audit/checks/": checks, "baselines/": baselines, "reports/": reports}


def test_each_takes_two_places():
    """Its own folder or file, and one table: nothing else is named as a place."""
    assert GUIDE.count("**Place 1:") == GUIDE.count("**Place 2:") == len(TABLES) == 3
    assert GUIDE.count("**Place ") == 6
    own = {file.rpartition("/")[0] for file in FILES}
    assert own == {"audit/checks/mirror", "baselines", "reports"}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """The listings in a folder of their own, and a line in each table."""
    root = tmp_path_factory.mktemp("extended")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for folder, package in PACKAGES.items():
            patch.setattr(package, "__path__", [*package.__path__, str(root / folder)])
        mirror = importlib.import_module("audit.checks.mirror.check")
        patch.setattr(checks, "ALL", (*checks.ALL, mirror))
        patch.setattr(baselines, "NULLS", (*baselines.NULLS, record()))
        plain = importlib.import_module("audit.reports.plain")
        patch.setattr(reports, "FORMATS", (*reports.FORMATS, plain.write_plain))
        yield


def record():
    """The record that the guide lists."""
    (listing,) = re.findall(r"^```python\n(def _edges.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    names = {"NullHypothesis": baselines.NullHypothesis}
    exec(listing, names)
    return names["EDGES"]


@pytest.fixture(scope="module")
def run(extended, tmp_path_factory, data, model, cache):
    out = tmp_path_factory.mktemp("runs") / "extended"
    invoked(model, *tiny_flags(data, cache, out), "-q", "--pretrained-on", "none")
    return SimpleNamespace(out=out, report=load_report(out))


def test_the_policy_knows_both(extended):
    known = checks.vocabulary()
    assert known.is_made("mirror.agreement")
    assert known.is_made("accuracy_gap.gain.edges")
    assert "mirror_agreement" in known.limits


def test_the_plan_counts_both(extended, data, model, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("audit.pipeline.speed.MOMENT", 0.01)
    words = ["--data", data, "--cache", cache, "--quick", "--json", "--img-size", "16"]
    found = json.loads(invoked("plan", model, *words).output.strip().splitlines()[-1])
    (chosen,) = found if isinstance(found, list) else (found,)
    jobs = {row["kind"]: row["jobs"] for row in chosen["rows"]}
    assert jobs["mirrored"] == 1
    closed, trained = ["patches", "cells"], ["bagnet", "coordconv", "sighted"]
    assert jobs["choose"] == 6 + len(closed) + len(trained)  # six linear ones


def test_the_report_has_both(run):
    names = {m.name for m in run.report.measurements}
    assert {"mirror.agreement", "accuracy_gap.gain.edges"} <= names
    (limit,) = [f for f in run.report.findings if f.limit == "mirror_agreement"]
    assert limit.verdict == "fail"  # two of the classes are left and right
    assert "mirror" in [section.name for section in run.report.document.sections]
    assert "Mirror images" in (run.out / "report.html").read_text(encoding="utf-8")


def test_the_gate_rests_on_the_new_baseline(run):
    (gain,) = [f for f in run.report.findings if f.limit == "gain"]
    assert "accuracy_gap.gain.edges" in gain.measurements


def test_the_format_is_written(run):
    text = (run.out / "verdict.txt").read_text(encoding="utf-8")
    assert text == f"{run.report.document.verdict}: {run.report.document.headline}\n"


def test_the_schema_names_both(extended):
    examples = report_schema()["$defs"]["Measurement"]["properties"]["name"]["examples"]
    assert {"mirror.agreement", "accuracy_gap.gain.edges"} <= set(examples)
