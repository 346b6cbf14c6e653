"""Contrasts of the gain rule agree with numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats as reference

from audit.stats.contrasts import (
    Contrast,
    SeedPool,
    as_pair,
    exact_fail_p,
    factor,
    fail_p,
    in_hand,
    margin,
    pool_of,
    solved,
    unbounded,
    with_margin,
)
from audit.stats.gain import gain_interval
from tests.samples.states import record

CALM = SeedPool(((0.0,) * 3,) * 3, 8.0)


def test_the_null_in_hand_has_no_seed_term():
    found = in_hand(record(spread=0.05), 0.1)
    w = 0.9 * 0.30 - 0.15
    assert found.mean == pytest.approx(w)
    assert found.seed == 0
    assert found.df == pytest.approx(60)


def test_p_of_a_fail_is_student_over_images():
    kept = record(subject=0.28)
    w = in_hand(kept, 0.1)
    expected = reference.t.cdf(w.mean / math.sqrt(w.image), 60)
    assert fail_p(kept, 0.1) == pytest.approx(expected, rel=1e-6)


def few(only_null, only_subject, both, groups=800):
    """A record of these counts."""
    return record(n=groups).model_copy(
        update={
            "only_null": only_null,
            "only_subject": only_subject,
            "both": both,
            "discordant": float(only_null + only_subject),
        }
    )


def test_below_25_discordant_images_the_test_is_exact():
    mcnemar = 2 * reference.binom.cdf(2, 24, 1 / 1.9)
    assert fail_p(few(2, 22, 0), 0.1) == pytest.approx(mcnemar)
    assert fail_p(few(2, 23, 0), 0.1) != pytest.approx(2 * reference.binom.cdf(2, 25, 1 / 1.9))


def test_a_subject_with_the_predictions_of_the_null_fails():
    alike = few(0, 0, 100)
    assert exact_fail_p(alike, 0.1) == pytest.approx(2 * 0.9**100)
    assert exact_fail_p(few(0, 0, 0), 0.1) == 1
    assert exact_fail_p(alike, -0.1) == 1  # no exact test of a limit below 0


@pytest.mark.parametrize("shares", [(0.10, 0.0, 0.90), (10 / 19, 9 / 19, 0.0), (0.4, 0.32, 0.28)])
def test_exact_tests_hold_their_level_at_the_limit(shares):
    only_null, only_subject, both = shares
    assert 0.9 * (only_null + both) >= only_subject + both - 1e-9
    draws = np.random.default_rng(0).multinomial(40, shares, 4000)
    p = [exact_fail_p(few(*map(int, draw)), 0.1) for draw in draws]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)


def test_unequal_weights_have_no_exact_test():
    assert fail_p(few(2, 20, 0).model_copy(update={"even": False}), 0.1) == 1


def test_data_are_solved_by_no_error_in_800_images():
    clean = record("prior", "untrained", curve=(0.0, 0.0, 0.0), n=800)
    assert solved(clean, 0.001)
    assert not solved(record("prior", "untrained", curve=(0.0, 0.0, 0.0), n=600), 0.001)
    assert not solved(record("prior", "untrained", curve=(0.005,) * 3, n=800), 0.001)


def test_a_pass_takes_off_twice_what_the_last_two_doublings_brought():
    rising = record(curve=(0.30, 0.31, 0.33))
    assert margin(rising) == pytest.approx(0.06)
    assert with_margin(rising, 0.1, CALM).mean == pytest.approx(0.9 * (0.30 - 0.06) - 0.15)


def test_a_curve_that_falls_gives_no_credit():
    falling = record(curve=(0.30, 0.29, 0.28))
    assert margin(falling) == 0
    assert with_margin(falling, 0.1, CALM).mean == pytest.approx(0.9 * 0.30 - 0.15)


def test_images_that_no_network_saw_cost_a_pass():
    found = with_margin(record(unseen=0.19), 0.1, CALM)
    assert found.mean == pytest.approx(0.9 * 0.9 * 0.30 - 0.15)
    assert in_hand(record(unseen=0.19), 0.1).mean == pytest.approx(0.9 * 0.30 - 0.15)


def test_networks_are_pooled_by_error_and_count_four_times():
    nulls = [
        record("bagnet-9", networks=3, spread=0.02),
        record("bagnet-5", networks=2, curve=(0.4, 0.4, 0.4), spread=0.0),
    ]
    pool = pool_of([*nulls, record("prior", "untrained")])
    assert pool.df == 3
    ratios = [n.seeds[0][0] / (n.means[1] * (1 - n.means[1])) for n in nulls]
    assert pool.ratio[0][0] == pytest.approx(np.mean(ratios))

    flat = with_margin(nulls[0], 0.1, SeedPool(((0.001,) * 3,) * 3, 3.0))
    assert flat.seed == pytest.approx(4 * 0.9**2 * 0.001 * 0.3 * 0.7 / 3)


def test_few_networks_count_more_often():
    assert [factor(s) for s in (2, 3, 5, 9)] == [8, 4, 2, 2]


def test_the_stack_adds_no_freedom_to_the_pool():
    stack = record(spread=0.02)
    stack = stack.model_copy(update={"terms": stack.terms.model_copy(update={"kind": "stack"})})
    assert pool_of([stack]).df == 0


def test_trained_nulls_without_two_known_networks_cannot_pass():
    lone = record(networks=1)
    assert pool_of([lone]).df == 0
    assert with_margin(lone, 0.1, pool_of([lone])).p == 1
    assert with_margin(lone, 0.1, CALM).p == 1
    unknown = record().model_copy(update={"seeds": ((math.nan,) * 3,) * 3})
    assert with_margin(unknown, 0.1, CALM).p == 1
    assert with_margin(record(), 0.1, CALM).p < 1e-6


def test_untrained_nulls_vary_by_a_twentieth_of_a_point():
    assert with_margin(record("patches-9", "untrained"), 0.1, CALM).seed == 0.0005**2


def test_degrees_of_freedom_are_mixed_by_shares_of_variance():
    assert Contrast(0.1, 3.0, 1.0, 60.0, 4.0).df == pytest.approx(1 / (0.75 / 60 + 0.25 / 4))
    assert Contrast(math.nan, 1.0, 1.0, 60.0, 4.0).p == 1
    assert Contrast(0.1, 1.0, 1.0, 60.0, 0.0).p == 1


def test_steps_that_do_not_shrink_have_no_bound():
    assert unbounded(record(curve=(0.20, 0.30, 0.40)), CALM)
    assert not unbounded(record(curve=(0.30, 0.308, 0.32)), CALM)
    assert not unbounded(record(curve=(0.30, 0.30, 0.30)), CALM)
    noisy = SeedPool(tuple(map(tuple, np.eye(3) * 0.02)), 8.0)
    assert not unbounded(record(curve=(0.20, 0.30, 0.40)), noisy)


@pytest.mark.parametrize(("kind", "surely"), [("trained", 1.645), ("untrained", 2.326)])
def test_a_step_must_be_too_large_by_so_many_standard_errors(kind, surely):
    kept = record(kind=kind, networks=3)
    variance = np.zeros((4, 4))
    variance[1, 1] = 0.01**2  # of the mean error at the whole budget, and so of the step
    seeds = 0.0005**2 * (4 / 3 if kind == "trained" else 1)
    limit = surely * math.sqrt(0.01**2 + seeds)
    verdicts = [
        unbounded(
            kept.model_copy(
                update={
                    "means": (0.1, 0.3 - times * limit, 0.3, 0.3),
                    "covariance": tuple(map(tuple, variance.tolist())),
                }
            ),
            CALM,
        )
        for times in (0.99, 1.01)
    ]
    assert verdicts == [False, True]


def test_without_a_curve_a_trained_null_has_no_bound():
    kept = record()
    bare = kept.model_copy(update={"means": (*kept.means[:2], math.nan, math.nan)})
    assert unbounded(bare, CALM)
    assert with_margin(bare, 0.1, CALM).p == 1


def test_the_gain_is_shown_with_images_and_networks():
    calm = gain_interval(as_pair(record(), CALM))
    noisy = gain_interval(as_pair(record(), SeedPool(((0.01,) * 3,) * 3, 8.0)))
    assert calm[0] == pytest.approx(0.5)
    assert noisy[1] < calm[1] < 0.5 < calm[2] < noisy[2]
