"""A planted order of the outputs is found and named; chance, collapse and small data are not."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from audit.api import load_policy
from audit.checks.labels import check as labels
from audit.evidence.case import Case
from audit.evidence.profile import profile
from audit.evidence.setup import NullInput, Setup
from audit.evidence.shared_jobs import subject_outputs
from audit.jobs.store import Outcome
from audit.kernels.assignment import best_permutation, cross_fitted
from audit.policy.headline import headline
from audit.policy.judge import judge

RNG = np.random.default_rng(0)


def made_case(predicted, truth, k, groups=None, order=()):
    setup = Setup(
        profile=profile("quick"), seed=0, subject="m", architecture="a", subject_digest="",
        subject_size=32, view="", train_digest="", eval_digest="", order=order,
        classes=tuple(f"c{i}" for i in range(k)), n_train=0, n_eval=len(truth), channels=3,
        input=NullInput(size=32),
        nulls=(),
    )  # fmt: skip
    groups = np.arange(len(truth)) if groups is None else groups
    logits = Outcome(arrays={"logits": np.eye(k, dtype=np.float32)[predicted]})
    return Case(setup, truth, groups, {subject_outputs(setup).key: logits}, {})


def noisy(truth, order, k, right=0.9):
    """The class `order[i]` for an image of class i, a random one in the rest."""
    return np.where(RNG.random(len(truth)) < right, order[truth], RNG.integers(0, k, len(truth)))


def measured(case):
    return {m.name.removeprefix("labels."): m for m in labels.measure(case)}


def test_the_best_permutation_is_that_of_the_dense_assignment():
    predicted, truth = RNG.integers(0, 20, (2, 500))
    table = np.zeros((20, 20))
    np.add.at(table, (predicted, truth), 1)
    found = best_permutation(predicted, truth, 20)
    rows, columns = linear_sum_assignment(table, maximize=True)
    assert table[np.arange(20), found].sum() == table[rows, columns].sum()
    assert sorted(found) == list(range(20))


def test_outputs_that_are_never_given_keep_their_class():
    assert best_permutation(np.array([0, 0, 1]), np.array([1, 1, 0]), 4).tolist() == [1, 0, 2, 3]
    assert best_permutation(np.array([0, 0]), np.array([2, 2]), 4).tolist() == [2, 1, 0, 3]


def test_the_score_is_no_artefact_of_fitting():
    predicted, truth = RNG.integers(0, 50, (2, 2000))
    best = best_permutation(predicted, truth, 50)[predicted] == truth
    assert best.mean() > 0.04  # twice chance, by fitting alone
    assert cross_fitted(predicted, truth, RNG.random(2000) < 0.5, 50).mean() < 0.03


def test_a_planted_order_is_found_and_named():
    truth = RNG.integers(0, 10, 1000)
    found = measured(made_case(noisy(truth, (np.arange(10) + 3) % 10, 10), truth, 10))
    best, claimed = found["accuracy_permuted"], found["permutation_claimed"]
    assert claimed.value == 1
    assert best.low < 0.91 < best.high
    assert best.detail["as_is"] < 0.05 < best.detail["shuffled"] < 0.2
    assert {k: m.note for k, m in found.items() if k.startswith("moved.")} == {
        f"moved.c{(i + 3) % 10}": f"c{i}" for i in range(10)
    }
    words = labels.section(list(found.values()), ())
    assert "c0 is c7, c1 is c8, c2 is c9 and 7 more" in words.summary
    assert "output 0, taken for c0, is c7 on" in [row["what"] for row in words.rows]


def test_two_swapped_classes_of_ten_are_named_and_no_others():
    truth = RNG.integers(0, 10, 2000)
    swap = np.arange(10)
    swap[[2, 7]] = [7, 2]
    found = measured(made_case(noisy(truth, swap, 10), truth, 10, order=tuple(range(9, -1, -1))))
    assert [k for k in found if k.startswith("moved.")] == ["moved.c7", "moved.c2"]
    assert found["moved.c7"].detail == {"output": 2.0}


@pytest.mark.parametrize("case", ["right", "guessing", "one answer", "ten images"])
def test_nothing_is_claimed(case):
    truth = RNG.choice(5, 1000, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    predicted = {
        "right": noisy(truth, np.arange(5), 5, 0.5),
        "guessing": RNG.permutation(truth),
        "one answer": np.full(1000, 3),
        "ten images": (truth + 1) % 5,
    }[case]
    groups = np.arange(1000) % 10 if case == "ten images" else None
    found = measured(made_case(predicted, truth, 5, groups))
    assert found["permutation_claimed"].value == 0
    assert not [k for k in found if k.startswith("moved.")]


def test_copies_stay_in_one_half():
    truth = RNG.integers(0, 3, 90)
    groups = truth * 30 + np.arange(90) % 5
    halves = labels.split(truth, groups, seed=0)
    assert all(len(set(halves[groups == g])) == 1 for g in groups)
    assert 0.3 < halves.mean() < 0.7


def test_a_wrong_order_gates():
    truth = RNG.integers(0, 4, 400)
    for order, verdict in ((np.array([1, 2, 3, 0]), "fail"), (np.arange(4), "pass")):
        found = labels.measure(made_case(noisy(truth, order, 4), truth, 4))
        (finding,) = [f for f in judge(found, load_policy()) if f.limit == "label_order"]
        assert (finding.verdict, finding.severity) == (verdict, "gate")
        said = headline([finding], found)
        assert said.startswith("The outputs stand in another order") is (verdict == "fail")


def test_many_moved_outputs_are_folded():
    truth = np.repeat(np.arange(60), 20)
    found = labels.measure(made_case(noisy(truth, (np.arange(60) + 1) % 60, 60), truth, 60))
    assert [row["value"] for row in labels.section(found, ()).rows][-1] == "40"


def test_an_order_that_is_better_by_less_than_a_point_is_not_claimed():
    rng, truth = np.random.default_rng(0), np.arange(40_000) % 10
    swap = np.arange(10)
    swap[[2, 7]] = [7, 2]
    other = rng.random(40_000) < 0.53  # of classes 2 and 7
    predicted = np.where(other, swap[truth], truth)
    predicted = np.where(rng.random(40_000) < 0.9, predicted, rng.integers(0, 10, 40_000))
    found = measured(made_case(predicted, truth, 10))
    best = found["accuracy_permuted"]
    assert best.detail["as_is_high"] < best.low < best.detail["as_is_high"] + 0.01
    assert found["permutation_claimed"].value == 0
