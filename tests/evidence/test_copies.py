"""Copies of training images, and repeats, are left out of every count, whatever models say."""

import dataclasses

import numpy as np
import pytest

from audit.api import load_policy
from audit.checks.accuracy_gap import check as accuracy_gap
from audit.checks.data import check as data
from audit.checks.data.jobs import listing
from audit.checks.data.outcomes import Listed
from audit.checks.labels import check as labels
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.jobs.scheduler import JobResults
from audit.jobs.store import Outcome
from audit.pipeline.audit import make_case, measured
from audit.pipeline.run_folder import predictions_table
from audit.policy.judge import judge
from tests.evidence.test_ladder import N, case
from tests.samples.outcomes import found_in_data


def planted(exact=(), near=(), repeats=()):
    """A good model on N images, some of which are copies; it is right on every copy."""
    whole = case(subject=0.05)
    copies = [i for i, _ in (*exact, *near)]
    job = requests.subject_outputs(whole.setup)
    logits = whole.outcomes[job.key].arrays["logits"].copy()
    logits[copies] = np.eye(logits.shape[1])[whole.given_labels[copies]]
    facts = found_in_data(
        exact_leaks=tuple(exact),
        near_leaks=tuple(near),
        eval_copies=tuple(repeats),
        train_counts=(1000,) * 10,
        eval_counts=(N // 10,) * 10,
    )
    arrays = {"eval_labels": whole.given_labels, "eval_groups": whole.given_groups}
    outcomes = dict(whole.outcomes) | {
        job.key: Outcome(arrays={"logits": logits}),
        requests.facts(whole.setup).key: Outcome(facts, arrays),
        listing(whole.setup).key: Outcome(Listed(files={}, sizes={}, skipped=0)),
    }
    return make_case(whole.setup, JobResults(outcomes))


def leaks(count):
    return tuple((i, i) for i in range(count))


def judged(found):
    measurements = [*accuracy_gap.measure(found), *data.measure(found), *labels.measure(found)]
    findings = {f.limit: f for f in judge(measurements, load_policy())}
    return findings, {m.name: m for m in measurements}


def test_three_percent_of_near_copies_are_left_out_and_fail_nothing():
    findings, measured = judged(planted(near=leaks(N * 3 // 100)))
    assert {f.verdict for f in findings.values() if f.severity == "gate"} == {"pass"}
    assert findings["some_near_leaks"].verdict == "fail"  # a warning
    assert findings["some_near_leaks"].severity == "warn"
    assert measured["data.near_copies"].value == pytest.approx(0.03)


def test_the_gain_is_that_of_the_images_that_are_left():
    few = N * 3 // 100
    copied = planted(near=leaks(few))
    _, measured = judged(copied)

    def mistakes(job):
        said = copied.outcomes[job.key].arrays["logits"].argmax(axis=1)
        return (said != copied.given_labels)[few:].mean()

    null = copied.setup.null("bagnet")
    subject = mistakes(requests.subject_outputs(copied.setup))
    blind = mistakes(requests.null_outputs(copied.setup, null))
    found = measured[f"accuracy_gap.gain.{null.name}"]
    assert found.value == pytest.approx(1 - subject / blind)
    assert found.n == N - few
    assert measured["accuracy_gap.accuracy.subject"].value == pytest.approx(1 - subject)


def test_the_other_checks_count_the_same_images():
    _, measured = judged(planted(near=leaks(N * 3 // 100)))
    assert measured["labels.accuracy_permuted"].n == N - N * 3 // 100
    assert measured["labels.accuracy_permuted"].detail["as_is"] == pytest.approx(
        measured["accuracy_gap.accuracy.subject"].value
    )


def test_six_percent_of_near_copies_fail():
    findings, _ = judged(planted(near=leaks(N * 6 // 100)))
    assert findings["near_leaks"].verdict == "fail"


def test_one_exact_copy_fails_and_is_left_out():
    findings, measured = judged(planted(exact=leaks(1)))
    assert findings["exact_leaks"].verdict == "fail"
    assert measured["accuracy_gap.gain.colour"].n == N - 1
    assert measured["data.near_copies"].value == 0


def test_of_equal_evaluation_images_the_first_counts():
    found = planted(repeats=((0, 7), (0, 9)))
    assert np.flatnonzero(~found.counted).tolist() == [7, 9]


def test_too_few_images_left_are_inconclusive():
    findings, _ = judged(planted(near=leaks(N - 199)))
    assert (findings["gain"].verdict, findings["gain"].reason) == ("inconclusive", "FEW_IMAGES")


def test_where_every_image_is_a_copy_nothing_is_measured():
    measurements, reason = measured(accuracy_gap, planted(near=leaks(N)))
    findings = {f.limit: f.verdict for f in judge(measurements, load_policy())}
    assert "every evaluation image is a copy" in reason
    assert findings["gain"] == findings["prior_gap"] == "inconclusive"


def test_a_report_that_left_no_near_copies_out_passes_no_gate_on_them():
    _, found = judged(planted())
    del found["data.near_copies"]  # as in reports of earlier versions
    findings = {f.limit: f.verdict for f in judge([*found.values()], load_policy())}
    assert findings["near_leaks"] == "inconclusive"


def test_predictions_list_all_images_and_say_which_count():
    found = planted(near=leaks(2))
    table = predictions_table(found, [f"{i}.png" for i in range(N)])
    assert (len(table), table["counted"].tolist()) == (N, [0, 0] + [1] * (N - 2))


def test_labels_and_groups_are_those_of_the_images_that_count():
    found = Case(None, np.array([5, 6, 7]), np.array([0, 0, 1]), {}, {}, frozenset({1}))
    assert (found.labels.tolist(), found.groups.tolist()) == ([5, 7], [0, 1])
    assert found.rows(np.arange(6).reshape(3, 2)).tolist() == [[0, 1], [4, 5]]
    assert dataclasses.replace(found, left_out=frozenset()).counted.all()
