"""One record of a finished run."""

import math
from pathlib import Path

import pytest

import audit
from audit.api import load_policy
from audit.core.errors import AuditError
from audit.pipeline.reference import chosen_reference
from audit.runs.finished import load_run
from tests.samples.runs import N, make_run, wrong

STORED = Path(__file__).parents[1] / "samples/report-v1"


def test_predictions_are_read_when_they_are_asked_for_and_once(tmp_path):
    folder = make_run(tmp_path / "run", wrong(20), wrong(120))
    run = load_run(folder)
    assert len(run.predictions) == N
    (folder / "predictions.csv.gz").unlink()
    assert run.predictions is run.predictions
    assert load_run(folder).predictions is None


def test_a_reference_with_damaged_predictions_is_refused_at_once(tmp_path):
    folder = make_run(tmp_path / "run", wrong(20), wrong(120))
    (folder / "predictions.csv.gz").write_bytes(b"no gzip")
    load_run(folder)
    with pytest.raises(AuditError, match=r"PREDICTIONS_INVALID: the reference run named by"):
        chosen_reference(folder, load_policy())


def test_the_tables_of_a_notebook_hold_the_fields():
    run = audit.load_report(STORED)
    gains = run.measurements.query("quantity == 'gain' and check == 'accuracy_gap'").set_index("of")
    stored = run.number("accuracy_gap", "gain", gains.index[0])
    assert math.isclose(gains.value.iloc[0], stored.value)
    assert run.number("accuracy_gap", "gain", "nobody") is None
