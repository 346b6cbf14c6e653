"""`audit.yaml`: configuration and policy in one file; flags override it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
)

from audit.core.errors import AuditError
from audit.evidence.profile import PROFILES, Precision, Profile, profile
from audit.inputs.fields import PATHS, Settings
from audit.inputs.flags import bound
from audit.policy.limits import MOST_BYTES, Policy, default_policy, load_policy, parse_policy
from audit.policy.location import SourceFile, nearest
from audit.policy.vocabulary import Vocabulary
from audit.reports import yaml as plain_yaml
from audit.reports.text import visible

FIXED = ("rates", "transfer_rates", "precision")  # fields of the profile that are no numbers
ALL = "`audit init` writes all settings."

ELSEWHERE = {  # flags that are no settings, or go by another name
    "set": "What --set says is `changes: {KEY: VALUE}` in a file.",
    "quick": "It is `profile: quick` in a file.",
    **{
        flag: f"It is a flag only: --{flag.replace('_', '-')}."
        for flag in (
            *("threads", "device", "quiet", "json", "out", "no_cache", "exit_zero", "config"),
        )
    },
}


def load_settings(
    path: Path | None, flags: dict[str, Any], vocabulary: Vocabulary | None = None
) -> Settings:
    """Read `audit.yaml` and lay the flags that were given over it.

    Args:
        path: The file, or None for none. A setting that is null there is not set, and paths in it
            are relative to its folder.
        flags: By name; None means "not given".
        vocabulary: What the limits of a file can ask for; needed where there is one.

    Raises:
        AuditError: CONFIG_INVALID, POLICY_INVALID or POLICY_WAIVER_EXPIRED, naming file, line
            and the nearest known key.
    """
    text = read_text(path) if path else ""
    where = SourceFile(source=visible(str(path)) if path else "the command line", text=text)
    raw = read_yaml(where)
    for key in raw:
        if key not in Settings.model_fields:
            hint = ELSEWHERE.get(key) or meant(key, [*Settings.model_fields]) or ALL
            raise refusal(where.location((key,)), f"does not know '{visible(key, 60)}'. {hint}")
    raw = {key: value for key, value in raw.items() if value is not None}
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        settings = Settings.model_validate(raw | given)
    except ValidationError as error:
        first = error.errors()[0]
        names = [str(part) for part in first["loc"]]
        place = "the command line" if names[0] in given else where.location(names)
        got = visible(repr(first["input"]), 60)
        name = visible(".".join(names), 80)
        if names[0] in given:
            name = name.replace("changes.", "--set ", 1)
        problem = f"cannot use {got} for '{name}': {first['msg'].lower()}."
        raise refusal(place, problem) from None
    if path:
        assert vocabulary is not None, "a file may hold limits, which are checked here"
        parse_policy(policy_of(settings), vocabulary, base=default_policy(vocabulary), where=where)
    if path is None:
        return settings
    named = [name for name in (*PATHS, "profile") if name in raw and name not in given]
    placed = settings.model_copy(
        update={name: path.parent / getattr(settings, name) for name in named if name in PATHS}
    )
    placed._where = where
    placed._places.update({name: where.location((name,)) for name in named})
    return placed


def read_text(path: Path) -> str:
    """The text of a configuration.

    Raises:
        AuditError: CONFIG_INVALID if it cannot be read or is too large.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would never end
            raise refusal(str(path), "is no file.")
        if path.stat().st_size > MOST_BYTES:
            raise refusal(str(path), "is larger than a megabyte.")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AuditError(
            "CONFIG_INVALID",
            f"--config needs a file, but {visible(str(path))} does not exist.",
            "Check the path.",
        ) from None
    except OSError as error:
        raise refusal(str(path), f"cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise refusal(str(path), "is no UTF-8 text.") from None


def read_yaml(where: SourceFile) -> dict[str, Any]:
    """A mapping from the text of a configuration.

    Raises:
        AuditError: CONFIG_INVALID if it is none.
    """
    try:
        return plain_yaml.load(where.text)
    except ValueError as error:
        raise refusal(where.source, f"is not valid: {visible(str(error))}.") from None


def refusal(source: str, problem: str) -> AuditError:
    """One sentence about a configuration."""
    return AuditError(
        "CONFIG_INVALID", f"the configuration of {visible(source)} {problem} Change it there."
    )


def meant(given: str, known: Sequence[str]) -> str:
    """A question that names the known name most like the one given; empty where none is."""
    near = nearest(given, known)
    return f"Did you mean '{near}'?" if near else ""


def chosen_profile(settings: Settings) -> Profile:
    """The profile, with the user's changes.

    Raises:
        AuditError: CONFIG_INVALID for an unknown field or a value of a wrong type.
    """
    fields = [name for name in Profile.model_fields if name not in ("name", *FIXED)]
    place = "the profile (--set; in audit.yaml: changes)"
    for key, value in settings.changes.items():
        if key not in fields:
            hint = meant(key, fields) or f"Known are {', '.join(fields)}."
            raise refusal(place, f"does not know '{visible(key, 60)}'. {hint}")
        wanted = Profile.model_fields[key].annotation
        least, most = bound(Profile.model_fields[key], "ge"), bound(Profile.model_fields[key], "le")
        below, above = (limit is not None for limit in (least, most))
        outside = (below and value < least) or (above and value > most)
        if (wanted is bool) != isinstance(value, bool) or outside:
            bounds = f"{least} to {most:,}" if above else f"{least} or more"
            raise refusal(
                place,
                f"cannot use {visible(repr(value), 60)} for '{key}', which needs "
                + ("true or false." if wanted is bool else f"{bounds}."),
            )
    with settings.locate_errors("profile", "PROFILE_"):
        found = profile(settings.profile, **settings.changes)
    return found.model_copy(update={"precision": precision(settings.amp)})


def precision(amp: bool | None) -> Precision:
    """Of the products while nulls learn."""
    return "bfloat16" if amp else "float32"


def policy_of(settings: Settings) -> dict[str, Any]:
    """The settings' part of the policy, as `parse_policy` takes it."""
    return {"version": 1, "limits": settings.limits, "waivers": settings.waivers}


def chosen_policy(settings: Settings, path: Path | None, vocabulary: Vocabulary) -> Policy:
    """The default policy, changed by a policy file or by the configuration, never by both.

    Raises:
        AuditError: CONFIG_TWO_POLICIES where both are given; what `load_policy` raises.
    """
    if path is None:
        base = default_policy(vocabulary)
        return parse_policy(policy_of(settings), vocabulary, base=base, where=settings._where)
    given = [key for key in ("limits", "waivers") if getattr(settings, key)]
    if given:
        raise AuditError(
            "CONFIG_TWO_POLICIES",
            f"the audit needs its limits in one place, but audit.yaml has `{given[0]}` and "
            f"--policy names {visible(str(path))}.",
            "Move them into one of the two.",
        )
    return load_policy(path, vocabulary=vocabulary)


__all__ = ["PROFILES", "Settings", "chosen_policy", "chosen_profile", "load_settings"]
