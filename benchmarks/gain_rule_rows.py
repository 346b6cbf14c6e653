"""Which audits the simulation of the gain rule draws, and what it asks of them."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from simulated_states import Setting

LIMIT = 0.10  # gain that is required
FALSE = 0.025  # largest share of false passes, and of false fails
SIZES = (2, 3)  # networks of each null that are drawn; with two nothing passes
COLUMNS = ((3, 4), (3, 8))  # networks of each null, and trained nulls besides the stack


class Row(NamedTuple):
    """A row of a table of verdicts, for every number of networks and of nulls.

    Attributes:
        words: What is special about it.
        setting: What to draw.
        gain: True gain over the strongest network null, fully trained; 1: the subject is perfect.
        passes: Bounds of the share of passes, by number of networks.
        fails: Bounds of the share of fails, by number of networks.
        budgets: Number J of budgets.
        times: Factor of the number of audits, where a rate is near its bound.
    """

    words: str
    setting: Setting
    gain: float = LIMIT
    passes: Mapping[int, tuple[float, float]] = MappingProxyType({})
    fails: Mapping[int, tuple[float, float]] = MappingProxyType({})
    budgets: int = 5
    times: int = 1


AT_MOST = MappingProxyType({3: (0.0, FALSE)})


def limit() -> Iterator[Row]:
    """Subjects at the limit; a pass is false. One null alone is strongest, and twice as noisy."""
    for n in (1000, 4000, 10_000):
        yield Row("flat", Setting(n, alone=True), passes=AT_MOST)
        for exponent in (1.0, 0.5, 0.415, 0.3):
            setting = Setting(n, 0.04, exponent, alone=True)
            times = 2 if exponent == 0.3 else 1
            yield Row(f"exponent {exponent:g}", setting, passes=AT_MOST, times=times)


def special() -> Iterator[Row]:
    """Subjects at the limit in other settings; those without a bound are printed so."""
    slow = Setting(4000, 0.04, 0.3, alone=True)
    yield Row("0.3, all nulls equally noisy", slow._replace(noisy=1.0), passes=AT_MOST)
    yield Row("0.3, other nulls near", slow._replace(alone=False), passes=AT_MOST)
    yield Row("0.3, 10 points left to learn", slow._replace(left=0.10), passes=AT_MOST)
    yield Row("0.3, 10% of the images unseen", slow._replace(unseen=0.1), passes=AT_MOST)
    closed = Setting(4000, error=0.5, closed=0.6)
    gain = 1 - (1 - LIMIT) * 0.6
    yield Row("closed form strongest, flat", closed, gain, AT_MOST)
    yield Row("null 94% right, flat", Setting(1000, error=0.06, alone=True), passes=AT_MOST)
    yield Row("three budgets, 0.3", slow, passes=AT_MOST, budgets=3)
    yield Row("no bound: 0.3, thrice as noisy", slow._replace(images=10_000, noisy=3.0))
    yield Row("no bound: exponent 0.2", slow._replace(exponent=0.2))
    yield Row("no bound: plateau, then 0.5", slow._replace(exponent=0.5, plateau=8.0))


def power() -> Iterator[Row]:
    """What an audit can tell: the first look leaves two points to learn, exponent 0.5."""

    def at_least(share: float) -> Mapping[int, tuple[float, float]]:
        return MappingProxyType({3: (share, 1.0)})

    calm = Setting(4000, 0.02, 0.5, noisy=1.0)
    few = calm._replace(images=1000)
    yield Row("gain 0.35", calm, 0.35, at_least(0.90))
    yield Row("gain 0.5", few, 0.5, at_least(0.85))
    yield Row("gain −0.10", calm._replace(images=10_000), -0.10, fails=at_least(0.90))
    yield Row("perfect, nulls 87% right", calm._replace(error=0.13), 1.0, at_least(0.95))
    yield Row("gain 0.35, one null twice as noisy", calm._replace(noisy=2.0), 0.35)
    yield Row("gain 0.5, one null twice as noisy", few._replace(noisy=2.0), 0.5)
    yield Row("gain 0.35, three budgets", calm, 0.35, budgets=3)
    yield Row("gain 0.35, 10% of the images unseen", calm._replace(unseen=0.1), 0.35)


def growth() -> Iterator[Row]:
    """Audits that are judged twice: growing what the rule says, and growing all at each look."""
    yield Row("at the limit", Setting(4000, 0.04, 0.3, alone=True), passes=AT_MOST)
    yield Row("gain 0.35", Setting(4000, 0.02, 0.5, noisy=1.0), 0.35)
    yield Row("gain 0", Setting(4000, 0.02, 0.5, noisy=1.0), 0.0)


class Hand(NamedTuple):
    """A row of the table of false fails: all nulls in hand are equal, in every state.

    Attributes:
        images: Number of evaluation images.
        untrained: Number Kc of nulls with one state.
        trained: Number Kt of nulls with five states.
        error: Error of every null; in hand, or of its average over networks.
        spread: Standard deviation of a trained null's accuracy about that average; 0: in hand.
    """

    images: int
    untrained: int
    trained: int
    error: float = 0.3
    spread: float = 0.0


def in_hand() -> Iterator[Hand]:
    """Subjects exactly as good as is required of every null; a fail is false."""
    for n in (1000, 4000, 10_000):
        yield Hand(n, 4, 4)
        yield Hand(n, 8, 16)
    yield Hand(4000, 8, 8)
    yield Hand(1000, 8, 16, error=0.05)
    yield Hand(400, 4, 4, error=0.05)
    yield Hand(4000, 3, 1, spread=0.02)
    yield Hand(4000, 4, 4, spread=0.02)
