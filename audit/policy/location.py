"""Where in a file of the user something stands, for messages that name file and line."""

from collections.abc import Sequence
from difflib import get_close_matches

import yaml

from audit.core.errors import AuditError
from audit.reports.document import FrozenModel
from audit.reports.text import visible

ALIKE = 0.6  # likeness of two names, as difflib counts it, from which on one may be a slip


class SourceFile(FrozenModel):
    """A file of settings or limits.

    Attributes:
        source: Its name for messages, or words such as "the policy".
        text: Its content, already known to be valid; empty where there is no file.
    """

    source: str
    text: str = ""

    def location(self, keys: Sequence[str]) -> str:
        """The file and, where it is known, the line of the value under nested keys."""
        line = line_of(self.text, keys)
        return f"{self.source}, line {line}" if line else self.source

    def refusal(
        self, keys: Sequence[str], problem: str, reason: str = "POLICY_INVALID"
    ) -> AuditError:
        """The error for the value under nested keys: `problem` goes on after file and line."""
        place = self.location(keys)
        return AuditError(reason, f"{place}{',' if place != self.source else ''} {problem}.")


def line_of(text: str, keys: Sequence[str]) -> int:
    """The line of a nested key, or of the deepest one above it that there is; 0 for none.

    Args:
        text: YAML that `audit.reports.yaml.load` takes.
        keys: From the outermost mapping inwards.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 0
    for wanted in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        found = next(((key, value) for key, value in pairs if key.value == wanted), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def nearest(given: str, known: Sequence[str]) -> str:
    """The known name that looks most like the one given; empty where none may have been meant."""
    return next(iter(get_close_matches(given, known, n=1, cutoff=ALIKE)), "")


def suggestion(given: str, known: Sequence[str], what: str) -> str:
    """Which known name was probably meant, or else all of them, to follow a semicolon."""
    near = nearest(given, known)
    if near:
        return f"the nearest {what} is `{visible(near, 60)}`"
    return f"known are {', '.join(f'`{visible(name, 60)}`' for name in known)}"


def unknown_key(given: object, known: Sequence[str]) -> str:
    """What is wrong with a key that is not known."""
    hint = suggestion(str(given), known, "known key")
    return f"has the unknown key `{visible(str(given), 60)}`; {hint}"
