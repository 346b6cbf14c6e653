"""The audit that the self-test is handed: one case under the default policy."""

from audit import checks
from audit.evidence.examine import Experiment, examine
from audit.jobs.store import Store
from audit.pipeline.audit import audit
from audit.pipeline.workspace import Workspace
from audit.policy.limits import default_policy
from audit.selftest.cases import Trial
from audit.selftest.expectations import SelftestResult


def audit_trial(trial: Trial, store: Store, seed: int) -> SelftestResult:
    """Audit what a case of the self-test made, under the default policy.

    Args:
        trial: What the case made.
        store: Where outcomes are kept.
        seed: Random seed.
    """
    examined = examine(trial.subject, Experiment(trial.dataset, seed))
    done = audit(examined, trial.profile, default_policy(checks.vocabulary()), Workspace(store))
    measurements = [m for found in done.measurements.values() for m in found]
    return SelftestResult.of(done.findings, measurements, done.crashed)
