"""The reference run: a stored audit on the same evaluation data that limits can be relative to.

What changed since then becomes ordinary measurements named `reference.<name>`, so that a limit on
them is judged like any other, and a stored run can be judged again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audit import checks
from audit.comparison.change import Change, change, other_classes
from audit.core.errors import AuditError
from audit.evidence.case import Case
from audit.pipeline.run_folder import all_measurements, predictions_table
from audit.policy.limits import Policy
from audit.record import Measurement, Report, Unit
from audit.record.facts import DataFacts, Facts, ReferenceFacts
from audit.reports.document import Document
from audit.reports.text import visible
from audit.runs.finished import FinishedRun, load_run
from audit.runs.predictions import in_order

NAME = "reference"

DIFFERENCES: dict[Unit, Unit] = {
    "fraction": "points"
}  # unit of a difference, where it is another one


@dataclass(frozen=True)
class Reference:
    """A stored run that limits are relative to.

    Attributes:
        run: What it holds.
        place: The file and line, or the flag, that names it: for messages.
    """

    run: FinishedRun
    place: str

    @property
    def facts(self) -> ReferenceFacts:
        """Which run it is, for the report."""
        path = self.run.path
        return ReferenceFacts(name=path.absolute().name, digest=file_digest(path))

    def refusal(self, problem: str, reason: str = "REFERENCE_OTHER_DATA") -> AuditError:
        """The error for a run that cannot be used."""
        return AuditError(reason, f"the reference run named by {self.place} {problem}")


def chosen_reference(
    named: Path | None, policy: Policy, place: str = "`--reference`"
) -> Reference | None:
    """The reference run that was asked for, if any.

    Args:
        named: By the command line or `audit.yaml`; goes before the one that the policy names.
        policy: Which may name one.
        place: Where it was named, unless the policy did: for messages.

    Raises:
        AuditError: What `load_run` raises, with the place that names the run.
    """
    if named is None and not policy.reference:
        return None
    place = policy.reference_place if named is None else place
    try:
        run = load_run(named or Path(policy.reference))
        _ = run.predictions  # damaged ones are refused before hours of work
        return Reference(run, place)
    except AuditError as error:
        raise error.about(f"the reference run named by {place}") from None


def needed_reference(named: Path | None, policy: Policy, place: str) -> Reference | None:
    """The same for an audit that compares with no run yet: a limit that needs one must find it.

    Raises:
        AuditError: CONFIG_NO_REFERENCE, and as `chosen_reference`.
    """
    reference = chosen_reference(named, policy, place)
    if reference is None:
        require_reference(policy, ())
    return reference


def require_reference(policy: Policy, measurements: Sequence[Measurement]) -> None:
    """Refuse a policy that needs a reference run where nothing was compared with one.

    Raises:
        AuditError: CONFIG_NO_REFERENCE.
    """
    if policy.needs_reference and not any(m.minus_reference for m in measurements):
        raise AuditError(
            "CONFIG_NO_REFERENCE",
            f"the limit `{visible(policy.needs_reference, 60)}` is relative to a reference "
            "run, but none was named.",
            "Name one with --reference RUN, or with `reference: RUN` in audit.yaml or the "
            "policy file.",
        )


def require_same_data(data: DataFacts, reference: Reference) -> None:
    """Refuse a reference run on other images, labels or classes, or on data that are not known.

    Args:
        data: Data of the audit that is compared with it.
        reference: From `chosen_reference`.

    Raises:
        AuditError: REFERENCE_OTHER_DATA.
    """
    theirs = reference.run.report.facts.data
    evaluation = bool(data.eval_digest and theirs.eval_digest)
    known = [d.eval_digest if evaluation else d.digest for d in (data, theirs)]
    if not all(known) or known[0] != known[1]:
        what = "evaluation images, labels or classes" if evaluation else "data"
        digest = f"SHA-256 of the {'evaluation ' if evaluation else ''}data"
        own, other = ((digest or "nothing")[:8] for digest in known)
        raise reference.refusal(
            f"needs the evaluation data of this audit, but {visible(str(reference.run.path))} was "
            f"made on other {what}: its {digest} begins with '{visible(other)}', that of this "
            f"audit with '{visible(own)}'. Audit the reference model on these data."
        )


def with_reference(run: FinishedRun, reference: Reference) -> Report:
    """A stored report, compared with a reference run; what an earlier one gave is dropped.

    Raises:
        AuditError: REFERENCE_OTHER_DATA.
    """
    require_same_data(run.report.facts.data, reference)
    if other_classes(reference.run, run):
        raise reference.refusal(
            f"needs the classes of this audit, but {visible(str(reference.run.path))} has others. "
            "Audit the reference model on these data."
        )
    own = tuple(m for m in run.report.measurements if not m.minus_reference)
    stored = replace(run, report=run.report.model_copy(update={"measurements": own}))
    changed = differences(stored, reference.run)
    made = run.report.facts.audit.model_copy(update={"reference": reference.facts})
    facts = run.report.facts.model_copy(update={"audit": made})
    return run.report.model_copy(update={"measurements": (*own, *changed), "facts": facts})


def measured_against(
    reference: Reference,
    measurements: Mapping[str, Sequence[Measurement]],
    case: Case,
    paths: Sequence[str],
) -> list[Measurement]:
    """What changed since a reference run, of an audit that is measured but not judged yet.

    Args:
        reference: From `chosen_reference`.
        measurements: By check.
        case: With the predictions.
        paths: Names of the evaluation images.
    """
    document = Document(title="", verdict="inconclusive", headline="", exit_code=3)
    own = all_measurements(measurements)
    report = Report(facts=Facts(), document=document, measurements=own, findings=(), policy={})
    table = in_order(predictions_table(case, paths))
    return differences(FinishedRun(report, Path(), lambda: table), reference.run)


def differences(run: FinishedRun, reference: FinishedRun) -> list[Measurement]:
    """Every measurement that either run has one value of: now minus then.

    What only one of them measured is NaN, so that no limit is passed by measuring less.
    """
    name, digest = reference.path.absolute().name, file_digest(reference.path)
    against = f"against the run {visible(name, 60)}, {digest[:8]}"
    known = reference.by_name | run.by_name
    return [
        _difference(m, change(m, reference, run), against)
        for m in known.values()
        if m is not None and comparable(m)
    ]


def comparable(m: Measurement) -> bool:
    """Whether a difference of it means something: no curve, no crash, no difference itself."""
    curve = f"{m.check}.{m.quantity}.".startswith(checks.vocabulary().several)
    return not (curve or m.crashed or m.minus_reference)


def _difference(known: Measurement, found: Change, against: str) -> Measurement:
    return Measurement(
        **known.fields | {"minus_reference": True},
        value=found.value,
        unit=DIFFERENCES.get(known.unit, known.unit),
        low=found.low,
        high=found.high,
        n=found.n,
        note="; ".join(part for part in (found.note, against) if part),
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a run's report in hex."""
    file = path / "report.yaml" if path.is_dir() else path
    return hashlib.sha256(file.read_bytes()).hexdigest()
