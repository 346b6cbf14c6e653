"""From what was measured to the words of a report. No torch: `judge` and `render` use it too."""

from collections.abc import Mapping, Sequence

from audit.checks import ALL
from audit.evidence.setup import Setup
from audit.pipeline.first_screen import audited, certainty, key_numbers, watermark
from audit.policy.headline import headline, waived
from audit.policy.judge import verdict
from audit.record import Finding, Measurement
from audit.reports.document import Document, Gate, Picture, Section, Verdict

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
    for check in ALL:
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
    setup: Setup,
    measurements: Mapping[str, Sequence[Measurement]],
    findings: Sequence[Finding],
    crashed: Mapping[str, str],
    *,
    subject: dict[str, str],
    data: dict[str, str],
    provenance: dict[str, str],
    command: str,
    pictures: Mapping[str, Sequence[Picture]],
    caveats: Sequence[str] = (),
) -> Document:
    """Put an audit into words.

    Args:
        setup: What was set up.
        measurements: By check.
        findings: One a limit.
        crashed: Reasons by check that did not finish.
        subject: What was audited, label to value.
        data: On what.
        provenance: Digests, versions, times.
        command: The command that repeats it.
        pictures: By check.
        caveats: What this audit in particular does not establish.
    """
    said, code = verdict(findings, tuple(crashed))
    everything = [m for found in measurements.values() for m in found]
    return Document(
        title=f"{setup.subject} ({setup.architecture})",
        verdict=said,
        headline=why(said, findings, everything, crashed),
        exit_code=code,
        watermark=watermark(setup),
        numbers=key_numbers(everything),
        certainty=certainty(setup, everything),
        audited=audited(subject, data, provenance),
        subject=subject,
        data=data,
        gates=tuple(gate(f) for f in findings),
        sections=sections(measurements, findings, pictures),
        not_established=(*caveats, *NOT_ESTABLISHED),
        provenance=provenance,
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
