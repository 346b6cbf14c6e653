"""Words and numbers that are safe and plain to show, in every format.

Names of classes and files come from input. A reader must see what is really there, and no name
may act: not on a terminal, not in a browser, not in the log of a build server.
"""

import math
import re
import unicodedata

# Formats: control, format (bidirectional overrides, zero width), surrogate, private, unassigned,
# line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Invisible although Unicode calls them letters, marks or symbols.
_HIDDEN_RANGES = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x2800, 0x2800),  # blank Braille pattern
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xE0100, 0xE01EF),  # variation selectors, supplement
)

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MOST_MARKS = 6  # combining marks on one letter; more would cover the lines around it

# Commands to a build server that reads them from any log: Azure anywhere in a line, GitHub where
# a word begins.
_COMMAND = re.compile(r"#(?=#(?:vso)?\[)|(?<!\S):(?=:[\w-]+(?:\s[^:]*)?::)")
NOT_MEASURED = "not measured"

_UNITS = {  # unit: factor, decimals, what follows the number
    "fraction": (100.0, 1, " %"),
    "points": (100.0, 1, " points"),
    "gain": (1.0, 2, ""),
    "ratio": (1.0, 2, ""),
    "nats": (1.0, 3, " nats"),
    "dimensions": (1.0, 1, " dimensions"),
    "count": (1.0, 0, ""),
    "images": (1.0, 0, " images"),
}


def is_hidden(character: str) -> bool:
    """Whether a reader could not see this character, or would see another order because of it."""
    code = ord(character)
    if code < 0x7F:
        return code < 0x20
    if unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return True
    return any(low <= code <= high for low, high in _HIDDEN_RANGES)


def escape(character: str) -> str:
    r"""Write one character as `\n`, `\x1b`, `\u202e` or `\U000e0041`."""
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str, limit: int = 200) -> str:
    r"""Make everything in a string visible, and cut it.

    Control characters, bidirectional overrides, zero-width characters, variation selectors and
    surrogates are shown as escapes (`\u202e`), and so is the first character of a command to a
    build server (`##vso[`, `::error::`). A backslash stays as it is, so that paths stay readable.
    Doing it twice changes nothing.

    Args:
        text: Anything, from anywhere.
        limit: Most characters returned. A longer text ends in "…", cut neither inside an escape
            nor between a letter and its accents.
    """
    text = _COMMAND.sub(lambda found: escape(found[0]), text)
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return text
    kept, length = [], 0
    for piece in _pieces(text[: limit + 1]):
        kept.append(piece)
        length += len(piece)
        if length > limit:
            break
    else:
        return "".join(kept)
    while kept and length > limit - 1:
        length -= len(kept.pop())
    return "".join(kept) + "…"


def _pieces(text: str) -> list[str]:
    """Split into what must not be cut: escapes, and letters with their accents."""
    pieces: list[str] = []
    marks = 0
    for character in text:
        joins = unicodedata.category(character) in ("Mn", "Me") and not is_hidden(character)
        marks = marks + 1 if joins else 0
        if is_hidden(character) or marks > _MOST_MARKS:
            pieces.append(escape(character))
        elif joins and pieces:
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def number(value: float, unit: str = "") -> str:
    """Print a number with its unit.

    Args:
        value: In `unit`. NaN is "not measured".
        unit: One of `audit`'s units; "fraction" is printed in percent and "points" as percentage
            points, both with one decimal, "gain" with two. Any other follows the number.

    Returns:
        "73.4 %", "−2.0 points", "0.31". A share that is not 0 or 1 is never rounded to them:
        "<0.1 %", ">99.9 %".
    """
    if math.isnan(value):
        return NOT_MEASURED
    if unit == "fraction" and 0 < value < 0.0005:
        return "<0.1 %"
    if unit == "fraction" and 0.9995 <= value < 1:
        return ">99.9 %"
    return _digits(value, unit) + _suffix(unit)


def fixed(value: float, decimals: int) -> str:
    """Print a number with this many decimals; NaN is "not measured"."""
    if math.isnan(value):
        return NOT_MEASURED
    if math.isinf(value) or abs(value) >= 1e9:
        return _digits(value, "")
    return _signed(f"{value:,.{decimals}f}")


def interval(low: float, high: float, unit: str = "") -> str:
    """Print an interval: "71.2 to 75.6 %"; "no interval" where both ends are NaN."""
    if math.isnan(low) and math.isnan(high):
        return "no interval"
    ends = ["?" if math.isnan(end) else _digits(end, unit) for end in (low, high)]
    return f"{ends[0]} to {ends[1]}{_suffix(unit)}"


def cell(value: str | int | float | None, unit: str = "") -> str:
    """Print one cell of a table: a float with its unit, anything else as it is."""
    if value is None:
        return "–"
    return number(value, unit) if isinstance(value, float) else str(value)


def is_unit(unit: object) -> bool:
    """Whether `number` knows how to print this unit."""
    return isinstance(unit, str) and unit in _UNITS


def _suffix(unit: str) -> str:
    return _UNITS[unit][2] if unit in _UNITS else f" {unit}" if unit else ""


def _digits(value: float, unit: str) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if unit not in _UNITS:
        return _significant(value)
    factor, decimals, _ = _UNITS[unit]
    if decimals == 0 and not float(value).is_integer():
        decimals = 1
    return _signed(f"{value * factor:,.{decimals}f}")


def _significant(value: float) -> str:
    """Four significant digits, without an exponent where a reader can do without."""
    size = abs(value)
    if size and (size < 1e-4 or size >= 1e9):
        return _signed(f"{value:.3e}")
    if size >= 1000:
        return _signed(f"{value:,.0f}")
    return _signed(f"{value:.4g}")


def _signed(digits: str) -> str:
    """A real minus sign, and none before a zero."""
    if not digits.startswith("-"):
        return digits
    return digits[1:] if not digits.strip("-0.,") else "−" + digits[1:]
