"""Which audits the simulation of the verdict draws, and what it asks of them."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from simulated_worlds import MINORITY, NOISY, World

LIMIT = 0.10  # gain that is asked for
COVERED = (0.93, 0.98)  # of the nominal 95 % interval
FALSE_PASS, FALSE_FAIL = 0.025, 0.05
BOUNDED = 0.415  # smallest exponent of the power laws that a null's allowance bounds
AT_LEAST = (COVERED[0], 1.0)
STATED = (0.0, 1.0)  # no bound: printed so that it is known


class Interval(NamedTuple):
    """A row of the table of coverage.

    Attributes:
        words: What is special about it.
        world: What to draw.
        gain: True gain over the strongest null.
        bounds: Of the coverage for a null of ordinary spread, and for the noisy one.
        balanced: Whether balanced accuracy is asked about.
    """

    words: str
    world: World
    gain: float = 0.35
    bounds: tuple[tuple[float, float], tuple[float, float]] = (COVERED, COVERED)
    balanced: bool = False


def spreads() -> Iterator[Interval]:
    """Images, seeds and spread."""
    alike = [(spread, 1.0, COVERED) for spread in (0.0, 0.01, 0.02)]
    # Beside a noisy null the pooled spread is too large for the others, by design.
    unequal = [(spread, 2.0, AT_LEAST) for spread in (0.006, 0.01, 0.02)]
    for n in (200, 1000, 10_000):
        for seeds in (3, 5):
            for spread, noisy, bounds in (*alike, *unequal):
                yield Interval("", World(n, seeds, spread, noisy), bounds=(bounds, bounds))
        for spread, bounds in ((0.006, AT_LEAST), (0.01, AT_LEAST), (0.02, STATED)):
            yield Interval("assumed: 1", World(n, 1, spread, 1.0), bounds=(bounds, bounds))


def hard_data() -> Iterator[Interval]:
    """Accuracies, duplicates, classes and kinship at the default's three seeds."""
    some = World(1000, spread=0.003, noisy=1.0)
    yield Interval("gain 0.9", some, 0.9)
    yield Interval("gain -0.5", some, -0.5)
    yield Interval("null 50 % right", some._replace(error=0.5))
    yield Interval("null 90 % right", some._replace(error=0.1))
    for n in (1000, 10_000):
        many = some._replace(images=n)
        yield Interval("clusters of 2 to 5 on 40 %", many._replace(copies=0.4))
        yield Interval("nested errors, kin", many._replace(shared=4, own=4, kin=True), 0.05)
    yield Interval("null 99 % right", many._replace(spread=0.001, error=0.01))
    for n in (2000, 10_000):
        uneven = some._replace(images=n, majority=0.95)
        yield Interval("95 % majority, balanced", uneven, 0.5, balanced=True)


class Trial(NamedTuple):
    """A row of a table of verdicts.

    Attributes:
        words: What is special about it.
        world: What to draw.
        subjects: Expected errors by what is true of them, by class where classes are uneven.
        passes: Largest share of passes, by subject; 1 where none is named.
        fails: Largest share of fails.
    """

    words: str
    world: World
    subjects: Mapping[str, tuple[float, ...]]
    passes: Mapping[str, float] = MappingProxyType({})
    fails: float = 1.0


def over(world: World, *gains: float) -> dict[str, tuple[float, ...]]:
    """Subjects by their gain over the strongest null, fully trained."""
    return {f"{gain:g}": ((1 - gain) * world.error_of(NOISY),) for gain in gains}


def at_the_limit() -> Iterator[Trial]:
    """Subjects that are no better than the limit allows: a pass is false."""

    def trial(words: str, world: World, most: float = FALSE_PASS) -> Trial:
        return Trial(words, world, over(world, LIMIT), {f"{LIMIT:g}": most})

    for n in (200, 1000, 10_000):
        yield trial("nulls of no spread", World(n, 3, 0.0, 1.0))
        for seeds in (1, 3):
            yield trial("one noisy null", World(n, seeds))
    yield trial("one noisy null", World(10_000, 5, 0.02))
    calm = World(2000, spread=0.0, noisy=1.0)
    yield trial("nested errors, kin", calm._replace(shared=4, own=4, kin=True))
    yield trial("clusters of 2 to 5 on 40 %", calm._replace(copies=0.4))
    yield trial("null 50 % right", calm._replace(error=0.5))
    yield trial("null 90 % right", calm._replace(error=0.1))
    yield trial("null 99 % right", calm._replace(error=0.01, images=10_000))


