"""The model's own curve: what is subtracted from what, and which controls leave it out."""

import math
from dataclasses import replace

import numpy as np
import pytest

from audit.api import load_policy
from audit.checks.transfer import own as transfer
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.decide import Training, set_up_nulls
from audit.evidence.profile import PROFILES
from audit.evidence.setup import CutPoint, NullInput
from audit.jobs.store import Outcome
from audit.policy.judge import judge
from tests.samples.outcomes import retrained

N = 1000
CUTS = (CutPoint(name="layer2", depth=0.5, head=False), CutPoint(name="head", depth=1, head=True))
SHARES = {
    ("frozen", "layer2"): 0.3,
    ("tuned", "layer2"): 0.1,
    ("frozen", "head"): 0.1,
    ("tuned", "head"): 0.1,
    ("untrained", "layer2"): 0.6,
    ("untrained", "head"): 0.8,
}


def wrong(share):
    return (np.arange(N) < share * N).astype(float)


def case_of(changes=(), missing=(), draws=(0,)):
    """A model that errs on 10 % of the images, and networks that err on these shares.

    The untrained ones err on a share that is more by each of `draws`.
    """
    known = Training(
        classes=("a", "b"), train_digest="t", n_train=100, channels=1, input=NullInput(size=28)
    )
    setup = set_up_nulls(known, PROFILES["quick"], 0, None)
    given = setup.profile.model_copy(update={"untrained_draws": len(draws)})
    setup = setup.model_copy(update={"cuts": CUTS, "training_images": True, "profile": given})
    outcomes = {requests.subject_outputs(setup).key: Outcome(
        arrays={"logits": np.eye(2, dtype=np.float32)[wrong(0.1).astype(int)]})}  # fmt: skip
    for (mode, name), share in (SHARES | dict(changes)).items():
        jobs = transfer.networks(setup, next(c for c in CUTS if c.name == name), mode)
        for job, more in zip(jobs, draws if mode == "untrained" else (0,), strict=True):
            if (mode, name) not in missing:
                outcomes[job.key] = Outcome(retrained(), {"errors": wrong(share + more)})
    return Case(setup, np.zeros(N, int), np.arange(N), outcomes, {})


def measured(*args, **more):
    return {m.name.removeprefix("transfer."): m for m in transfer.measure(case_of(*args, **more))}


def test_images_that_are_left_out_do_not_count():
    """The model and all networks err on the first images: without these on fewer."""
    case = replace(case_of(), left_out=frozenset(range(N // 20)))
    found = {m.name.removeprefix("transfer."): m for m in transfer.measure(case)}
    assert {m.n for m in found.values()} == {N - N // 20}
    assert found["base"].value == pytest.approx(1 - 0.05 / 0.95)
    assert found["frozen.layer2"].value == pytest.approx(1 - 0.25 / 0.95)


def test_coadaptation_is_what_freezing_costs():
    found = measured()
    drop = found["coadaptation.layer2"]
    assert (drop.value, found["coadaptation.head"].value) == pytest.approx((0.2, 0))
    assert 0.15 < drop.low < 0.2 < drop.high < 0.25
    assert found["frozen.layer2"].value == pytest.approx(0.7)
    assert found["frozen.layer2"].detail["base_minus_this"] == pytest.approx(0.2)
    (finding,) = [f for f in judge([*found.values()], load_policy()) if f.limit == "coadaptation"]
    assert (finding.verdict, finding.measurements[0]) == ("fail", "transfer.coadaptation.layer2")
    told = transfer.section([*found.values()], ())
    assert "costs at most 20.0 points" in told.summary
    assert told.summary.endswith("at layer2.")
    for line in told.charts[0].series:
        assert np.all(np.array(line.low) < line.y)
        assert np.all(np.array(line.y) < line.high)
    assert "one seed" in drop.note


@pytest.mark.parametrize(("changes", "missing", "words"), [
    ({("tuned", "layer2"): 0.2}, (), "BnB+ at layer2 ends 10.0 points below the model"),
    ({("tuned", "layer2"): 0.0}, (), "the model was not trained to its end"),
    ({("frozen", "head"): 0.2}, (), "learning only the classifier anew ends 10.0 points below"),
    ({}, (("frozen", "layer2"),), "BnB: "),
    ({}, (("untrained", "layer2"),), "fresh, frozen: "),
])  # fmt: skip
def test_where_a_control_fails_coadaptation_is_not_measured(changes, missing, words):
    drop = measured(changes.items(), missing)["coadaptation.layer2"]
    assert math.isnan(drop.value)
    assert words in drop.note


def test_the_untrained_prefix_has_three_networks_whose_spread_is_in_the_interval():
    apart, alike = (
        measured(draws=draws)["untrained.layer2"] for draws in ((-0.2, 0, 0.2), (0, 0, 0))
    )
    assert apart.value == pytest.approx(0.4)
    assert alike.value == pytest.approx(0.4)
    assert "3 seeds" in apart.note
    assert "one seed" in measured()["untrained.layer2"].note
    assert apart.high - apart.low > 3 * (alike.high - alike.low)
