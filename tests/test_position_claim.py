"""Position is claimed only where all four of its tests agree."""

import numpy as np
import pytest
from test_position import LABELS, N, outputs

from audit import requests
from audit.case import Case, Setup
from audit.checks import position
from audit.config import profile
from audit.ladder import ladder
from audit.predictions import Ladder
from audit.stats import ASSUMED_SEED_VARIANCE


def claimed(monkeypatch, *, told=0.9, twin=0.5, told_moved=0.5, twin_moved=0.5, subject_moved=0.5):
    settings = profile("quick", circular=True)
    setup = Setup(
        profile=settings, seed=0, subject="m", architecture="a", subject_digest="", n_eval=N,
        subject_side=32, view="", train_digest="", eval_digest="", classes=("a", "b"), n_train=9,
        channels=3, side=32, nulls=ladder(32, settings),
    )  # fmt: skip
    nets = [setup.null(kind, setup.gating_q) for kind in ("coordconv", "circular")]
    given = {
        requests.null_outputs(setup, nets[0], 0, relocated=True).key: outputs(told_moved),
        requests.null_outputs(setup, nets[1], 0, relocated=True).key: outputs(twin_moved),
        requests.subject_outputs(setup, relocated=True).key: outputs(subject_moved),
        requests.subject_outputs(setup).key: outputs(0.9),
    }
    case = Case(setup, LABELS, np.arange(N), given, {})
    rows = {
        n.name: (np.arange(N)[None] >= r * N).astype(float)
        for n, r in zip(nets, (told, twin), strict=True)
    }
    known = Ladder(case, rows, {}, ASSUMED_SEED_VARIANCE)
    monkeypatch.setattr(position, "read_ladder", lambda _: known)
    return next(m for m in position.measure(case) if m.name == "position.claimed").value


@pytest.mark.parametrize("planted", [
    {"twin_moved": 0.4},
    {"subject_moved": 0.9},
    {"told_moved": 0.9},  # relocation costs CoordConv nothing
    {"twin": 0.9, "twin_moved": 0.9},  # the coordinates add nothing
    {"told": 0.53, "told_moved": 0.3},  # three points, within what one seed may do
])  # fmt: skip
def test_each_of_the_four_tests_is_needed(monkeypatch, planted):
    assert claimed(monkeypatch, **planted) == 0
