"""Records of a null's state: what is kept, stored and read back."""

import math

import numpy as np
import pytest

from audit.stats.paired import _two_way_residual, balanced_weights
from audit.stats.states import (
    NullRecord,
    NullTerms,
    StateErrors,
    below_floor,
    missing_record,
    reduce_state,
)
from tests.samples.states import record, shuffled

TERMS = NullTerms(null="bagnet-9", kind="trained", claim="bag", networks=3)


def random_state(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    networks = (rng.random((3, 3, n)) < 0.3 + rng.normal(0, 0.02, (3, 3, 1))).astype(float)
    whole, half, quarter = (rng.random((3, n)) < 0.3).astype(float)
    return StateErrors(whole, half, quarter, networks), (rng.random(n) < 0.2).astype(float)


def test_means_covariances_and_counts_are_those_of_the_errors():
    errors, subject = random_state()
    found = reduce_state(TERMS, subject, errors)
    rows = np.stack([subject, errors.whole, errors.half, errors.quarter])

    assert found.means == pytest.approx(rows.mean(1))
    assert np.array(found.covariance) == pytest.approx(np.cov(rows) / 2000)
    null, wrong = errors.whole > 0, subject > 0
    assert found.only_null == (null & ~wrong).sum()
    assert found.only_subject == (wrong & ~null).sum()
    assert found.both == (null & wrong).sum()
    assert found.discordant == pytest.approx((null != wrong).sum())


def test_residuals_of_networks_are_those_of_a_two_way_table():
    errors, subject = random_state()
    found = np.array(reduce_state(TERMS, subject, errors).seeds)
    contrast = np.array([3.0, 0.0, -2.0])
    table = np.einsum("sbn,b->sn", errors.networks, contrast)
    expected = _two_way_residual(table, np.full(2000, 1 / 2000))
    assert contrast @ found @ contrast == pytest.approx(expected)


def test_near_duplicates_count_once():
    errors, subject = random_state(n=500)
    twice = StateErrors(*(np.repeat(e, 2, axis=-1) for e in errors))
    groups = np.repeat(np.arange(500), 2)
    single = reduce_state(TERMS, subject, errors)
    double = reduce_state(TERMS, np.repeat(subject, 2), twice, groups)

    assert (double.n, double.groups, double.effective) == (1000, 500, pytest.approx(500))
    assert np.array(double.covariance) == pytest.approx(np.array(single.covariance))
    assert np.array(double.seeds) == pytest.approx(np.array(single.seeds))
    assert double.only_subject == single.only_subject


def test_weights_turn_the_mean_into_that_of_the_classes():
    labels = np.array([0] * 1800 + [1] * 200)
    subject = (labels == 1).astype(float)
    errors, _ = random_state()
    found = reduce_state(TERMS, subject, errors, weights=balanced_weights(labels))
    assert found.means[0] == pytest.approx(0.5)
    assert not found.even
    assert found.discordant < found.only_null + found.only_subject


def test_records_survive_storage_as_floats():
    for kept in (
        record(unseen=0.1, training_error=0.3, spread=0.01),
        record("prior", "untrained", training_error=0.3),
        record(status="failed", below_floor=True, full_scale=False, state=3),
    ):
        read = NullRecord.from_detail(kept.terms.null, kept.to_detail())
        assert repr(read) == repr(kept)  # NaN is not equal to itself


def test_numbers_of_a_curve_may_be_absent():
    detail = {k: v for k, v in record().to_detail().items() if "half" not in k and "seed" not in k}
    read = NullRecord.from_detail("bagnet-9", detail)
    assert read.measured
    assert not read.has_curve


@pytest.mark.parametrize(
    "damage",
    [
        {"mean.whole": math.nan},
        {"mean.whole": 1.5},
        {"status": 9.0},
        {"kind": -1.0},
        {"n": 0.0},
        {"n": 9.5},
        {"groups": 1e9},
        {"cov.whole.whole": -1.0},
        {"cov.subject.whole": math.inf},
        {"only_null": 1e6},
        {"networks": 0.0},
        {"unseen": 1.0},
        {"unseen": -0.1},
    ],
)
def test_damaged_numbers_are_missing_nulls(damage):
    found = NullRecord.from_detail("bagnet-9", record().to_detail() | damage)
    assert found.terms.status == "missing"
    assert not found.measured


@pytest.mark.parametrize(
    "key", ["kind", "claim", "full_scale", "status", "state", "networks", "unseen", "below_floor"]
)
def test_absent_facts_are_missing_nulls(key):
    detail = record().to_detail()
    del detail[key]
    assert NullRecord.from_detail("bagnet-9", detail).terms.status == "missing"


def test_predictions_that_are_not_numbers_make_a_missing_null():
    found = reduce_state(TERMS, [0, 1, math.nan], StateErrors([0, 1, 1]))
    assert repr(found) == repr(missing_record(TERMS))


def test_shapes_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="not paired"):
        reduce_state(TERMS, np.zeros(5), StateErrors(np.zeros(4)))
    with pytest.raises(ValueError, match="single networks"):
        reduce_state(TERMS, np.zeros(5), StateErrors(np.zeros(5), networks=np.zeros((2, 5))))


def test_a_null_falls_short_of_its_floor_by_more_than_its_margin():
    floor = shuffled(0.20, 2000, 0)
    null, before = shuffled(0.30, 2000, 1), shuffled(0.31, 2000, 2)
    assert below_floor(null, before, floor)
    assert not below_floor(null, shuffled(0.36, 2000, 2), floor)  # may still gain 12 points
    assert not below_floor(shuffled(0.21, 2000, 1), shuffled(0.21, 2000, 2), floor)
