"""How a setting is said on the command line, kept where the setting is declared."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic.fields import FieldInfo

Kind = Literal[
    "text",
    "path",
    "choice",  # one of several words
    "whole",  # a whole number, at least the bound of the setting
    "number",
    "numbers",  # between commas
    "names",  # between commas
    "pixels",  # 224, or 256x128
    "switch",  # without a value
    "either",  # --this or --no-this
    "pairs",  # key=value, as often as wanted
]

Group = Literal["data", "others", "model", "prepared", "profile", "judge"]


@dataclass(frozen=True)
class Flag:
    """The option of a setting.

    Attributes:
        group: Options that commands have together.
        kind: What a value looks like.
        help: One line for `--help`.
        name: The option, where it is not named like the setting.
        choices: Known words of a choice.
    """

    group: Group
    kind: Kind
    help: str
    name: str = ""
    choices: tuple[str, ...] = ()

    def option(self, setting: str) -> str:
        """The option's own name, as in "--train-data"."""
        return self.name or f"--{setting.replace('_', '-')}"

    def negated(self, setting: str) -> str:
        """The option that says no, as in "--no-amp"."""
        return "--no-" + self.option(setting).removeprefix("--")


def flag_of(field: FieldInfo) -> Flag | None:
    """The option of a setting; None for one that only a configuration can hold."""
    return next((found for found in field.metadata if isinstance(found, Flag)), None)


def bound(field: FieldInfo, name: Literal["ge", "le"]) -> Any:
    """A bound of a field; None where it has none."""
    return next((getattr(m, name) for m in field.metadata if hasattr(m, name)), None)
