"""The command that repeats an audit."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from audit.core.sizes import flag as size_words
from audit.inputs.call import Call
from audit.inputs.flags import Flag, flag_of
from audit.inputs.settings import Settings


def joined(names: Sequence[str]) -> str:
    """Names between commas, quoted where one holds a comma, as the option reads them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def repeat_words(settings: Settings, call: Call) -> tuple[str, ...]:
    """Words behind the model's of the command that repeats an audit: all but defaults."""
    words: list[str] = []
    for name, value in settings.model_dump(exclude_defaults=True).items():
        flag = flag_of(Settings.model_fields[name])
        if flag is not None:
            words += said(flag, name, value)
    for name, path in (("config", call.config), ("policy", call.policy)):
        if path is not None:
            words += [f"--{name}", str(path)]
    words += [word for pin in call.model_sha256 for word in ("--model-sha256", pin)]
    return tuple(words)


def said(flag: Flag, name: str, value: Any) -> list[str]:
    """A setting's value as words of the command line."""
    option = flag.option(name)
    match flag.kind:
        case "pairs":
            return [word for key, one in value.items() for word in (option, f"{key}={one}")]
        case "either":
            return [option if value else flag.negated(name)]
        case "switch":
            return [option]
        case "numbers":
            return [f"{option}={','.join(map(str, value))}"]
        case "names":
            return [f"{option}={joined(value)}"]
        case "pixels":
            return [option, size_words(value)]
        case _:
            return [option, str(value)]
