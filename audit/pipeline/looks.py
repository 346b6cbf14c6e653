"""Early looks: where the gate fails on the simple and closed-form nulls, no network is trained.

These nulls take seconds to minutes, the networks most of an audit. What they may decide is a fail
alone: they are exact, but small, so a pass needs the networks.
"""

from collections.abc import Callable

from audit.checks.accuracy_gap import check as accuracy_gap
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case, NotMeasured
from audit.evidence.outcomes import ChosenLinear
from audit.evidence.setup import Setup
from audit.jobs.job import Job, merged
from audit.jobs.scheduler import JobResults
from audit.pipeline.case import make_case
from audit.policy.judge import decided_early
from audit.policy.limits import Policy

# Level of each look, added to the 2.5 % of the verdict: a model as good as the limit asks fails
# falsely in at most 1.6 % of simulated audits without them (benchmarks/verdict.md).
ALPHA = 0.0025
STOPPED = "without trained nulls and what needs them, since the gate failed before (stop_at_fail)"

Run = Callable[[list[Job], Setup], JobResults]  # does jobs, or finds them among those of before


def looks(setup: Setup) -> list[Setup]:
    """Smaller ladders in the order of their costs: simple nulls and the finest patches, all closed.

    None where no null gates, or a profile wants everything.
    """
    closed = [n for n in setup.nulls if not n.trained and n.kind != "stack"]
    local = [n for n in closed if n.q]
    if not (setup.profile.stop_at_fail and setup.gating and local):
        return []
    finest = min(local, key=lambda n: (n.scale, n.q != 9, n.q or 0))
    first = [n for n in closed if not n.q or (n.scale, n.q) == (finest.scale, finest.q)]
    found = [setup.model_copy(update={"nulls": tuple(nulls)}) for nulls in (first, closed)]
    return found if len(first) < len(closed) else found[:1]


def early_fail(setup: Setup, policy: Policy, run: Run) -> Setup | None:
    """Look at the cheap nulls first.

    Returns:
        The smaller ladder on which a gate failed; None if none did.
    """
    for small in looks(setup):
        wanted = merged((requests.facts(small), *accuracy_gap.needs(small)))
        done = run(wanted, small)
        case = make_case(small, done)
        try:
            found = accuracy_gap.measure(case)
        except NotMeasured:
            return None  # the whole audit says what is missing
        if decided_early(found, policy, ALPHA, best_on_training(case)):
            return small
    return None


def best_on_training(case: Case) -> str:
    """Name of the null without training that is right most often on held-out training images."""
    reached: dict[str, float] = {}
    for null in (n for n in case.setup.nulls if n.claim):
        try:
            chosen = case.values(requests.choose(case.setup, null), ChosenLinear)
        except NotMeasured:
            continue
        reached[null.name] = chosen.heldout_accuracy
    return max(reached, key=reached.__getitem__, default="")
