"""Limits on every class and on one, whatever its name looks like."""

import math

import numpy as np
import pytest

from audit.checks.accuracy_gap.breakdown import class_accuracy, per_class
from audit.policy.judge import judge
from tests.samples.pairs import pair_of
from tests.samples.policy import measured, one_limit

ODD = ("a.b", "a*", "ab", "[a]", "a'\"", "*")
GAP = "accuracy_gap.class_gap."


class Case:
    """The part of a case that is read by class."""

    labels = np.repeat(np.arange(3), (100, 100, 1))
    groups = np.arange(201)

    class setup:
        classes = ("left", "a.b*", "rare")


def by_class(subject, null):
    against = pair_of("bagnet-9", subject, null, claim=True, allowance=0.0)
    return {m.name: m for m in per_class(Case, np.atleast_2d(null), subject, against)}


def gaps(low):
    return [measured(GAP + name, low + 0.1, low, low + 0.2) for name in ODD]


def test_accuracy_and_gap_of_each_class_have_interval_and_n():
    subject, null = np.zeros(201), np.tile([0.0, 1.0, 1.0], 67)
    subject[:20] = 1
    found = by_class(subject, null)
    left, gap = found["accuracy_gap.class_accuracy.left"], found[GAP + "a.b*"]
    assert (left.value, left.n, left.unit) == (pytest.approx(0.8), 100, "fraction")
    assert 0.65 < left.low < 0.8 < left.high < 0.92
    assert gap.value == pytest.approx(null[100:200].mean())
    assert gap.low < gap.value < gap.high
    assert "hold together" in left.note
    assert "over BagNet-9" in gap.note


def test_a_class_with_one_image_is_not_measured_and_lets_nothing_pass():
    found = by_class(np.zeros(201), np.ones(201))
    assert math.isnan(found[GAP + "rare"].value)
    (decided,) = judge([*found.values()], one_limit(GAP + "*", at_least=0))
    assert (decided.verdict, decided.reason) == ("inconclusive", "NOT_MEASURED")


def test_intervals_of_more_classes_are_wider():
    errors, groups = np.arange(100) < 20, np.arange(100)
    one, many = (class_accuracy(errors, groups, t, level) for t, level in ((2, 0.95), (3, 0.995)))
    assert many[1] < one[1] < one[0] < one[2] < many[2]


def test_every_class_must_meet_the_limit():
    worse = measured(GAP + "bad", -0.2, -0.3, -0.1)
    (found,) = judge([*gaps(0.1), worse], one_limit(GAP + "*", at_least=0))
    assert (found.verdict, found.measurements[0]) == ("fail", GAP + "bad")
    assert "for class 'bad'" in found.explanation


@pytest.mark.parametrize("name", ODD)
def test_a_class_is_named_letter_by_letter(name):
    (found,) = judge(gaps(0.1), one_limit(GAP + "*", of_class=name, at_least=0))
    assert found.measurements == (GAP + name,)
    assert f"class '{name}'" in found.statement


def test_the_name_of_a_class_cannot_act_on_a_terminal():
    for low in (math.nan, -0.2):
        bad = measured(GAP + "\x1b[31mred", low, low, low)
        (found,) = judge([bad], one_limit(GAP + "*", at_least=0))
        assert "\\x1b[31mred" in found.explanation
        assert "\x1b" not in found.explanation


def test_a_class_that_is_not_there_is_undecided_and_the_nearest_is_named():
    (found,) = judge(gaps(0.1), one_limit(GAP + "*", of_class="[b]", at_least=0))
    assert (found.verdict, found.reason) == ("inconclusive", "NOT_MEASURED")
    assert "the nearest is '[a]'" in found.explanation
