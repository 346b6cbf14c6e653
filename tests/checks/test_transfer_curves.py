"""Effects of transfer: intervals over images and seeds, and controls that fail closed."""

import math

import numpy as np
import pytest

from audit.checks.transfer.controls import failed_controls, still_learning
from audit.checks.transfer.curves import effects
from audit.evidence.setup import CutPoint
from audit.record import Quantity
from audit.stats.effects import difference, seed_noise
from audit.stats.intervals import paired_difference

CUTS = (CutPoint(name="layer1", depth=0.5, head=False), CutPoint(name="head", depth=1, head=True))
WHAT = Quantity(check="t", quantity="x")
QUIET = seed_noise([], independent=True)


def errors(share, n=400, seeds=1, seed=0):
    return (np.random.default_rng(seed).random((seeds, n)) < share).astype(float)


def test_with_one_seed_the_interval_is_that_of_the_images():
    worse, better = errors(0.4), errors(0.3, seed=1)
    noise = seed_noise([worse - better], independent=True)
    assert difference(worse, better, None, noise) == pytest.approx(paired_difference(worse, better))


def test_seeds_that_disagree_widen_the_interval():
    """Whole seeds that are right or wrong: the images explain nothing of it."""
    worse = np.stack([np.zeros(400), np.ones(400), np.ones(400)])
    noise = seed_noise([worse], independent=False)
    wide = difference(worse, np.zeros((1, 400)), None, noise)
    assert noise == pytest.approx((1 / 3, 2), rel=0.01)
    assert wide.high - wide.value == pytest.approx(4.303 / 3, rel=0.02)


def test_cuts_that_share_nothing_know_the_noise_better():
    tables = [errors(0.3, seeds=3, seed=i) for i in range(4)]
    assert seed_noise(tables, independent=True).df == 8
    assert seed_noise(tables, independent=False).df == 2


def test_intervals_over_seeds_cover():
    rng, hit = np.random.default_rng(1), 0
    for _ in range(400):
        hard = rng.random(300)
        shares = 0.3 + 0.03 * rng.standard_normal((3, 1))  # seeds differ by 3 points
        worse, better = (
            (hard < 0.2) | (rng.random((3, 300)) < s) for s in (shares, np.full((3, 1), 0.2))
        )
        worse, better = worse.astype(float), better.astype(float)
        reach = difference(worse, better, None, seed_noise([worse - better], independent=False))
        hit += reach.low <= 0.8 * 0.1 <= reach.high
    assert hit >= 0.92 * 400


def failing(frozen, tuned, missing=None, cuts=CUTS):
    base = np.zeros((1, 100))
    tables = [{name: np.full((1, 100), lost) for name, lost in t.items()} for t in (frozen, tuned)]
    return failed_controls(cuts, *tables, base, "the model", missing or {})


def test_controls_that_hold_say_nothing():
    assert failing({"layer1": 0.5, "head": 0.01}, {"layer1": 0.02, "head": 0.0}) == {}


def test_each_cut_must_return_when_all_learns():
    found = failing({"layer1": 0.5, "head": 0.0}, {"layer1": 0.021, "head": 0.0})
    assert set(found) == {"layer1"}
    assert "2.1 points below the model" in found["layer1"]


@pytest.mark.parametrize(("frozen", "missing", "cuts", "words"), [
    ({"layer1": 0.0, "head": 0.011}, {}, CUTS, "1.1 points below the model"),
    ({"layer1": 0.0}, {"head": "BnB: diverged"}, CUTS, "is missing: BnB: diverged"),
    ({"layer1": 0.0}, {}, CUTS[:1], "no cut before the classifier"),
])  # fmt: skip
def test_without_the_last_control_no_cut_can_be_told(frozen, missing, cuts, words):
    found = failing(frozen, {"layer1": 0.0, "head": 0.0}, missing, cuts)
    assert words in found["layer1"]


def unfinished(frozen, tuned, n=1000):
    """A base that is wrong on 40 %, and how many points its networks end above it."""
    base = (np.arange(n) < 0.4 * n).astype(float)[None]
    tables = [
        {name: (np.arange(n) < round((0.4 - up) * n)).astype(float)[None] for name, up in t.items()}
        for t in (frozen, tuned)
    ]
    return still_learning(CUTS, *tables, base, "the model", None, independent=True)


def test_networks_a_little_above_their_base_are_back():
    """One point for the classifier and two for BnB+, and what the images cannot tell from it."""
    assert unfinished({"head": 0.01}, {"layer1": 0.025, "head": -0.1}) == {}


def test_a_base_that_gains_by_learning_on_was_not_trained_to_its_end():
    found = unfinished({"head": 0.0}, {"layer1": 0.24, "head": 0.01})
    assert set(found) == {"layer1"}
    assert "ends 24.0 points (21.3 to 26.7) above the model (2 are allowed)" in found["layer1"]
    assert "not trained to its end" in found["layer1"]


def test_a_classifier_that_gains_by_learning_anew_counts_for_every_cut():
    found = unfinished({"head": 0.05}, {"layer1": 0.0, "head": 0.0})
    assert set(found) == {"layer1", "head"}
    assert "(1 is allowed)" in found["layer1"]


def test_what_is_missing_is_no_number_and_has_its_reason():
    pairs = {"layer1": (errors(0.4), errors(0.3)), "head": (errors(0.4), errors(0.3))}
    made = effects(WHAT, CUTS, pairs, np.arange(400), {"head": "no"}, independent=True)
    assert [m.name for m in made] == ["t.x.layer1", "t.x.head"]
    assert math.isnan(made[1].value)
    assert made[1].note == "no"
    alone = difference(*pairs["layer1"], None, QUIET)
    assert made[0].low < alone.low  # two intervals hold together
