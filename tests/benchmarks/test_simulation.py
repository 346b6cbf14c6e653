"""The simulation behind the bounds of the verdict draws what it says, and runs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def draws(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import simulated_draws

    return simulated_draws


def test_nulls_have_the_errors_and_spreads_that_are_the_truth(draws):
    world = draws.World(4000, seeds=40, spread=0.02, noisy=2.0, error=0.2)
    (audit,) = draws.Draw(world, {"s": (0.1,)}, seed=0, curves=False).audits(1)
    means = audit.errors["bagnet-9"].mean(1)

    assert means.mean() == pytest.approx(0.2, abs=0.02)  # three of 0.04 / sqrt(40)
    assert means.std() == pytest.approx(0.04, rel=0.35)
    assert audit.subjects["s"].mean() == pytest.approx(0.1, abs=0.02)
    assert np.sqrt(audit.seed_variance) == pytest.approx(0.02, rel=0.25)


def test_clusters_have_equal_errors(draws):
    world = draws.World(1000, copies=0.4)
    (audit,) = draws.Draw(world, {"s": (0.3,)}, seed=0, curves=False).audits(1)
    sizes = np.bincount(audit.groups)

    assert (sizes.sum(), sizes.max()) == (1000, 5)
    assert sizes[sizes > 1].sum() == pytest.approx(400, abs=14)
    for group in np.flatnonzero(sizes > 1):
        assert np.ptp(audit.errors["bagnet-9"][:, audit.groups == group], axis=1).max() == 0


def test_starved_nulls_lack_what_the_power_law_says(draws):
    world = draws.World(4000, spread=0.0, left=0.02, exponent=0.7, budget=0.1, doublings=0)
    assert world.unripe() == pytest.approx(0.02 * 10**0.7)
    (audit,) = draws.Draw(world, {"s": (0.3,)}, seed=0).audits(1)
    assert audit.errors["bagnet-9"].mean() == pytest.approx(0.3 + world.unripe(), abs=0.03)
    assert audit.allowance["bagnet-9"] > world.unripe()


def test_a_smoke_test_prints_tables():
    command = [sys.executable, "verdict_simulation.py", "--quick", "--table", "fails"]
    done = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| equal nulls |" in done.stdout
