"""Pairs: what is kept of the errors of a subject and a null, and their seed variance."""

import math

import numpy as np
import pytest

from audit.policy.gain_verdict import p_pass
from audit.stats.paired import (
    ASSUMED_SEED_VARIANCE,
    Pair,
    balanced_weights,
    needs_balanced,
    pooled_seed_variance,
)
from tests.samples.pairs import bet, pair_of, wrong


def test_pair_survives_storage_as_floats():
    kept = bet(0.3, 0.2, allowance=0.01, failed=False)
    assert Pair.from_detail("bagnet-9", kept.to_detail()) == kept
    failed = bet(0.3, 0.2, failed=True)
    assert all(map(math.isfinite, failed.to_detail().values()))
    assert Pair.from_detail("bagnet-9", failed.to_detail()) == failed


@pytest.mark.parametrize(
    "damage",
    [{"error_null": math.nan}, {"status": 7.0}, {"n": 0.0}, {"n": 9.5}, {"var_null": -1.0}],
)
def test_damaged_details_are_missing_pairs(damage):
    found = Pair.from_detail("x", bet(0.3, 0.2).to_detail() | damage)
    assert found.status == "missing"
    assert found.claim


def test_empty_details_and_unknown_allowances_cannot_pass():
    detail = bet(0.3, 0.1).to_detail()
    del detail["allowance"]
    assert p_pass(Pair.from_detail("x", detail), 0.1) == 1
    assert Pair.from_detail("x", {}).status == "missing"


def test_predictions_that_are_not_numbers_make_a_missing_pair():
    broken = pair_of("x", [0, 1, math.nan], [0, 1, 1], claim=True, allowance=0)
    assert broken.status == "missing"


def test_shapes_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="not paired"):
        pair_of("x", np.zeros(5), np.zeros((3, 4)), claim=True, allowance=0)


def test_seed_variance_excludes_what_images_explain():
    rng = np.random.default_rng(0)
    level = 0.3 + rng.normal(0, 0.02, (40, 3, 1))
    tables = [*(rng.random((40, 3, 2000)) < level).astype(float)]

    assert math.sqrt(pooled_seed_variance(tables)) == pytest.approx(0.02, rel=0.2)
    flat = [*(rng.random((40, 3, 2000)) < 0.3).astype(float)]
    assert pooled_seed_variance(flat) < 0.5 * 0.21 / 2000  # three deviations of the estimate


def test_seed_variance_of_one_seed_is_assumed_and_said_so():
    one = pair_of("x", wrong(0.2, 500), wrong(0.3, 500), claim=True, allowance=0)
    assert one.seed_variance == ASSUMED_SEED_VARIANCE == pooled_seed_variance([np.zeros((1, 9))])
    assert "assumed" in one.note
    assert pooled_seed_variance([]) == 0
    assert bet(0.3, 0.2).seed_variance == 0


def test_the_larger_seed_variance_is_used():
    nulls = np.stack([wrong(0.2, 1000), wrong(0.3, 1000), wrong(0.4, 1000)])
    for pooled in (None, 1e-4):
        own = pair_of("x", wrong(0.1, 1000), nulls, claim=True, allowance=0, seed_variance=pooled)
        assert own.seed_variance == pytest.approx(0.01, rel=0.05)
    more = pair_of("x", wrong(0.1, 1000), nulls, claim=True, allowance=0, seed_variance=0.5)
    assert more.seed_variance == 0.5


def test_balanced_weights_average_the_classes():
    labels = np.array([0] * 90 + [1] * 10)
    subject = np.where(labels == 0, 0.0, 1.0)
    balanced = pair_of(
        "x", subject, subject, claim=True, allowance=0, weights=balanced_weights(labels)
    )

    assert balanced.error_subject == pytest.approx(0.5)
    assert balanced.effective == pytest.approx(1 / (0.25 / 90 + 0.25 / 10))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([10, 10, 10], False), ([10, 29], False), ([10, 31], True), ([40, 10, 50, 50], True)],
)
def test_imbalance(counts, expected):
    assert needs_balanced(np.arange(len(counts)).repeat(counts), len(counts)) is expected


def test_a_share_above_twice_the_even_one_is_imbalance():
    assert needs_balanced(np.arange(10).repeat([25, *[10] * 9]), 10)
    assert needs_balanced(np.array([0, 0, 1, 1]), 3)  # a class without images


def test_copies_of_images_are_no_more_images():
    groups = np.arange(500).repeat(4)
    copied = pair_of("x", wrong(0.2, 500).repeat(4), wrong(0.3, 500).repeat(4), groups,
                  claim=True, allowance=0, seed_variance=0)  # fmt: skip
    assert (copied.n, copied.groups, copied.effective) == (2000, 500, pytest.approx(500))


def test_degrees_of_freedom_are_those_of_the_variance_that_is_used():
    nulls = np.stack([wrong(0.2, 1000), wrong(0.3, 1000), wrong(0.4, 1000)])
    more = {"claim": True, "allowance": 0, "pooled_over": 6}
    assert pair_of("x", wrong(0.1, 1000), nulls, seed_variance=0.5, **more).df == 12
    assert pair_of("x", wrong(0.1, 1000), nulls, seed_variance=1e-4, **more).df == 2
    assert pair_of("x", wrong(0.1, 1000), nulls[0], seed_variance=1e-4, **more).df == 60


def test_seed_variance_of_balanced_accuracy_is_that_of_the_balanced_error():
    """Seeds that trade one class for the other spread in balanced accuracy alone."""
    labels = np.array([0] * 900 + [1] * 100)
    seeds = np.zeros((3, 1000))
    for row, few in zip(seeds, (10, 30, 50), strict=True):
        row[: 60 - few] = row[900 : 900 + few] = 1  # always 60 errors
    plain = pair_of("x", seeds[0], seeds, claim=True, allowance=0)
    fair = pair_of("x", seeds[0], seeds, claim=True, allowance=0, weights=balanced_weights(labels))

    assert plain.seed_variance == 0.0005**2
    spread = np.std([few / 200 + (60 - few) / 1800 for few in (10, 30, 50)], ddof=1)
    assert math.sqrt(fair.seed_variance) == pytest.approx(spread, rel=0.1)
