"""The order of classes: of the labels, by their names alone, and as timm numbers folders."""

import re
from collections.abc import Sequence


def are_numbers(names: Sequence[str]) -> bool:
    """Whether all names are whole numbers, as in "0" to "9"."""
    return all(name.isdecimal() and name.isascii() for name in names)


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Sort classes as labels number them: whole numbers by value, all others by code point.

    By the names alone, so that the same images have the same labels, and the same digest, as a
    folder, as a table and as idx files, whatever the model calls its outputs.
    """
    if are_numbers(names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def timm_order(names: Sequence[str]) -> tuple[str, ...]:
    """Sort classes as timm's own training script numbers folders of these names.

    It ignores capitals and compares runs of digits as numbers, so that "10" comes after "9": where
    this differs from plain sorting, a model's outputs may be meant in either order.
    """

    def key(name: str) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d+)", name.lower())
        return [(p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]

    return tuple(sorted(names, key=key))
