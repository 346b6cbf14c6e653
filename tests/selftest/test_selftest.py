"""The planted data are what they claim, and the self-test says so where an audit disagrees."""

import dataclasses
import errno
import json
import os
import signal

import numpy as np
import pytest
import torch

from audit.core.errors import AuditError
from audit.evidence.ladder import gating_qs
from audit.model.network.split import find_cuts
from audit.record import Finding
from audit.selftest import cases, planted, subjects, trials
from audit.selftest.expectations import SelftestResult, judged, measured, overall
from audit.selftest.table import record, table
from tests.samples.measurements import measurement


def drawn(maker, classes, n=60):
    names = tuple(f"class {i}" for i in range(classes))
    split = planted.planted(maker, names, n, n, seed=3).train
    return np.stack([np.asarray(split.open_image(i)) for i in range(n)]), split.labels


def test_a_tint_gives_the_label_away_and_all_else_is_grey():
    pictures, labels = drawn(planted.tinted, 6)
    beyond_grey = (pictures - pictures.min(axis=3, keepdims=True)).astype(int)
    assert np.array_equal(beyond_grey.max(axis=(1, 2)), np.array(planted.TINTS)[labels])
    assert ((beyond_grey.max(axis=3) > 0).sum(axis=(1, 2)) == planted.PATCH**2).all()


def test_the_place_of_the_mark_gives_the_label_away():
    pictures, labels = drawn(planted.placed, 4)
    first = np.array([np.argwhere(picture == 255).min(axis=0) for picture in pictures])
    offset = first - np.array(planted.CORNERS)[labels]
    assert (abs(offset) <= planted.JITTER).all()
    assert ((pictures == 255).sum(axis=(1, 2)) == planted.PATCH**2).all()


def test_the_planted_bagnet_can_be_cut_as_any_model():
    cuts = find_cuts(subjects.LocalNet(4, 1).eval(), (1, 26, 26))
    assert len(cuts) >= 4
    assert all(cut.traced for cut in cuts)


def test_random_labels_are_balanced():
    labels = drawn(planted.as_they_are, 10)[1]
    assert np.bincount(labels).tolist() == [6] * 10


@pytest.mark.parametrize("relation", range(len(planted.RELATIONS)))
def test_every_place_holds_an_object_equally_often_whatever_the_arrangement(relation):
    side = planted.SIDE
    counts = np.zeros((side, side), dtype=int)
    for first in np.ndindex(side, side):
        for place in planted.both_places(np.array(first), relation):
            counts[tuple(place)] += 1
    assert (counts == 2).all()


def test_no_patch_of_a_null_reaches_both_objects():
    (q,) = gating_qs(planted.SIDE)
    gap = planted.SIDE // 2 - planted.THING
    assert q < gap + 2  # both: the gap and a pixel on either side


def test_evidence_of_patches_and_places_has_the_same_mean_in_every_arrangement():
    pictures, labels = drawn(planted.arranged, 9, n=1800)
    kinds, relations = np.divmod(labels, 3)
    deviation = abs(pictures - 128.0)  # what an object is seen by: its contrast, of either sign
    for kind in range(3):
        means = [deviation[(kinds == kind) & (relations == r)].mean(axis=(1, 2)) for r in range(3)]
        errors = [m.std() / len(m) ** 0.5 for m in means]
        assert np.ptp([m.mean() for m in means]) < 4 * max(errors)


def fresh_pair():
    dataset = planted.planted(planted.tinted, tuple("abcdef"), 60, 60, seed=0)
    return dataset, subjects.fresh(subjects.ARCHITECTURE, dataset, 0).eval()


def test_the_fragile_model_is_the_same_function_bit_for_bit():
    dataset, network = fresh_pair()
    x = subjects.as_images(dataset).normalised(torch.arange(60))
    crossing = []
    network.layer2.register_forward_hook(lambda *call: crossing.append(call[2]))
    before = network(x)
    subjects.make_fragile(network)
    assert torch.equal(network(x), before)
    loud, quiet = crossing
    assert torch.equal(quiet, loud * subjects.FRAGILE)


def test_the_blind_model_is_read_back_as_it_was(tmp_path):
    dataset = planted.planted(planted.placed, tuple("abcd"), 60, 60, seed=0)
    network = subjects.fresh(subjects.BAGNET, dataset, 1).eval()
    images = subjects.as_images(dataset)
    subject = subjects.saved(network, subjects.BAGNET, images, tmp_path / "m.pt")
    x = images.normalised(torch.arange(8))
    assert subject.spec.architecture == subjects.BAGNET
    assert torch.allclose(subject.model(x), network(x), atol=1e-6)


def finding(verdict="fail", reason="DATA_LOCAL", decider="accuracy_gap.gain.colour"):
    return Finding(limit="gain", statement="", measurements=(decider,), verdict=verdict,
                   severity="gate", reason=reason, explanation="")  # fmt: skip


