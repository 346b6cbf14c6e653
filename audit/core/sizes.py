"""Sizes of images in pixels: a number is the side of a square, a pair is height and width."""

import math
import re
from typing import Any, TypeGuard

Size = int | tuple[int, int]
MAX_SIDE = 4096
MAX_RATIO = 16  # of the sides
WHOLE = "whole"  # the frame of nulls that see all of every image


def height_width(size: Size) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def size_of(height: int, width: int) -> Size:
    """A number for a square, so that a square has one spelling only."""
    return height if height == width else (height, width)


def is_size(value: object) -> TypeGuard[Size]:
    """Whether it is a size of images that can be audited."""
    sides = value if isinstance(value, tuple) else (value, value)
    if len(sides) != 2 or not all(type(v) is int and 1 <= v <= MAX_SIDE for v in sides):
        return False
    return max(sides) <= MAX_RATIO * min(sides)


def area(size: Size) -> int:
    """Number of pixels."""
    height, width = height_width(size)
    return height * width


def shown(size: Size) -> str:
    """Height and width, as in "32 x 32"."""
    height, width = height_width(size)
    return f"{height} x {width}"


def flag(size: Size) -> str:
    """As a user writes it: "32", or "256x128"."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


def parsed(given: Any) -> Any:
    """What stands in a flag, a variable or YAML, as a `Size` where it is one, else unchanged.

    Returns:
        "32", 32, [32], (32, 32) and "32x32" become 32; "256x128" and [256, 128] become (256, 128).
    """
    if isinstance(given, str) and (found := re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", given)):
        height, width = int(found[1]), int(found[2] or found[1])
        return size_of(height, width)
    if isinstance(given, (list, tuple)) and {type(v) for v in given} == {int} and len(given) < 3:
        return size_of(given[0], given[-1])
    return given


def frame_of(size: Size, crop_mode: str) -> str:
    """What nulls see of an image, so that they see all that a model of this input sees.

    Returns:
        Height to width of the central part, "1:1" or "2:1", or `WHOLE` for the crop mode "squash".
    """
    if crop_mode == "squash":
        return WHOLE
    height, width = height_width(size)
    common = math.gcd(height, width)
    return f"{height // common}:{width // common}"


def in_words(frame: str) -> str:
    """What a frame is, for people."""
    if frame == WHOLE:
        return "the whole image, whatever its shape"
    if frame == "1:1":
        return "the central square"
    height, width = frame.split(":")
    return f"the central part, {height} high to {width} wide"
