"""From what jobs found to the evidence that checks measure."""

from audit.core.errors import AuditError
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.setup import Setup
from audit.jobs.scheduler import JobResults


def make_case(setup: Setup, done: JobResults) -> Case:
    """The evidence; without the data's facts every image is its own group.

    Raises:
        AuditError: If the labels could not even be read.
    """
    facts = requests.facts(setup)
    if facts.key not in done.outcomes:
        raise AuditError(
            "DATA_UNUSABLE",
            f"the audit needs the facts of the data, but {done.failures[facts.key]}.",
            "Look at the data with another tool.",
        )
    arrays = done.outcomes[facts.key].arrays
    return Case(setup, arrays["eval_labels"], arrays["eval_groups"], done.outcomes, done.failures)