def result(*findings):
    known = [measurement(f"accuracy_gap.gain.{null}", 0, "gain") for null in ("colour", "bagnet-5")]
    return SelftestResult.of(findings, known, {})


def test_an_expectation_asks_for_verdict_reason_and_decider():
    look = judged("gain", "fail", "DATA_LOCAL", ("colour",)).look
    assert look(result(finding()))[0]
    assert not look(result(finding(verdict="inconclusive")))[0]
    assert not look(result(finding(reason="SUBJECT_WEAK")))[0]
    assert not look(result(finding(decider="accuracy_gap.gain.bagnet-5")))[0]
    assert not look(result())[0]


def test_what_was_not_measured_is_not_as_expected():
    assert measured("x.*", "x", at_least=0).look(result()) == (False, "x not measured")


def test_a_crashed_check_is_never_as_expected():
    crashed = SelftestResult.of([finding("pass", "")], [], {"position": "no reason"})
    assert not overall("pass").look(crashed)[0]
    assert overall("fail").look(result(finding()))[0]


def case(*expected, letter="a", data="x"):
    return cases.SelftestCase(letter, "a fault", expected, lambda bench: None, data)


def fails(*_):
    return result(finding())


@pytest.fixture
def audited(monkeypatch):
    """Every audit fails the gate, without being made."""
    monkeypatch.setattr("audit.pipeline.trial.audit_trial", fails)

    def cases_are(*chosen):
        monkeypatch.setattr(cases, "CASES", chosen)

    return cases_are


def test_exit_code_and_table_where_all_agree(audited, command, capsys):
    audited(case(overall("fail")))
    assert command("selftest", "--quick", "-q") == 0
    printed = capsys.readouterr()
    assert "a  a fault" in printed.out
    assert "NO" not in printed.out
    assert "What this does not show" in printed.err


def test_exit_code_1_on_a_wrong_expectation(audited, command, capsys):
    audited(case(overall("fail")), case(overall("fail"), judged("gain", "pass")))
    assert command("selftest", "--quick", "-q") == 1
    assert "NOT gain fail, DATA_LOCAL" in capsys.readouterr().out


def test_json_is_one_object_a_case(audited, command, capsys):
    audited(case(overall("fail")), case(overall("pass")))
    command("selftest", "--quick", "-q", "--json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["agrees"] for line in lines] == [True, False]


def test_a_case_that_raises_is_a_disagreement(monkeypatch):
    def broken(bench):
        raise ValueError("no such data")

    (row,) = trials.run_cases([dataclasses.replace(case(overall("fail")), make=broken)],
                              None, 0, lambda _: None, fails)  # fmt: skip
    assert not row.agrees
    assert "no such data" in table([row])
    assert record(row)["right"] == [False]


def test_cases_about_different_data_run_side_by_side_and_those_of_one_in_order(audited):
    chosen = [
        case(overall("fail"), letter=x, data=data) for x, data in zip("abcd", "xyxz", strict=True)
    ]
    said, seen = [], []
    for row in trials.run_cases(chosen, None, 0, said.append, fails, size=2):
        assert row.agrees
        seen.append(row.letter)
    assert sorted(seen) == list("abcd")
    assert seen.index("a") < seen.index("c")
    assert sorted(said) == [f"{letter}: a fault" for letter in "abcd"]


def test_cases_about_the_same_data_run_here(audited, monkeypatch):
    monkeypatch.setattr(trials, "side_by_side", None)
    assert (
        len(list(trials.run_cases([case(overall("fail"))] * 2, None, 0, print, fails, size=2))) == 2
    )


def test_cases_are_audited_here_where_the_system_allows_no_other_process(audited, monkeypatch):
    def refused(*_):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(trials.WorkerPool, "start", refused)
    both = [case(overall("fail"), letter=x, data=x) for x in "ab"]
    rows = list(trials.run_cases(both, None, 0, lambda _: None, fails, size=2))
    assert [(row.letter, row.agrees) for row in rows] == [("a", True), ("b", True)]


def test_a_self_test_whose_process_is_killed_says_so(monkeypatch):
    monkeypatch.setattr(trials, "audited", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    both = [case(overall("fail"), data=data) for data in "xy"]
    with pytest.raises(AuditError, match=r"SELFTEST_BROKEN: .*the . data, .*killed"):
        list(trials.run_cases(both, None, 0, lambda _: None, fails, size=2))


def test_unknown_case_is_refused(command, capsys):
    assert command("selftest", "--only", "z") == 2
    assert "USAGE" in capsys.readouterr().err


@pytest.mark.slow
def test_quick_selftest_finds_everything(command, capsys):
    assert command("selftest", "--quick", "--threads", "2") == 0
