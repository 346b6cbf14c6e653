"""From what was measured to the words of a report. No torch: `judge` and `render` use it too."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from audit import checks
from audit.pipeline.first_screen import audited, certainty, key_numbers, marks
from audit.pipeline.provenance import about_data, about_model, caveats, provenance
from audit.policy.headline import headline, waived
from audit.policy.judge import verdict
from audit.record import Finding, Measurement
from audit.record.facts import Facts
from audit.reports.document import Document, Gate, Picture, Section, Verdict

if TYPE_CHECKING:
    from audit.pipeline.audit import AuditEvidence

NOT_ESTABLISHED = (
    "That the model uses objects: only that it gets images right that local evidence, as these "
    "nulls learned it, does not.",
    "That there are no shortcuts: a mark that gives the label away on part of the images leaves a "
    "large gain.",
    "That the model works on other data than the evaluation images.",
    "Which local cue explains a small gap: colour, texture and local shape look the same here.",
)


def sections(
    measurements: Mapping[str, Sequence[Measurement]],
    findings: Sequence[Finding],
    pictures: Mapping[str, Sequence[Picture]],
) -> tuple[Section, ...]:
    """Every check's section, with the worst verdict of the limits that speak about it."""
    made = []
    for check in checks.ALL:
        own = list(measurements.get(check.NAME, ()))
        names = {m.name for m in own}
        about = [f for f in findings if not names.isdisjoint(f.measurements)]
        section = check.section(own, about, pictures.get(check.NAME, ()))
        made.append(section.model_copy(update={"verdict": worst(about)}))
    return tuple(made)


def worst(findings: Sequence[Finding]) -> Verdict | None:
    """Fail, then inconclusive, then pass, over limits that gate or warn; None without any."""
    verdicts = {f.verdict for f in findings if f.severity != "info"}
    for candidate in ("fail", "inconclusive", "pass"):
        if candidate in verdicts:
            return candidate
    return None


def document(
    audit: "AuditEvidence",
    facts: Facts,
    *,
    command: str,
    pictures: Mapping[str, Sequence[Picture]],
    remarks: Sequence[str] = (),
) -> Document:
    """Put an audit into words.

    Args:
        audit: What was found.
        facts: What the audit knows of itself.
        command: The command that repeats it.
        pictures: Example images, by check.
        remarks: What else this audit does not establish.
    """
    setup, findings, crashed = audit.setup, audit.findings, audit.crashed
    said, code = verdict(findings, tuple(crashed))
    everything = [m for found in audit.measurements.values() for m in found]
    subject, data, made = about_model(facts.model), about_data(facts.data), provenance(facts)
    not_shown = (*caveats(facts, setup.gating), *remarks)
    return Document(
        title=f"{setup.subject} ({setup.architecture})",
        verdict=said,
        headline=why(said, findings, everything, crashed),
        exit_code=code,
        watermark=marks(facts, setup),
        numbers=key_numbers(everything),
        certainty=certainty(setup, everything),
        audited=audited(facts),
        subject=subject,
        data=data,
        data_source=facts.data.source,
        data_digest=facts.data.digest,
        gates=tuple(gate(f) for f in findings),
        sections=sections(audit.measurements, findings, pictures),
        not_established=(*not_shown, *NOT_ESTABLISHED),
        provenance=made,
        command=command,
    )


def why(
    said: Verdict,
    findings: Sequence[Finding],
    measurements: Sequence[Measurement],
    crashed: Mapping[str, str],
) -> str:
    """The headline; where no gate is undecided, the check that could not measure is the reason."""
    gates = [f.verdict for f in findings if f.severity == "gate" and not f.waiver]
    if said == "inconclusive" and crashed and set(gates) == {"pass"}:
        check, reason = next(iter(crashed.items()))
        text = f"Undecided: every gate is passed, but {check} could not be measured: {reason}"
        return text + waived(findings)
    return headline(findings, measurements)


def gate(finding: Finding) -> Gate:
    """A finding in the report's words."""
    fields = finding.model_dump(exclude={"limit", "measurements"})
    return Gate(name=finding.limit, **fields)
