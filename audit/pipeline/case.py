"""From what jobs found to the evidence that checks measure."""

from audit.core.errors import AuditError
from audit.evidence import shared_jobs as requests
from audit.evidence.case import Case
from audit.evidence.outcomes import FoundInData
from audit.evidence.setup import Setup
from audit.jobs.scheduler import JobResults


def make_case(setup: Setup, done: JobResults) -> Case:
    """The evidence, copies left out of the count.

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
    found = done.outcomes[facts.key]
    return Case(
        setup,
        found.arrays["eval_labels"],
        found.arrays["eval_groups"],
        done.outcomes,
        done.failures,
        found.read(FoundInData).left_out,
    )
