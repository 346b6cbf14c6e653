"""`audit.yaml`: configuration and policy in one file; flags override it."""

import difflib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from audit.config import PROFILES, Profile, profile
from audit.limits import Policy, load_policy, parse_policy
from audit.record import AuditError
from reports import yaml as plain_yaml
from reports.text import visible
from reports.words import Word

MOST_BYTES = 1_000_000
FIXED = ("rates", "transfer_rates")  # fields of the profile that are no numbers
SMALLEST = {  # of the fields of the profile; below, nothing could be measured
    "gating": 1,
    "seeds": 1,
    "images_seen": 1000,
    "transfer_images": 50,
    "transfer_seen": 100,
}
Answer = Literal["yes", "no", "unknown"]


class Settings(Word):
    """Everything that a user can set, with the defaults.

    Attributes:
        data: Image folder with train/ and val/ (or test/), or a folder of idx files.
        train_data: Training images, instead of `data`.
        eval_data: Evaluation images, instead of `data`.
        class_map: File with the class names in the order of the outputs, one a line.
        model: timm architecture, for a file that does not name one.
        model_kwargs: Its keyword arguments.
        num_classes: Where the file does not say.
        img_size: Likewise, in pixels.
        in_chans: Likewise.
        weights: "raw" or "ema", for a file that holds both.
        profile: How much is measured.
        changes: Fields of the profile, replaced.
        seed: Of everything random.
        max_bad_images: So many unreadable images are left out and named; more are refused.
        evaluation_chose_subject: Were the evaluation images used to choose the model?
        pretrained_on: Data that the model was trained on before, "none" if on no other.
        limits: The policy's limits, over the default ones.
    """

    data: Path | None = None
    train_data: Path | None = None
    eval_data: Path | None = None
    class_map: Path | None = None
    model: str | None = None
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    num_classes: int | None = Field(default=None, ge=1)
    img_size: int | None = Field(default=None, ge=1)
    in_chans: int | None = Field(default=None, ge=1)
    weights: Literal["raw", "ema"] | None = None
    profile: str = "default"
    changes: dict[str, bool | int] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0)
    max_bad_images: int = Field(default=0, ge=0)
    evaluation_chose_subject: Answer = "unknown"
    pretrained_on: str = "unknown"
    limits: dict[str, Any] = Field(default_factory=dict)


def load_settings(path: Path | None, flags: dict[str, Any]) -> Settings:
    """Read `audit.yaml` and lay the flags that were given over it.

    Args:
        path: The file, or None for none.
        flags: By name; None means "not given".

    Raises:
        AuditError: CONFIG_INVALID, naming the file and the nearest known key.
    """
    raw = read_yaml(path) if path else {}
    source = str(path) if path else "the command line"
    known = list(Settings.model_fields)
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else f" Known are {', '.join(known)}."
            raise refusal(source, f"does not know '{visible(str(key), 60)}'.{hint}")
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        return Settings.model_validate(raw | given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        got = visible(repr(first["input"]), 60)
        raise refusal(source, f"cannot use {got} for '{where}': {first['msg'].lower()}.") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file.

    Raises:
        AuditError: CONFIG_INVALID if it cannot be read, is too large or is no mapping.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise refusal(str(path), "is larger than a megabyte.")
        return plain_yaml.load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise refusal(str(path), f"cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise refusal(str(path), f"is not valid: {visible(str(error))}.") from None


def refusal(source: str, problem: str) -> AuditError:
    """One sentence about a configuration."""
    return AuditError(
        "CONFIG_INVALID", f"the configuration of {visible(source)} {problem} Change it there."
    )


def chosen_profile(settings: Settings) -> Profile:
    """The profile, with the user's changes.

    Raises:
        AuditError: CONFIG_INVALID for an unknown field or a value of a wrong type.
    """
    fields = [name for name in Profile.model_fields if name not in ("name", *FIXED)]
    for key, value in settings.changes.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1) or fields
            raise refusal("the profile", f"does not know '{key}'. Known is {', '.join(near)}.")
        wanted = Profile.model_fields[key].annotation
        if (wanted is bool) != isinstance(value, bool) or value < SMALLEST.get(key, 0):
            raise refusal(
                "the profile",
                f"cannot use {visible(repr(value), 60)} for '{key}', which needs "
                + ("true or false." if wanted is bool else f"{SMALLEST.get(key, 0)} or more."),
            )
    return profile(settings.profile, **settings.changes)


def chosen_policy(settings: Settings, path: Path | None) -> Policy:
    """The default policy, a policy file, or the limits of the configuration over the default."""
    if path is not None:
        return load_policy(path)
    if settings.limits:
        return parse_policy({"version": 1, "limits": settings.limits}, base=load_policy())
    return load_policy()


__all__ = ["PROFILES", "Settings", "chosen_policy", "chosen_profile", "load_settings"]
