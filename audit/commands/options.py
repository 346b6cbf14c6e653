"""Options that several commands share, and how they become settings."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from audit.core.errors import AuditError
from audit.core.sizes import MAX_RATIO, MAX_SIDE, Size, is_size, parsed
from audit.evidence.profile import PROFILES
from audit.inputs.call import Call
from audit.inputs.settings import CropMode, Interpolation, Settings, load_settings

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

DATA = together(
    path_option(
        "--data",
        text="Folder with train/ and val/ (or test/) or idx files; or a CSV: path,label,split.",
    ),
    path_option(
        "--train-data", text="Training images, instead of --data: a folder, or a CSV: path,label."
    ),
    path_option("--eval-data", text="Evaluation images, likewise."),
    path_option("--class-map", text="Class names in the order of the outputs, one a line."),
    option("--max-bad-images", type=int, help="Unreadable images that may be left out [0]."),
)

OTHERS = together(
    path_option(
        "--probe-data", text="Other data, for read-outs of the layers: a folder like --data."
    ),
    path_option(
        "--transfer-data", text="Other data, to retrain the layers on: a folder like --data."
    ),
    option(
        "--transfer-classes",
        type=CommaSeparated(),
        help="Divide the classes: these are A, all others B: cat,dog,deer.",
    ),
)

PROFILE = together(
    option("--profile", type=click.Choice(list(PROFILES)), help="How much is measured [default]."),
    option("--quick", is_flag=True, help="Short for --profile quick."),
    option("--set", "changes", type=KeyValue(), multiple=True, help="A field of the profile."),
    option("--seed", type=click.IntRange(min=0), help="Of everything random [0]."),
    option(
        "--amp/--no-amp",
        default=None,
        help="Whether nulls learn in bfloat16 [as in a folder of nulls, else with AMX].",
    ),
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

MODEL = together(
    option("--model", help="timm architecture, for a file that names none."),
    option("--model-kwargs", type=KeyValue(), multiple=True, help="Its arguments, as key=value."),
    option("--num-classes", type=COUNT, help="Number of outputs, where the file does not say."),
    option(
        "--img-size",
        type=Pixels(),
        help="Of the input in pixels, where the file does not say: 224, or 256x128 (height first).",
    ),
    option("--in-chans", type=COUNT, help="Input channels, where the file does not say."),
    option(
        "--weights", help="Which, for a file with several: raw, ema, or the key they are under."
    ),
    option("--pretrained-on", help="Data the model was trained on before; 'none' if on no other."),
)

CROP_MODE = option(
    "--crop-mode",
    type=click.Choice(get_args(CropMode)),
    help="Keep the image's shape when resizing, or squash it into the input's.",
)

PREPARED = together(
    option("--mean", type=Numbers(), help="Of the channels, instead of the file's: 0.5,0.5,0.5."),
    option("--std", type=Numbers(), help="Likewise, divided by."),
    option("--crop-pct", type=float, help="Share of the shorter side that the crop keeps."),
    CROP_MODE,
    option("--interpolation", type=click.Choice(get_args(Interpolation)), help="Of the resizing."),
    option(
        "--check-preprocessing",
        is_flag=True,
        default=None,
        help="Try other preprocessing on training images, and warn where one is clearly better.",
    ),
)

JUDGE = together(
    path_option("--policy", text="Limits to judge by, instead of the default ones."),
    path_option("--reference", text="Finished run that limits of the policy may be relative to."),
    path_option(
        "--nulls", text="Folder of fitted nulls: no training images needed, nothing trained."
    ),
    option("--max-time", help="Take the largest profile that should fit into this, such as 30m."),
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
                "USAGE", f"--quick needs no --profile, but got {flags['profile']}. Give one."
            )
        flags["profile"] = "quick"
    flags["changes"] = dict(flags["changes"]) or None
    flags["model_kwargs"] = dict(flags.get("model_kwargs", ())) or None
    given = {key: flags[key] for key in SETTINGS if key in flags}
    return load_settings(config, given), Call(
        **{key: value for key, value in flags.items() if key not in SETTINGS}
    )
