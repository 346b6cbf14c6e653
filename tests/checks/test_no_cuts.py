"""A network that cannot be cut: the sections say so, and nothing else of the audit suffers."""

import math

import numpy as np
import pytest

from audit.api import load_policy
from audit.checks.dimension import profile as id_profile
from audit.checks.dimension.run_profile import NO_CUTS
from audit.checks.dimension.run_profile import profile as job
from audit.checks.probes import check as probes
from audit.checks.transfer import own as transfer
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.profile import profile
from audit.jobs.store import Outcome
from audit.policy.judge import judge
from tests.checks.test_probes import setup_of
from tests.samples.policy import one_limit

UNCUT = setup_of(cuts=(), profile=profile("default"))


def measured(check, outcomes=None):
    return check.measure(Case(UNCUT, np.zeros(9, int), np.arange(9), outcomes or {}, {}))


@pytest.mark.parametrize(("check", "limit"), [
    (transfer, "coadaptation"), (probes, "probe_gain")
])  # fmt: skip
def test_nothing_is_asked_for_and_the_limit_is_undecided(check, limit):
    assert check.needs(UNCUT) == ()
    (only,) = measured(check)
    assert math.isnan(only.value)
    (finding,) = [f for f in judge([only], load_policy()) if f.limit == limit]
    assert (finding.verdict, finding.reason) == ("inconclusive", "NOT_MEASURED")
    assert only.note in check.section([only], [finding]).summary


def test_without_training_images_a_gate_on_the_curve_is_undecided():
    given = setup_of(training_images=False)
    own = Outcome(arrays={"logits": np.eye(2)[np.zeros(9, int)]})
    outcomes = {requests.subject_outputs(given).key: own}
    found = transfer.measure(Case(given, np.zeros(9, int), np.arange(9), outcomes, {}))
    gate = one_limit("transfer.coadaptation.*", severity="gate", optional=True, at_most=0.05)
    (finding,) = judge(found, gate)
    assert (finding.verdict, finding.severity) == ("inconclusive", "gate")


def test_the_transfer_section_tells_a_network_from_a_profile_without_cuts():
    without = UNCUT.model_copy(update={"profile": profile("quick", cuts=0)})
    assert transfer.measure(Case(without, np.zeros(9, int), np.arange(9), {}, {})) == []
    assert "the profile leaves it out" in transfer.section([], ()).summary
    assert "could not be cut" in transfer.section(measured(transfer), ()).summary


def test_the_profile_of_such_a_network_has_no_shape():
    outcome = job(None, (), iter(()), 9, lambda _: None)
    found = measured(id_profile, {j.key: outcome for j in id_profile.needs(UNCUT)})
    assert all(math.isnan(m.value) and NO_CUTS in m.note for m in found)
    assert "has no profile" in id_profile.section(found, ()).summary
    assert isinstance(outcome, Outcome)
