"""`report.yaml` is a contract: every stored version loads, is judged and is rendered."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import audit
from audit.api import load_policy
from audit.core.errors import AuditError
from audit.pipeline import schema
from audit.pipeline.rejudge import judged_again, write_formats
from audit.record import SCHEMA_VERSION
from audit.reports import FORMATS
from audit.reports import yaml as plain_yaml
from audit.runs.report import load_report

ROOT = Path(__file__).parents[2]
VERSIONS = sorted((Path(__file__).parents[1] / "samples").glob("report-v*"))
EXIT_CODES = {"report-v1": 1, "report-v2": 1}
PUBLISHED = json.loads((ROOT / "docs/report.schema.json").read_text())


def raw(folder):
    return plain_yaml.load((folder / "report.yaml").read_text())


def test_a_report_of_every_version_is_kept():
    assert [int(v.name.removeprefix("report-v")) for v in VERSIONS] == [
        *range(1, SCHEMA_VERSION + 1)
    ]


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda v: v.name)
def test_a_stored_report_loads_and_is_judged_and_rendered(folder, tmp_path):
    report = load_report(folder)
    again = judged_again(report, load_policy())
    assert [m.name for m in again.measurements] == [m.name for m in report.measurements]
    assert again.document.exit_code == EXIT_CODES[folder.name]
    write_formats(again, tmp_path)
    assert len(list(tmp_path.iterdir())) == len(FORMATS)


@pytest.mark.parametrize("name", ["report", "compare"])
def test_the_published_schema_is_current(name):
    published = (ROOT / f"docs/{name}.schema.json").read_text()
    made = getattr(schema, f"{name}_schema")()
    assert published == schema.text(made), "run docs/make_schema.py"
    jsonschema.Draft202012Validator.check_schema(made)


@pytest.mark.parametrize("published", [PUBLISHED, schema.compare_schema()])
def test_every_field_of_the_schema_is_explained(published):
    silent = [
        f"{record}.{field}"
        for record, definition in {"": published, **published["$defs"]}.items()
        for field, about in definition["properties"].items()
        if not about.get("description")
    ]
    assert silent == []


def test_a_stored_report_meets_the_schema():
    jsonschema.validate(raw(VERSIONS[-1]), PUBLISHED)


@pytest.mark.slow
def test_a_finished_run_meets_the_schema(finished):
    jsonschema.validate(raw(finished[0]), PUBLISHED)


@pytest.mark.parametrize("change", [
    {"schema_version": 99}, {"measurements": [{"name": "x"}]}, {"later": 1},
])  # fmt: skip
def test_the_schema_refuses_what_the_tool_refuses(change, tmp_path):
    damaged = raw(VERSIONS[-1]) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(damaged, PUBLISHED)
    (tmp_path / "report.yaml").write_text(plain_yaml.dump(damaged))
    with pytest.raises(AuditError, match=r"REPORT_(SCHEMA|INVALID)"):
        load_report(tmp_path)


def test_the_tables_hold_what_the_report_holds():
    loaded = audit.load_report(VERSIONS[-1])
    report, table = loaded.report, loaded.measurements
    assert list(table.name) == [m.name for m in report.measurements]
    row = table.set_index("name").loc["accuracy_gap.accuracy.subject"]
    assert (row.check, row.quantity, row.of) == ("accuracy_gap", "accuracy", "subject")
    stored = next(m for m in report.measurements if m.name == "accuracy_gap.accuracy.subject")
    assert (row.value, row.low, row.high, row.n) == (stored.value, stored.low, stored.high, 240)
    assert list(loaded.findings.verdict) == [f.verdict for f in report.findings]
    right = loaded.predictions.subject == loaded.predictions.label
    assert math.isclose(right.mean(), row.value)


def test_without_predictions_there_is_no_table_of_them():
    assert audit.load_report(str(VERSIONS[-1] / "report.yaml")).predictions is None
    assert not hasattr(audit, "load_everything")


def test_the_light_constraints_agree_with_the_full_ones():
    full = (ROOT / "constraints.txt").read_text().splitlines()
    light = [line for line in (ROOT / "constraints-reviewer.txt").read_text().splitlines()
             if not line.startswith("#")]  # fmt: skip
    assert set(light) <= set(full)
    assert not [line for line in light if re.match("torch|timm|pillow|scikit", line)]


@pytest.mark.slow
def test_reviewers_need_no_torch(wheel, tmp_path):
    """An environment of only the light constraints, made as the file says."""
    made, uv = tmp_path / "venv", Path(sys.executable).with_name("uv")
    python = made / "bin/python"

    def run(*words):
        done = subprocess.run(
            [*map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1, 3), done.stderr
        return done

    run(uv, "venv", "-q", "--python", sys.executable, made)
    run(uv, "pip", "install", "-q", "--python", python, "-r", ROOT / "constraints-reviewer.txt")
    run(uv, "pip", "install", "-q", "--python", python, "--no-deps", wheel)
    assert "torch" not in run(uv, "pip", "freeze", "--python", python).stdout
    command, run_folder = made / "bin/audit", tmp_path / "run"
    run("cp", "-r", VERSIONS[-1], run_folder)
    assert run(command, "render", run_folder).returncode == 0
    assert {"report.html", "report.md", "junit.xml"} <= {f.name for f in run_folder.iterdir()}
    judged = run(command, "judge", run_folder)
    assert judged.returncode == load_report(VERSIONS[-1]).document.exit_code
    assert run(command, "compare", run_folder, run_folder).returncode == 0
    told = run(python, "-c", "import audit; print(len(audit.load_report('run').predictions))")
    assert told.stdout == "240\n"
