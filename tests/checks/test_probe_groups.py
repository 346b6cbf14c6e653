"""Copies and failures among read-outs."""

import dataclasses

import numpy as np
import pytest

from audit.checks.probes import check
from tests.checks.test_probes import all_read, case_of, measured, setup_of


def test_near_duplicates_are_no_more_images():
    """Read-outs of every second image; of these, four each are copies of one another."""
    case = case_of(setup_of(), all_read([0.5, 0.6, 0.8, 0.7, 0.6]))
    (outcome,) = case.outcomes.values()
    outcome.arrays["index"] = np.arange(0, 800, 2)
    case = dataclasses.replace(case, given_labels=np.zeros(800, int))
    alone = measured(dataclasses.replace(case, given_groups=np.arange(800)))
    copied = measured(dataclasses.replace(case, given_groups=np.arange(800) // 8))
    for name in ("linear.b", "untrained.b", "gain.b", "last_minus_middle", "pixels"):
        a, b = alone[name], copied[name]
        assert a.low < a.value < a.high
        assert (b.high - b.low) / (a.high - a.low) == pytest.approx(2, rel=0.1)


def test_images_that_are_left_out_do_not_count():
    """Read-outs of every second image; the first of them, on which all are right, do not count."""
    case = case_of(setup_of(), all_read([0.5, 0.6, 0.8, 0.7, 0.6]))
    (outcome,) = case.outcomes.values()
    outcome.arrays["index"] = np.arange(0, 800, 2)
    case = dataclasses.replace(
        case,
        given_labels=np.zeros(800, int),
        given_groups=np.arange(800),
        left_out=frozenset(range(200)),
    )
    found = measured(case)
    assert found["linear.b"].n == 300
    assert found["linear.b"].value == pytest.approx((0.8 * 400 - 100) / 300)


def test_a_job_that_failed_is_not_measured():
    setup = setup_of()
    case = dataclasses.replace(case_of(setup, {}), outcomes={})
    (only,) = check.measure(case)
    assert only.name == "probes.last_minus_middle"
    assert np.isnan(only.value)
    assert "not part of this audit" in only.note
