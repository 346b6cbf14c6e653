"""Write the fragments of this folder into the part "Unreleased" of CHANGELOG.md."""

import textwrap
from pathlib import Path

FOLDER = Path(__file__).parent
TARGET = FOLDER.parent / "CHANGELOG.md"
KINDS = ("added", "changed", "fixed")
WIDTH = 110  # of a line, in characters


def unreleased(folder: Path) -> str:
    """Return the entries of all fragments under the headings of their kinds.

    Args:
        folder: Holds files named `<kind>-<what>.md`; README.md is left out.
    """
    parts = []
    for kind in KINDS:
        texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob(f"{kind}-*.md"))]
        if texts:
            entries = "\n".join(_entry(text) for text in texts)
            parts.append(f"### {kind.capitalize()}\n\n{entries}\n")
    return "\n".join(parts)


def _entry(text: str) -> str:
    """Wrap one fragment as an entry of a list."""
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def assembled(changelog: str, entries: str) -> str:
    """Return a changelog whose part "Unreleased" holds these entries and nothing else."""
    before, _, rest = changelog.partition("## Unreleased\n")
    _, heading, after = rest.partition("\n## ")
    return f"{before}## Unreleased\n\n{entries}{heading}{after}"


if __name__ == "__main__":
    old = TARGET.read_text(encoding="utf-8")
    TARGET.write_text(assembled(old, unreleased(FOLDER)), encoding="utf-8")
