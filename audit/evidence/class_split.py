"""A division of the classes in two halves: A, from which layers are taken, and B, which learns."""

import numpy as np

from audit.core.errors import AuditError
from audit.reports.text import visible

FEWEST = 2  # classes on a side; with one there is nothing to learn


def classes_of_a(
    classes: tuple[str, ...], given: tuple[str, ...], *, wanted: bool, seed: int
) -> tuple[str, ...]:
    """The classes of A, in the order of the data.

    Args:
        classes: All of them.
        given: By the user; empty: drawn at random.
        wanted: Whether a division is wanted where the user gives none.
        seed: Of the draw.

    Returns:
        Empty where no division is wanted, or where there are too few classes for one.

    Raises:
        AuditError: TRANSFER_CLASSES if the user's classes are no half.
    """
    if given:
        return required(classes, given)
    if not wanted or len(classes) < 2 * FEWEST:
        return ()
    drawn = np.random.default_rng(seed).permutation(len(classes))[: len(classes) // 2]
    return tuple(classes[i] for i in sorted(drawn.tolist()))


def required(classes: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    """The user's classes of A, in the order of the data.

    Raises:
        AuditError: TRANSFER_CLASSES if one is unknown or repeated, or a side has fewer than two.
    """
    strange = [name for name in given if name not in classes]
    if strange:
        known = ", ".join(visible(name, 30) for name in classes[:10])
        raise AuditError(
            "TRANSFER_CLASSES",
            f"--transfer-classes needs classes of the data, but got '{visible(strange[0], 60)}'.",
            f"Known is {known}{', …' if len(classes) > 10 else ''}.",
        )
    half = tuple(name for name in classes if name in given)
    if len(half) < len(given) or min(len(half), len(classes) - len(half)) < FEWEST:
        raise AuditError(
            "TRANSFER_CLASSES",
            f"--transfer-classes needs at least {FEWEST} classes for A, each once, and leaves "
            f"the rest to B, at least {FEWEST}, but got {len(given)} of {len(classes)}.",
            "Name others.",
        )
    return half
