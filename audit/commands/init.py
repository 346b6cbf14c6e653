"""`audit init [PATH]`: a commented audit.yaml with every setting, its default, and the policy."""

import textwrap
from datetime import timedelta
from pathlib import Path

import click

from audit import baselines, checks
from audit.core.errors import AuditError
from audit.inputs.settings import Settings
from audit.policy.limits import Limit, default_policy
from audit.policy.waivers import today_utc
from audit.reports import yaml
from audit.reports.files import write_atomic
from audit.reports.text import visible

WIDTH = 96
LEFT_OPEN = ("profile", "seed")  # a folder of nulls decides them unless they are set
WAIVED_DAYS = 90  # of the example

HEAD = (
    "Settings of `audit`, read from the folder where it is called, or named with --config. A flag "
    '(--seed 1) or a variable (AUDIT_SEED=1) goes before the line here; null means "not set". '
    "Paths here are relative to this file, those of flags and variables to the working folder."
)

LIMITS = (
    "These change single limits of the default policy, which stand below; a new one is written out "
    'whole. Take the "#" away from the lines that you change. They stand here or in a file named '
    "with --policy, not in both.\n"
    "Shares and points are fractions: 0.05 is 5 %. A limit is passed if the whole 95 % interval "
    "meets it, failed if all of it misses it, else undecided; what was not measured never passes.\n"
    "severity: gate decides the exit code, warn is shown with the verdict, info is shown."
)

WAIVERS = (
    "Limits that are known to be missed and excused: with a reason, and until a date (UTC). They "
    "keep their verdict and do not count; once the date has passed, nothing is judged."
)

EXAMPLES = {
    "Against the reference run (a regression gate):": (
        "no_worse: {measure: accuracy_gap.accuracy.subject, relative_to: reference, "
        "at_least: -0.01, severity: gate}"
    ),
    "Against the accuracy of a null:": (
        "over_bagnet: {measure: accuracy_gap.accuracy.subject, relative_to: bagnet-5, "
        "at_least: 0.05, severity: warn}"
    ),
    "For every class:": (
        'every_class: {measure: "accuracy_gap.class_gap.*", at_least: 0, severity: warn}'
    ),
    "For one class, whatever letters its name has:": (
        'one_class: {measure: "accuracy_gap.class_accuracy.*", class: "cat", at_least: 0.8, '
        "severity: gate}"
    ),
}


@click.command("init")
@click.argument("path", default="audit.yaml", type=click.Path(path_type=Path))
def init(path: Path) -> int:
    """Write a commented configuration to PATH [audit.yaml], with every setting and its default."""
    if path.exists() or path.is_symlink():
        raise AuditError(
            "OUT_EXISTS",
            f"init needs a new file for the configuration, but {visible(str(path))} exists.",
            "Name another, or remove it.",
        )
    if not path.parent.is_dir():
        raise AuditError(
            "OUT_UNUSABLE",
            f"init needs a folder for the configuration, but {visible(str(path.parent))} is none.",
            "Make it, or name a file in one that exists.",
        )
    try:
        write_atomic(path, text().encode())
    except OSError as error:
        raise AuditError(
            "OUT_UNUSABLE",
            f"init needs to write {visible(str(path))}, but the system gave '{error.strerror}'.",
            "Name a file in a folder that exists and can be written.",
        ) from None
    click.echo(f"{visible(str(path))}: every setting, with its default", err=True)
    return 0


def text() -> str:
    """The whole file."""
    meanings = about()
    parts = [comment(HEAD)]
    for name, field in Settings.model_fields.items():
        if name in ("limits", "waivers"):
            continue
        default = None if name in LEFT_OPEN else field.get_default(call_default_factory=True)
        parts.append(f"{comment(meanings.get(name, ''))}\n{yaml.dump({name: default})}".strip())
    return "\n\n".join([*parts, limits(), waivers()]) + "\n"


def about() -> dict[str, str]:
    """What each setting means."""
    return {name: field.description or "" for name, field in Settings.model_fields.items()}


def comment(words: str, indent: str = "") -> str:
    """Words as lines that YAML does not read."""
    wrap = textwrap.TextWrapper(WIDTH, break_long_words=False, break_on_hyphens=False)
    lines = [line for part in words.split("\n") for line in wrap.wrap(part)]
    return "\n".join(f"{indent}# {line}" for line in lines)


def limits() -> str:
    """The policy's limits: the default ones, examples, and all that can be asked for."""
    known = checks.vocabulary()
    lines = [comment(LIMITS), "limits:"]
    for limit in default_policy(known).limits:
        words = limit.statement.replace("{limit}", f"{limit.bound:g}")
        lines += [comment(words, "  "), f"  # {limit.name}: {flow(limit)}"]
    for words, line in EXAMPLES.items():
        lines += [comment(words, "  "), f"  # {line}"]
    lines.append(comment("What can be measured (not every profile measures all):", "  "))
    lines += [f"  #   {name:<42} {known.quantities[name].about}" for name in known.quantities]
    scales = tuple(f"-{name}" for name in baselines.SCALES.values() if name)
    names = ", ".join(name for name in baselines.all_names() if not name.endswith(scales))
    kinds = [null.kind for null in baselines.NULLS if null.model == "network"]
    words = f"<null> is one of {names}; those with a number may end in {' or '.join(scales)}, for "
    words += f"reduced images; <trained> is one of {', '.join(kinds)} with its number; <model> is "
    words += "subject or a null; <network> is subject or a trained null; <profiled> is one of "
    words += "these or untrained; <point> is that, a dot and the name of a cut."
    return "\n".join([*lines, comment(words, "  ")])


def flow(limit: Limit) -> str:
    """One limit of the default policy on one line."""
    fields = {"measure": f'"{limit.measure}"', limit.comparator: f"{limit.bound:g}"}
    fields |= {"severity": limit.severity} | ({"optional": "true"} if limit.optional else {})
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


def waivers() -> str:
    """An example that has not expired."""
    until = today_utc() + timedelta(days=WAIVED_DAYS)
    example = f'gain: {{reason: "a new model is being trained", until: {until}, by: "A. Name"}}'
    return "\n".join([comment(WAIVERS), "waivers:", f"  # {example}"])
