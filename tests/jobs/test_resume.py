"""What a job keeps while it works: found again, verified, and never in the way."""

import time
from contextlib import suppress

import numpy as np
import pytest
import torch

from audit import checks
from audit.baselines.train import Recipe, train
from audit.checks.transfer.retrain import Curve, Start, learn
from audit.core.progress import Progress
from audit.evidence.context import JobContext
from audit.evidence.outputs import NotFinite, forward
from audit.jobs import resume as states
from audit.jobs.execute import execute
from audit.jobs.resume import ResumeState, RowBuffer
from audit.jobs.store import Outcome, Store
from tests.baselines.test_train import images, sibling
from tests.checks import test_retrain as test_retraining
from tests.checks.test_retrain import SPEC, cut_at
from tests.hostile.test_faults import full, killed_at
from tests.samples.kinds import job_of, kinds_with, patch

X = {"x": torch.arange(6.0).view(2, 3), "half": torch.ones(2).bfloat16()}
RECIPE = Recipe(images_seen=6400, batch=64, rate=0.01)
JOB = job_of("fit", label="training x")


@pytest.fixture
def eager(monkeypatch):
    """Everything is kept at once."""
    for name in ("EVERY", "SHORT", "SHARE"):
        monkeypatch.setattr(states, name, 0.0)


def test_round_trip(tmp_path):
    ResumeState(tmp_path / "d").save("a", X)
    found = ResumeState(tmp_path / "d").load("a")
    assert found.keys() == X.keys()
    assert all(torch.equal(found[name], X[name]) for name in X)
    assert ResumeState(tmp_path / "d").load("b") is None
    ResumeState(None).save("a", X)
    assert ResumeState(None).load("a") is None


@pytest.mark.parametrize("spoil", [
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(file.read_bytes()[:-1]),
    lambda file: file.write_bytes(file.read_bytes()[:-1] + b"!"),
    lambda file: (file.unlink(), file.mkdir()),
])  # fmt: skip
def test_a_damaged_file_is_none(spoil, tmp_path):
    ResumeState(tmp_path).save("a", X)
    spoil(tmp_path / "a")
    assert ResumeState(tmp_path).load("a") is None


def test_parts_are_named_by_what_they_are_of():
    resume_state = ResumeState()
    names = {resume_state.part(*what).name for what in [(1,), (2,), (1, RECIPE), (1, RECIPE, 0)]}
    assert len(names) == 4
    assert (
        resume_state.part(1, RECIPE).name
        == resume_state.part(1, Recipe(6400, batch=64, rate=0.01)).name
    )


def test_nothing_is_kept_too_often(tmp_path, monkeypatch):
    part, now = ResumeState(tmp_path).part(1), time.monotonic()
    moments = [(4, True, False), (29, False, False), (31, False, True), (32, False, False),
               (38, True, True)]  # fmt: skip
    for after, last, kept in moments:
        monkeypatch.setattr(states.time, "monotonic", lambda after=after: now + after)
        assert part.save(lambda: X, last=last) == kept, after


def test_seconds_before_the_stop_count(tmp_path, monkeypatch):
    real = time.monotonic
    earlier = ResumeState(tmp_path)
    monkeypatch.setattr(states.time, "monotonic", lambda: real() + 100)
    earlier.save("a", X)
    later = ResumeState(tmp_path)
    assert later.seconds() < 1
    later.load("a")
    assert 100 <= later.seconds() < 101


def test_a_full_disk_is_no_fault_of_the_job(tmp_path, monkeypatch):
    monkeypatch.setattr("audit.reports.files.os.fsync", full)
    ResumeState(tmp_path / "d").save("a", X)
    assert list((tmp_path / "d").iterdir()) == []


def test_what_is_too_large_is_done_again_instead(tmp_path, monkeypatch):
    monkeypatch.setattr(states, "LARGEST", 27)
    ResumeState(tmp_path / "d").save("a", X)  # 28 bytes
    assert not (tmp_path / "d").exists()


def test_a_kill_at_any_step_leaves_the_older_state_or_the_newer(tmp_path):
    for step in range(9):
        resume_state = ResumeState(tmp_path / f"{step}")
        resume_state.save("a", {"x": torch.zeros(1)})
        killed = killed_at(
            step, lambda resume_state=resume_state: resume_state.save("a", {"x": torch.ones(1)})
        )
        assert float(resume_state.load("a")["x"]) in ((0.0, 1.0) if killed else (1.0,))
        if not killed:
            break
    assert step == 3  # two flushes, one rename


