"""Reads a pickle as data: a stack machine that knows no callable, so that nothing can be called.

Python's pickle format is a program (https://docs.python.org/3/library/pickletools.html). Here its
opcodes only move plain values about. Where it asks for a name, a call, an object's state or a
stored tensor, the `Meaning` is asked, which gives plain values back or refuses. Standard library
only.
"""

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol, cast

from audit.model.files.bounded import FileSlice
from audit.model.files.errors import corrupt, unreadable, unsafe

MOST_OPCODES = 2_000_000
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
IGNORED = frozenset({"PROTO", "FRAME"})


@dataclass(frozen=True, eq=False)
class Name:
    """What a pickle would import: "module.name"."""

    text: str


class NameResolver(Protocol):
    """What names, calls and stored tensors stand for."""

    def name(self, text: str) -> Name:
        """A name that may be mentioned; others are refused."""
        ...

    def call(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        """The value that a call stands for; calls that are not known are refused."""
        ...

    def build(self, value: Any, state: Any) -> None:
        """Give an object its state."""
        ...

    def persistent(self, key: Any) -> Any:
        """What a reference to something outside the pickle stands for."""
        ...


class PickleReader:
    """A pickle's stack, its marks and its memo.

    Args:
        meaning: Of what is more than plain data.
    """

    def __init__(self, meaning: NameResolver):
        self.meaning = meaning
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def marked(self) -> list[Any]:
        """All values above the last mark; the mark goes too."""
        values, self.stack = self.stack, self.marks.pop()
        return values

    def top(self, n: int) -> tuple[Any, ...]:
        """The last `n` values, taken off."""
        if len(self.stack) < n:
            raise IndexError
        values = tuple(self.stack[-n:])
        del self.stack[-n:]
        return values

    def called(self, target: Any, arguments: Any) -> Any:
        """The value of a call."""
        if not isinstance(target, Name) or not isinstance(arguments, tuple):
            raise TypeError
        return self.meaning.call(target, arguments)

    def object(self, values: list[Any]) -> Any:
        """The value of OBJ: a class and its arguments."""
        return self.called(values[0], tuple(values[1:]))


def read_pickle(file: IO[bytes], meaning: NameResolver, size: int) -> Any:
    """Read one pickle.

    Args:
        file: At its first byte; afterwards behind its last.
        meaning: Of what is more than plain data.
        size: Bytes that it may occupy.

    Raises:
        CheckpointError: MODEL_UNREADABLE, MODEL_CORRUPT, and what the meaning refuses.
    """
    machine = PickleReader(meaning)
    for count, (name, argument) in enumerate(_opcodes(FileSlice(file, size))):
        if count > MOST_OPCODES:
            raise corrupt("it holds millions of parts, which no checkpoint does")
        if name == "STOP":
            break
        try:
            _step(machine, name, argument)
        except (IndexError, KeyError, TypeError, AttributeError, ValueError):
            raise unreadable(
                "is not one, or is damaged", "Copy it again, or save it anew"
            ) from None
    if not machine.stack:
        raise unreadable("is not one, or is damaged", "Copy it again, or save it anew")
    return machine.stack[-1]


def _opcodes(stream: FileSlice) -> Iterator[tuple[str, Any]]:
    """Names and arguments, in words of our own where they cannot be read."""
    try:
        for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", stream)):
            yield opcode.name, argument
    except UnicodeDecodeError as error:
        if error.encoding == "ascii":  # only names are read so
            raise unsafe("asks to import {}", error.object.decode(errors="replace")) from None
        raise unreadable("is damaged", "Copy it again, or save it anew") from None
    except (ValueError, OverflowError, LookupError):
        raise unreadable(
            "is not one, or is cut short or damaged", "Copy it again, or save it anew"
        ) from None


def _step(machine: PickleReader, name: str, argument: Any) -> None:
    if name in IGNORED:
        return
    if name in CONSTANTS:
        machine.stack.append(CONSTANTS[name])
    elif name in ACTIONS:
        ACTIONS[name](machine, argument)
    elif name.startswith("EXT"):
        machine.meaning.name(f"copyreg.extension_{argument}")
        raise TypeError
    elif argument is not None:  # numbers, strings, bytes
        machine.stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
    else:
        raise TypeError


def _mark(machine: PickleReader, _: Any) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _pop(machine: PickleReader, _: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.marked()


def _drop_marked(machine: PickleReader, _: Any) -> None:
    machine.marked()


def _memoize(machine: PickleReader, index: int | None) -> None:
    machine.memo[len(machine.memo) if index is None else index] = machine.stack[-1]


def _tuple_of(n: int) -> Callable[[PickleReader, Any], None]:
    return lambda machine, _: machine.stack.append(machine.top(n))


def flat(key: Any) -> Any:
    """A key whose hash takes no time: tuples in tuples may take for ever."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, (tuple, frozenset)) for part in parts):
        raise TypeError
    return key


def _set_items(target: Any, pairs: list[Any] | tuple[Any, ...]) -> None:
    if not isinstance(target, dict):
        raise TypeError
    target.update(zip(map(flat, pairs[::2]), pairs[1::2], strict=True))


def _extend(target: Any, values: list[Any] | tuple[Any, ...]) -> None:
    if not isinstance(target, list):
        raise TypeError
    target.extend(values)


def _append_one(machine: PickleReader, _: Any) -> None:
    (value,) = machine.top(1)
    _extend(machine.stack[-1], (value,))


def _set_item(machine: PickleReader, _: Any) -> None:
    pair = machine.top(2)
    _set_items(machine.stack[-1], pair)


def _many(action: Callable[[Any, list[Any]], None]) -> Callable[[PickleReader, Any], None]:
    def step(machine: PickleReader, _: Any) -> None:
        values = machine.marked()
        action(machine.stack[-1], values)

    return step


def _add_items(target: Any, values: list[Any]) -> None:
    if not isinstance(target, set):
        raise TypeError
    target.update(map(flat, values))


def _collected(make: Callable[[list[Any]], Any]) -> Callable[[PickleReader, Any], None]:
    def step(machine: PickleReader, _: Any) -> None:
        values = machine.marked()
        machine.stack.append(make(values))

    return step


def _dict(pairs: list[Any]) -> dict[Any, Any]:
    return dict(zip(map(flat, pairs[::2]), pairs[1::2], strict=True))


def _frozenset(values: list[Any]) -> frozenset[Any]:
    return frozenset(map(flat, values))


def _name(machine: PickleReader, argument: str) -> None:
    machine.stack.append(machine.meaning.name(argument.replace(" ", ".", 1)))


def _stack_name(machine: PickleReader, _: Any) -> None:
    module, name = machine.top(2)
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError
    machine.stack.append(machine.meaning.name(f"{module}.{name}"))


def _instance(machine: PickleReader, argument: str) -> None:
    name = machine.meaning.name(argument.replace(" ", ".", 1))
    values = machine.marked()
    machine.stack.append(machine.called(name, tuple(values)))


def _object(machine: PickleReader, _: Any) -> None:
    values = machine.marked()
    machine.stack.append(machine.object(values))


def _call(machine: PickleReader, _: Any) -> None:
    machine.stack.append(machine.called(*machine.top(2)))


def _call_with_keywords(machine: PickleReader, _: Any) -> None:
    target, arguments, keywords = machine.top(3)
    if keywords:
        raise TypeError
    machine.stack.append(machine.called(target, arguments))


def _build(machine: PickleReader, _: Any) -> None:
    (state,) = machine.top(1)
    machine.meaning.build(machine.stack[-1], state)


def _persistent(machine: PickleReader, argument: str | None) -> None:
    key = machine.top(1)[0] if argument is None else argument
    machine.stack.append(machine.meaning.persistent(key))


ACTIONS: dict[str, Callable[[PickleReader, Any], None]] = {
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": _drop_marked,
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, i: m.stack.append(m.memo[i])),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "EMPTY_SET": lambda m, _: m.stack.append(set()),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": _collected(tuple),
    "LIST": _collected(list),
    "DICT": _collected(_dict),
    "FROZENSET": _collected(_frozenset),
    "APPEND": _append_one,
    "APPENDS": _many(_extend),
    "SETITEM": _set_item,
    "SETITEMS": _many(_set_items),
    "ADDITEMS": _many(_add_items),
    "GLOBAL": _name,
    "STACK_GLOBAL": _stack_name,
    "INST": _instance,
    "OBJ": _object,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _call),
    "NEWOBJ_EX": _call_with_keywords,
    "BUILD": _build,
    **dict.fromkeys(("PERSID", "BINPERSID"), _persistent),
}
