"""Position is claimed where four tests say so, with one seed too, and not otherwise."""

import numpy as np
import pytest

from audit.checks.position import check as position
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.ladder import ladder
from audit.evidence.null_errors import Ladder
from audit.evidence.profile import profile
from audit.evidence.setup import NullInput, Setup
from audit.jobs.store import Outcome
from audit.stats.paired import ASSUMED_SEED_VARIANCE

N, RNG = 1500, np.random.default_rng(0)
LABELS = RNG.integers(0, 2, N)


def outputs(right):
    """Logits of a model that is right on that share of the images."""
    predicted = np.where(np.arange(N) < right * N, LABELS, 1 - LABELS)
    return Outcome(arrays={"logits": np.eye(2, dtype=np.float32)[predicted]})


def claimed(
    monkeypatch, *, told=0.9, twin=0.5, told_moved=0.5, twin_moved=0.5, subject_moved=0.5,
    unusable="", missing="",
):  # fmt: skip
    """What is claimed where coordinates raise 50 to 90 %, and relocation takes that away."""
    settings = profile("quick", circular=True)
    setup = Setup(
        profile=settings, seed=0, subject="m", architecture="a", subject_digest="", n_eval=N,
        subject_size=32, view="", train_digest="", eval_digest="", classes=("a", "b"), n_train=9,
        channels=3, input=NullInput(size=32), nulls=ladder(32, settings),
    )  # fmt: skip
    first, second = (setup.null(kind) for kind in ("coordconv", "circular"))
    given = {
        requests.null_outputs(setup, first, 0, relocated=True).key: outputs(told_moved),
        requests.null_outputs(setup, second, 0, relocated=True).key: outputs(twin_moved),
        requests.subject_outputs(setup, relocated=True).key: outputs(subject_moved),
        requests.subject_outputs(setup).key: outputs(0.9),
    }
    case = Case(setup, LABELS, np.arange(N), given, {})
    rows = {null.name: np.arange(N)[None] >= r * N for null, r in ((first, told), (second, twin))}
    errors = {name: row.astype(float) for name, row in rows.items() if name != missing}
    reasons = {missing: "it diverged"} | ({first.name: unusable} if unusable else {})
    known = Ladder(case, errors, reasons, ASSUMED_SEED_VARIANCE)
    monkeypatch.setattr(position, "read_ladder", lambda _: known)
    return next(m for m in position.measure(case) if m.name == "position.claimed").value


def test_one_seed_suffices_where_the_effect_is_large(monkeypatch):
    assert claimed(monkeypatch) == 1


@pytest.mark.parametrize("planted", [
    {"twin_moved": 0.4},
    {"subject_moved": 0.9},
    {"told_moved": 0.9},  # relocation costs CoordConv nothing
    {"twin": 0.9, "twin_moved": 0.9},  # the coordinates add nothing
    {"told": 0.53, "told_moved": 0.3},  # three points, within what one seed may do
])  # fmt: skip
def test_each_of_the_four_tests_is_needed(monkeypatch, planted):
    assert claimed(monkeypatch, **planted) == 0


def test_a_null_that_failed_shows_nothing(monkeypatch):
    assert np.isnan(claimed(monkeypatch, unusable="it diverged"))
    assert np.isnan(claimed(monkeypatch, missing="circular-9"))
