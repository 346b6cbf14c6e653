"""Options that several commands share, and how they become settings."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from audit import checks
from audit.core.errors import AuditError
from audit.core.sizes import MAX_RATIO, MAX_SIDE, Size, is_size, parsed
from audit.inputs.call import Call
from audit.inputs.flags import Group, bound, flag_of
from audit.inputs.settings import Settings, load_settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class KeyValue(click.ParamType[tuple[str, Any]]):
    """A pair `key=value`; the value is read as a Python literal where it is one."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Split at the first equals sign."""
        import ast

        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key:
            self.fail(f"'{value}' is not of the form key=value", param, ctx)
        try:
            return key, ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
        except (ValueError, SyntaxError):
            return key, text


class Numbers(click.ParamType[tuple[float, ...]]):
    """One number or several, between commas or blanks."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Read every number."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(word) for word in str(value).replace(",", " ").split())
        except ValueError:
            self.fail(f"'{value}' is no list of numbers such as 0.485,0.456,0.406", param, ctx)


class CommaSeparated(click.ParamType[tuple[str, ...]]):
    """One word or several, between commas."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split at commas outside quotes; blanks around a word do not count."""
        if isinstance(value, tuple):
            return value
        rows = [*csv.reader([str(value)], skipinitialspace=True)]
        words = tuple(word.strip() for word in rows[0]) if len(rows) == 1 else ()
        if not words or not all(words):
            self.fail(f"'{value}' is no list of names such as cat,dog,deer", param, ctx)
        return words


class Pixels(click.ParamType[Size]):
    """The side of a square, or height and width: 224, or 256x128."""

    name = "pixels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        """A whole number from 1, or two of them."""
        size = parsed(value)
        if not is_size(size):
            self.fail(
                f"'{value}' is no size such as 224 or 256x128, of at most {MAX_SIDE} pixels a "
                f"side, one at most {MAX_RATIO} times the other",
                param,
                ctx,
            )
        return size


def path_option(*flags: str, text: str) -> Decorator:
    """An option that takes a path; whether it exists is said by the code that reads it."""
    return option(*flags, type=click.Path(path_type=Path), help=text)


def option(*flags: str, **settings: Any) -> Decorator:
    """An option that a variable AUDIT_<NAME> mirrors."""
    long = next(f for f in flags if f.startswith("--"))
    variable = f"AUDIT_{long.lstrip('-').split('/')[0].replace('-', '_').upper()}"
    return click.option(*flags, envvar=variable, **settings)


def together(*decorators: Decorator) -> Decorator:
    """Several decorators as one, the first outermost."""

    def apply(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


COUNT = click.IntRange(min=1)


def setting(name: str, help_text: str = "") -> Decorator:
    """The option of a setting, as `Settings` declares it.

    Args:
        name: The setting.
        help_text: Another line for `--help`, where a command means something else by it.
    """
    field = Settings.model_fields[name]
    flag = flag_of(field)
    assert flag is not None, name
    words, text = flag.option(name), help_text or flag.help
    match flag.kind:
        case "switch":
            return option(words, name, is_flag=True, default=None, help=text)
        case "either":
            return option(f"{words}/{flag.negated(name)}", name, default=None, help=text)
        case "pairs":
            return option(words, name, type=KeyValue(), multiple=True, help=text)
        case "choice":
            return option(words, name, type=click.Choice(flag.choices), help=text)
        case "whole":
            return option(words, name, type=click.IntRange(min=bound(field, "ge")), help=text)
        case kind:
            return option(words, name, type=TYPES[kind], help=text)


TYPES: dict[str, Any] = {
    "text": str,
    "path": click.Path(path_type=Path),
    "number": float,
    "numbers": Numbers(),
    "names": CommaSeparated(),
    "pixels": Pixels(),
}


def settings_of(group: Group) -> Decorator:
    """The options of all settings of a group, in the order of `Settings`."""
    fields = {name: flag_of(field) for name, field in Settings.model_fields.items()}
    return together(
        *(setting(name) for name, flag in fields.items() if flag and flag.group == group)
    )


DATA = settings_of("data")
OTHERS = settings_of("others")
MODEL = settings_of("model")
PREPARED = settings_of("prepared")

PROFILE = together(
    settings_of("profile"), option("--quick", is_flag=True, help="Short for --profile quick.")
)

JUDGE = together(
    path_option("--policy", text="Limits to judge by, instead of the default ones."),
    settings_of("judge"),
)

THREADS = option(
    "--threads",
    type=COUNT,
    help="Processor threads, and processes that train networks [as many as are free].",
)

DEVICE = option("--device", help="Where networks run: cuda or cuda:1 for a GPU [cpu].")
QUIET = option("-q", "--quiet", is_flag=True, default=None, help="No progress.")

PLACE = together(
    path_option("--config", text="Configuration [audit.yaml, if there is one]."),
    path_option("--cache", text="Where trained nulls and other results are kept."),
    option("--no-cache", is_flag=True, default=None, help="Keep nothing between runs."),
    THREADS,
    DEVICE,
    QUIET,
)

PIN = option("--model-sha256", multiple=True, help="SHA-256 that the model file must have.")
EXIT_ZERO = option("--exit-zero", is_flag=True, default=None, help="Return 0 whatever the verdict.")
JSON = option("--json", "as_json", is_flag=True, default=None, help="Print the result on stdout.")
SETTINGS = tuple(Settings.model_fields)


def resolve(flags: dict[str, Any]) -> tuple[Settings, Call]:
    """Split flags into settings (over audit.yaml) and the other options of this call."""
    config = flags["config"]
    if config is None and Path("audit.yaml").is_file():
        config = Path("audit.yaml")
    flags = dict(flags)
    if flags.pop("quick"):
        if flags["profile"] not in (None, "quick"):
            raise AuditError(
                "USAGE", f"--quick needs no --profile, but got {flags['profile']}.", "Give one."
            )
        flags["profile"] = "quick"
    flags["changes"] = dict(flags["changes"]) or None
    flags["model_kwargs"] = dict(flags.get("model_kwargs", ())) or None
    given = {key: flags[key] for key in SETTINGS if key in flags}
    return load_settings(config, given, checks.vocabulary()), Call(
        **{key: value for key, value in flags.items() if key not in SETTINGS}
    )