def unripe() -> Iterator[Trial]:
    """Nulls with more to learn, by power laws of several exponents, and starved ones."""
    half = World(5000, spread=0.003)
    for exponent in (0.2, 0.3, 0.415, 0.7, 1.0):
        world = half._replace(left=0.02, exponent=exponent)
        most = {"0.1": FALSE_PASS} if exponent >= BOUNDED else {}
        yield Trial("2 points left to learn", world, over(world, LIMIT), most)
    for exponent, left in ((0.2, 0.05), (0.3, 0.03), (0.415, 0.03), (0.7, 0.02), (1.0, 0.01)):
        world = half._replace(left=left, exponent=exponent, budget=0.1, doublings=0)
        most = {"0": 0.0, "0.1": FALSE_PASS} if exponent >= BOUNDED else {}
        words = f"starved: {100 * world.unripe():.0f} points left"
        yield Trial(words, world, over(world, 0.0, LIMIT, 0.5), most)


def as_good_as_asked() -> Iterator[Trial]:
    """Subjects that are exactly as good as the limit asks of many equal nulls: a fail is false."""

    def trial(words: str, world: World) -> Trial:
        return Trial(words, world, over(world, LIMIT), fails=FALSE_FAIL)

    for n in (200, 1000, 10_000):
        for seeds, spread in ((1, 0.006), (3, 0.006), (5, 0.02)):
            yield trial("equal nulls", World(n, seeds, spread, even=True))
    calm = World(2000, spread=0.0, noisy=1.0, even=True)
    yield trial("equal nulls", calm)
    yield trial("nested errors, kin", calm._replace(shared=4, own=4, kin=True))
    yield trial("clusters of 2 to 5 on 40 %", calm._replace(copies=0.4))
    for spread in (0.0, 0.002):
        yield trial("nulls 99 % right", calm._replace(images=10_000, error=0.01, spread=spread))


def power() -> Iterator[Trial]:
    """What an honest audit can tell: the recipe leaves half a point to learn."""
    for n in (200, 1000, 2000, 10_000):
        world = World(n, left=0.005)
        yield Trial("", world, over(world, -0.1, 0.0, 0.1, 0.2, 0.35, 0.5, 0.7))
    for seeds in (1, 5):
        world = World(2000, seeds, left=0.005)
        yield Trial("", world, over(world, -0.1, 0.0, 0.2, 0.35, 0.5))


def extremes() -> Iterator[Trial]:
    """Nulls without errors, subjects without errors, and a majority class."""
    for n in (200, 1000, 10_000):
        world = World(n, spread=0.0, noisy=1.0, error=1e-9, even=True)
        who: dict[str, tuple[float, ...]] = {"no errors": (1e-9,), "1 % wrong": (0.01,)}
        yield Trial("nulls without errors", world, who, dict.fromkeys(who, 0.0))
    for n, error in ((1000, 0.02), (10_000, 0.02), (1000, 0.1)):
        world = World(n, spread=0.001, noisy=1.0, error=error)
        who = {"no errors": (1e-9,), "0.5": (error / 2,)}
        yield Trial(f"null {1 - error:.0%} right", world, who)
    mean = sum(MINORITY["balanced"]) / 2
    plain = 0.95 * MINORITY["plain"][0] + 0.05 * MINORITY["plain"][1]
    who = {  # errors on the majority and on the minority
        "says the majority": (1e-9, 1 - 1e-9),
        "0.1 balanced, 0.15 plain": (0.02, 2 * (1 - LIMIT) * mean - 0.02),
        "0.7 balanced, 0.1 plain": (((1 - LIMIT) * plain - 0.05 * 0.1) / 0.95, 0.1),
    }
    for n in (1000, 10_000):
        world = World(n, spread=0.003, majority=0.95)
        both = who | {"0.5 of either": (0.01, 0.165)}
        yield Trial("95 % majority", world, both, dict.fromkeys(who, FALSE_PASS))
