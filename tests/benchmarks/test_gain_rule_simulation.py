"""The simulation of the gain rule draws what it says, makes the records of the rule, and runs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audit.policy.gain_plan import GainPlan
from audit.stats.states import StateErrors, reduce_state

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def states(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import simulated_states

    return simulated_states


def test_nulls_and_subjects_have_the_errors_that_are_the_truth(states):
    setting = states.Setting(4000, left=0.08, exponent=0.5, spread=0.0)
    audits = states.Audits(setting, (0.1,), seed=0)
    means, subjects = [], []
    for batch in audits.batches(60):
        means.append(batch[3].means[:, 0].mean(0))
        subjects.append(batch[3].subjects.mean())

    expected = 0.3 + 0.08 * audits.budgets**-0.5
    assert np.mean(means, 0) == pytest.approx(expected, abs=0.004)
    assert audits.truth(3) == pytest.approx(0.3)
    assert np.mean(subjects) == pytest.approx(0.27, abs=0.004)
    assert audits.truth(2) > 0.3


def test_records_are_those_of_reduce_state(states, monkeypatch):
    audits = states.Audits(states.Setting(500, left=0.05), (0.3,), seed=1)
    kept = {}
    counts = audits.counts

    def spy(whole, single, judged, null):
        kept[null.name, single.shape[1]] = whole[0], single[0], judged[0]
        return counts(whole, single, judged, null)

    monkeypatch.setattr(audits, "counts", spy)
    batch = audits.batch(1)
    audit = states.Audit(audits, batch[3], 0, 3, 0, np.zeros((12, 7)))
    made = audit.record(0, 2, 2)
    whole, single, judged = kept["bagnet-5", 3]
    errors = StateErrors(whole[3], whole[2], whole[1], single[:, [3, 2, 1]])
    expected = reduce_state(made.terms, judged[0], errors)

    assert made.means == pytest.approx(expected.means)
    assert np.array(made.covariance) == pytest.approx(np.array(expected.covariance), abs=1e-9)
    assert np.array(made.seeds) == pytest.approx(np.array(expected.seeds), abs=1e-8)
    for count in ("only_null", "only_subject", "both", "discordant"):
        assert getattr(made, count) == getattr(expected, count)


def test_an_audit_is_replayed_until_nothing_is_open(states):
    audits = states.Audits(states.Setting(1000, left=0.02), (-0.5, 0.1), seed=2)
    batch = next(iter(audits.batches(1)))
    plan = GainPlan(untrained=3, trained=5, budgets=3, looks=5)
    bad = states.Audit(audits, batch[3], 0, 3, 0, np.zeros((12, 7)))
    verdict, look = bad.replay(plan, 0.1, 4)
    assert (verdict, look) == ("fail", 1)
    unclear = states.Audit(audits, batch[3], 0, 3, 1, np.zeros((12, 7)))
    verdict, look = unclear.replay(plan, 0.1, 4, everything=True)
    assert (verdict, look) == ("inconclusive", 3)


def test_a_smoke_test_prints_tables():
    command = [sys.executable, "gain_rule_simulation.py", "--quick", "--table", "solved"]
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)}
    done = subprocess.run(
        command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "| 800 | 0.0% | 100.0% |" in done.stdout
