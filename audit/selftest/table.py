"""The outcome of a self-test as a table for people, and as plain data."""

import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from audit.selftest.trials import Row

WIDTHS = {"planted": 26, "expected": 42, "found": 42, "agrees": 6, "seconds": 7}

NOT_SHOWN = """\
What this does not show: that an audit of your model and your data is right. The faults are plain,
each alone, planted in small pictures made for the purpose, and the model is one small network. A
fault that is fainter, that touches only some of the images, or of a kind not planted here may be
missed; so may nulls starved so early that their curves have not begun to climb. Nulls learn in 32
bits here, on every processor. Seeds differ: how often a case was missed over ten of them is
recorded in benchmarks/."""


def table(rows: Sequence[Row]) -> str:
    """All cases: planted, expected, found, agrees, seconds."""
    lines = [[line(dict.fromkeys(WIDTHS, "") | {name: name for name in WIDTHS})]]
    lines += [block(row) for row in rows]
    return "\n".join(text for part in lines for text in part)


def block(row: Row) -> list[str]:
    """One case, as many lines as it takes."""
    width = WIDTHS["planted"]
    planted = textwrap.wrap(f"{row.letter}  {row.planted}", width, subsequent_indent="   ")
    pairs: list[tuple[str, str]] = []
    for expected, found, right in zip(row.expected, row.found, row.right, strict=True):
        left = textwrap.wrap(expected, WIDTHS["expected"])
        mark = "" if right else "NOT "
        pairs += zip_longest(left, textwrap.wrap(mark + found, WIDTHS["found"]), fillvalue="")
    first = {"agrees": "yes" if row.agrees else "NO", "seconds": f"{row.seconds:.0f}"}
    lines = []
    for i, (text, pair) in enumerate(zip_longest(planted, pairs, fillvalue=None)):
        cells = {
            "planted": text or "",
            **dict(zip(("expected", "found"), pair or ("", ""), strict=True)),
        }
        lines.append(line(cells | (first if i == 0 else {"agrees": "", "seconds": ""})))
    return lines


def line(cells: dict[str, str]) -> str:
    """One line of the table."""
    return "  ".join(cells[name].ljust(width) for name, width in WIDTHS.items()).rstrip()


def record(row: Row) -> dict[str, Any]:
    """One case as plain data."""
    return {
        "case": row.letter,
        "planted": row.planted,
        "expected": list(row.expected),
        "found": list(row.found),
        "right": list(row.right),
        "agrees": row.agrees,
        "seconds": round(row.seconds, 1),
    }
