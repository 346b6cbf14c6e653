"""What a limit can ask for: the names of all measurements, told by those who make them.

A limit on any other name is a slip of the pen and is refused. `<…>` in a name stands for one of
several words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from audit import baselines, record
from audit.policy.location import nearest
from audit.record import About

REFERENCE = f"{record.REFERENCE}."  # in patterns over names, before what it is a difference of


@dataclass(frozen=True)
class Vocabulary:
    """The measurements of all checks, and the default limits on them.

    Attributes:
        quantities: By name, in which `<…>` at the end stands for several words.
        places: The words that each `<…>` stands for; "*" where a user or a model chooses them.
        limits: The default limits as YAML, a mapping indented by two spaces.
    """

    quantities: Mapping[str, About]
    places: Mapping[str, tuple[str, ...]]
    limits: str

    @cached_property
    def expanded(self) -> tuple[str, ...]:
        """Every name; one whose last word comes from a user or a model ends in `*`."""
        return tuple(name for whole in self.quantities for name in self._expand(whole))

    @cached_property
    def several(self) -> tuple[str, ...]:
        """Beginnings of the names that have several values, or that another run need not share."""
        whole = [name for name, quantity in self.quantities.items() if not quantity.single]
        return tuple(name.partition("<")[0] for name in whole)

    @cached_property
    def by_class(self) -> tuple[str, ...]:
        """Beginnings of the names that end in a class."""
        whole = [name for name, quantity in self.quantities.items() if quantity.of_class]
        return tuple(name.partition("<")[0] for name in whole)

    @property
    def nulls(self) -> tuple[str, ...]:
        """Names of all nulls and controls."""
        return baselines.all_names()

    def is_made(self, pattern: str) -> bool:
        """Whether a check can make a measurement that matches a pattern (a name is one, too)."""
        bare = pattern.removeprefix(REFERENCE)
        return any(_overlap(bare, name) for name in self._comparable(pattern))

    def nearest_name(self, pattern: str) -> str:
        """The name most like one that no check makes; empty where none is like it."""
        prefix = REFERENCE if pattern.startswith(REFERENCE) else ""
        general = [name.partition("<")[0] for name in self.quantities if "<" in name]
        general = [stem + "*" for stem in general if not prefix or stem not in self.several]
        near = nearest(pattern.removeprefix(prefix), [*self._comparable(pattern), *general])
        return near and prefix + near

    def _expand(self, whole: str) -> list[str]:
        place = next((place for place in self.places if whole.endswith(place)), "")
        return [whole.removesuffix(place) + word for word in self.places.get(place, ("",))]

    def _comparable(self, pattern: str) -> list[str]:
        """All names; of those relative to a reference run, the ones with a single value."""
        relative = pattern.startswith(REFERENCE)
        return [name for name in self.expanded if not (relative and name.startswith(self.several))]


def fits(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern, in which * stands for anything and nothing else does."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    start, stop = len(first), len(name) - len(last)
    if stop < start or not (name.startswith(first) and name.endswith(last)):
        return False
    for piece in middle:
        at = name.find(piece, start, stop)
        if at < 0:
            return False
        start = at + len(piece)
    return True


def _overlap(pattern: str, known: str) -> bool:
    """Whether one name can match both; `known` has no * except at its end."""
    if not known.endswith("*"):
        return fits(pattern, known)
    head, star, _ = pattern.partition("*")
    begin = known[:-1]
    if star:
        return head.startswith(begin) or begin.startswith(head)
    return head.startswith(begin) and head != begin
