"""YAML that every reader understands alike, and that cannot surprise the one who loads it.

Read by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/, section 10.3): `no` is a word,
`1e-3` is a number, `12:30` is no number. Written so that a reader of YAML 1.1 agrees: every
string that is more than a plain word is quoted. Aliases, tags and duplicate keys do not occur.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from audit.reports.text import escape, is_hidden, visible

MOST_BYTES = 64 * 2**20
_DEEPEST = 64
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_ODD = re.compile(r"[^\n -~]")

# Words that some reader takes for a truth value, nothing, or a number.
_TRAPS = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf", "infinity")
)

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Emitter: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def dump(data: dict[str, Any]) -> str:
    r"""Write plain data as YAML.

    Args:
        data: Mappings with string keys, lists, tuples (written as lists), strings, numbers,
            booleans and None. NaN is written as `.nan`. Hidden characters are written as escapes;
            half a surrogate pair, which YAML cannot hold, as the six characters `\udc80`.

    Raises:
        ValueError: If something else is in it.
    """
    node = _node(data, depth=0)
    text: str = yaml.serialize(node, Dumper=_Emitter, allow_unicode=True, width=10**6)
    return _ODD.sub(lambda found: _raw_or_escaped(found[0]), text)


def load(text: str) -> dict[str, Any]:
    """Read YAML that holds one mapping; an empty text is an empty mapping.

    Raises:
        ValueError: With the line number, if the text is not valid, is too large, is no mapping,
            or holds an alias, an anchor, a tag, a duplicate key or a second document.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MOST_BYTES:
        raise ValueError(f"line 1: {size:,} bytes are more than the {MOST_BYTES:,} allowed")
    events = _events(text)
    next(events)  # start of the stream
    if isinstance(next(events), yaml.StreamEndEvent):
        return {}
    first = next(events)
    data = _value(first, events, depth=0)
    next(events)  # end of the document
    following = next(events)
    if not isinstance(following, yaml.StreamEndEvent):
        raise _refusal(following, "a second document begins; one is allowed")
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise _refusal(first, "the file must hold a mapping of names to values")
    return data


def _node(value: object, depth: int) -> yaml.Node:
    """Turn plain data into nodes with an explicit style; no two share one, so no alias arises."""
    if depth > _DEEPEST:
        raise ValueError(f"data nested deeper than {_DEEPEST} levels cannot be written")
    if isinstance(value, dict):
        pairs = [(_key(key), _node(item, depth + 1)) for key, item in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=not pairs)
    if isinstance(value, list | tuple):
        items = [_node(item, depth + 1) for item in value]
        flat = all(isinstance(item, yaml.ScalarNode) and item.style is None for item in items)
        return yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=flat)
    if isinstance(value, str):
        return _string(value)
    kind, word = _constant(value)
    return yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", word)


def _key(key: object) -> yaml.Node:
    if not isinstance(key, str):
        raise ValueError(f"a key must be a string, got {type(key).__name__}")
    return _string(key)


def _string(value: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _TRAPS
    value = "".join(escape(c) if "\ud800" <= c <= "\udfff" else c for c in value)
    return yaml.ScalarNode("tag:yaml.org,2002:str", value, style=None if plain else '"')


def _constant(value: object) -> tuple[str, str]:
    """Kind and spelling of what is neither a string nor a collection."""
    if value is None:
        return "null", "null"
    if isinstance(value, bool):
        return "bool", "true" if value else "false"
    if isinstance(value, int):
        return "int", str(int(value))
    if not isinstance(value, float):
        raise ValueError(f"YAML here holds plain data only, got {type(value).__name__}")
    if math.isnan(value):
        return "float", ".nan"
    if math.isinf(value):
        return "float", ".inf" if value > 0 else "-.inf"
    digits, exponent, power = repr(float(value)).partition("e")
    return "float", digits + ("" if "." in digits else ".0") + exponent + power


def _raw_or_escaped(character: str) -> str:
    """Escape what is hidden. It stands between double quotes, where escapes are the same text."""
    return escape(character) if is_hidden(character) else character


def _events(text: str) -> Iterator[yaml.Event]:
    """Yield the events of a text, and words of our own for what the parser refuses."""
    try:
        yield from yaml.parse(text, Loader=_Parser)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"line {line}: a character that YAML does not allow") from None
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ValueError(f"line {line}: a character that is no valid Unicode") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark else text.count("\n") + 1
        raise ValueError(
            f"line {line}: not valid YAML here; look for a missing quote, colon or bracket, "
            "a tab, or uneven indentation"
        ) from None


def _refusal(event: yaml.Event, reason: str) -> ValueError:
    line = event.start_mark.line + 1 if event.start_mark else 1
    return ValueError(f"line {line}: {reason}")


def _value(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Any:
    """Build the value that begins with this event."""
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise _refusal(event, "anchors and aliases (& and *) are not allowed; quote the text")
    if getattr(event, "tag", None) is not None:
        raise _refusal(event, "tags (!) are not allowed; quote the text")
    if depth > _DEEPEST:
        raise _refusal(event, f"nested deeper than {_DEEPEST} levels")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_value(event, events, depth + 1))
        return items
    return _mapping(events, depth)


def _mapping(events: Iterator[yaml.Event], depth: int) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _value(event, events, depth + 1)
        if isinstance(key, list | dict):
            raise _refusal(event, "a key must be a single word or number")
        if key in mapping:
            raise _refusal(event, f'the key "{visible(str(key), 80)}" stands here a second time')
        mapping[key] = _value(next(events), events, depth + 1)
    return mapping


def _scalar(event: yaml.ScalarEvent) -> str | int | float | bool | None:
    """Resolve one scalar by the core schema."""
    word: str = event.value
    if not event.implicit[0]:  # quoted or a block: a string
        return word
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if len(word) <= 400:
        if _INT.fullmatch(word):
            return int(word, 0) if word[:2] in ("0o", "0x") else int(word)
        if _NOT_FINITE.fullmatch(word):
            return float(word.replace(".", ""))
        if _FLOAT.fullmatch(word):
            return _finite(event, float(word))
    return word


def _finite(event: yaml.Event, value: float) -> float:
    if math.isinf(value):
        raise _refusal(event, "a number too large to be stored")
    return value