def work(root, stop=None):
    """A job that trains, stopped after so many steps."""

    def fit(job, context, results, tick):
        torch.manual_seed(0)
        network, steps = sibling(), []

        def progress(n):
            steps.append(n)
            if len(steps) == stop:
                raise KeyboardInterrupt

        keeper = context.resume_state.part(RECIPE)
        train(network, images(side=16), RECIPE, seed=0, progress=progress, keeper=keeper)
        return Outcome(arrays={"w": network.fc.weight.detach().numpy()})

    context, kinds = JobContext(None, None, None), kinds_with(fit=fit)
    return execute([JOB], context, Store(root), Progress(quiet=True), kinds)


def test_a_training_that_was_stopped_goes_on(tmp_path, eager, monkeypatch):
    patch(monkeypatch, fit=None)
    root = tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        work(root, 60)
    assert not Store(root).has("fit", JOB.key)
    (kept,) = (root / "unfinished" / f"fit-{JOB.key}").iterdir()
    resume_state = ResumeState(kept.parent)
    assert int(resume_state.load(kept.name)["steps"]) == 60
    again, whole = work(root), work(None)
    weights = (done.outcomes[JOB.key].arrays["w"] for done in (again, whole))
    np.testing.assert_array_equal(*weights)
    assert list((root / "unfinished").iterdir()) == []


@pytest.mark.parametrize(("frozen", "cached"), [(True, True), (True, False), (False, False)])
def test_what_lies_behind_a_cut_goes_on(frozen, cached, tmp_path, eager):
    """The two graphs of a network that is split share their weights, which are kept once."""
    start = Start(SPEC.build(1), cut_at("layer3"), frozen, cached)
    curve = Curve(SPEC, test_retraining.images(), 300, (1.0, 0.3))
    ticks = []
    whole = learn(curve, start, 5, ticks.append)
    for stop in range(1, len(ticks) + 1, 3):
        resume_state, told = tmp_path / f"{stop}", []

        def stopping(share, told=told, stop=stop):
            told.append(share)
            if len(told) == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            learn(curve, start, 5, stopping, ResumeState(resume_state))
        assert list(resume_state.iterdir())
        again = learn(curve, start, 5, told.append, ResumeState(resume_state))
        assert again.trials == whole.trials
        one, other = again.network.state_dict(), whole.network.state_dict()
        assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("error", [OSError, MemoryError, RuntimeError, BaseException])
def test_what_cannot_be_kept_is_done_again_instead(error, tmp_path, monkeypatch):
    def refusing(*_):
        raise error

    monkeypatch.setattr("safetensors.torch.save", refusing)
    ResumeState(tmp_path / "d").save("a", X)
    assert not (tmp_path / "d").exists()


def test_a_stop_while_it_is_kept_is_a_stop(tmp_path, monkeypatch):
    def stopping(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save", stopping)
    with pytest.raises(KeyboardInterrupt):
        ResumeState(tmp_path / "d").save("a", X)


def test_what_another_device_did_is_not_taken_up(tmp_path, eager):
    ResumeState(tmp_path).part(1).save(lambda: X)
    assert ResumeState(tmp_path).part(1).load()
    assert ResumeState(tmp_path, "cuda:0").part(1).load() is None


def test_what_may_be_at_fault_is_not_kept(tmp_path, eager, monkeypatch):
    def failing(job, context, results, tick):
        context.resume_state.save("a", X)
        raise RuntimeError("as planted")

    patch(monkeypatch, fit=failing)
    context = JobContext(None, None, None)
    execute([JOB], context, Store(tmp_path), Progress(quiet=True), checks.kinds())
    assert list((tmp_path / "unfinished").iterdir()) == []


def outputs(resume_state, stop=None, sizes=(300, 200)):
    """Sums of images; the model is stopped at its n-th batch."""
    calls = []

    def model(x):
        calls.append(len(x))
        if len(calls) == stop:
            raise KeyboardInterrupt
        return x.mean((2, 3)), x.flatten(1)[:, :2]

    parts = [images(n) for n in sizes]
    found = forward(
        model, parts, sum(sizes), (0, 0), lambda _: None, keep=True, resume_state=resume_state
    )
    return found.arrays, calls


def test_a_pass_over_the_images_goes_on(tmp_path, eager):
    whole, calls = outputs(ResumeState())
    assert calls == [128, 128, 44, 128, 72]
    for stop in range(1, 6):
        root = tmp_path / f"{stop}"
        with suppress(KeyboardInterrupt):
            outputs(ResumeState(root), stop)
        again, rest = outputs(ResumeState(root))
        assert rest == calls[stop - 1 :]
        for name in ("logits", "features"):
            np.testing.assert_array_equal(again[name], whole[name])


def test_rows_that_were_kept_are_still_held_to_be_finite(tmp_path, eager):
    rows = RowBuffer(ResumeState(tmp_path), 500, 128)
    rows.add({"logits": torch.full((128, 2), torch.nan), "features": torch.zeros(128, 1)})
    with pytest.raises(NotFinite):
        outputs(ResumeState(tmp_path))
