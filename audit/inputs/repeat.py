"""The command that repeats an audit."""

import csv
import io

from audit.core.sizes import flag
from audit.inputs.call import Call
from audit.inputs.settings import Settings


def joined(names: tuple[str, ...]) -> str:
    """Names between commas, quoted where one holds a comma, as `Words` reads them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def repeat_words(settings: Settings, call: Call) -> tuple[str, ...]:
    """Words behind the model's of the command that repeats an audit: all but defaults."""
    words: list[str] = []
    for key, value in settings.model_dump(exclude_defaults=True).items():
        many = {"changes": "--set", "model_kwargs": "--model-kwargs"}.get(key)
        if many:
            words += [w for k, v in value.items() for w in (many, f"{k}={v}")]
        elif key == "amp":
            words.append("--amp" if value else "--no-amp")
        elif key == "check_preprocessing":
            words.append("--check-preprocessing")
        elif key == "img_size":
            words += ["--img-size", flag(value)]
        elif key in ("mean", "std"):
            words.append(f"--{key}={','.join(map(str, value))}")
        elif key == "transfer_classes":
            words.append(f"--transfer-classes={joined(value)}")
        elif key not in ("limits", "waivers", "evaluation_chose_subject"):
            words += [f"--{key.replace('_', '-')}", str(value)]
    for key, path in (("config", call.config), ("policy", call.policy)):
        if path is not None:
            words += [f"--{key}", str(path)]
    words += [word for pin in call.model_sha256 for word in ("--model-sha256", pin)]
    return tuple(words)
