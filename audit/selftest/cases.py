"""The cases: what is planted, what an audit of it must find, and how it is made."""

from collections.abc import Callable
from dataclasses import dataclass

from audit.data.dataset import Dataset
from audit.evidence.profile import Profile
from audit.model.checkpoint import Subject
from audit.selftest.bench import FEW, Fixtures
from audit.selftest.expectations import Expectation, judged, measured, overall
from audit.selftest.planted import RELATIONS
from audit.selftest.subjects import ARCHITECTURE, BAGNET, fresh, make_fragile

BLIND = 1 / len(RELATIONS)  # accuracy on the honest set of what knows the kind of object alone
SUBJECT = "accuracy_gap.accuracy.subject"


@dataclass(frozen=True)
class Trial:
    """What is given to the audit.

    Attributes:
        subject: The model.
        dataset: The data.
        profile: How much is measured.
    """

    subject: Subject
    dataset: Dataset
    profile: Profile


@dataclass(frozen=True)
class SelftestCase:
    """One fault, or none.

    Attributes:
        letter: Names the case.
        planted: What it is, in words.
        expected: All that an audit must find.
        make: Builds the model and the data.
        data: The data set that it is about; cases about the same one share what is made for it.
    """

    letter: str
    planted: str
    expected: tuple[Expectation, ...]
    make: Callable[[Fixtures], Trial]
    data: str


def tint(bench: Fixtures) -> Trial:
    """A model that reads the colour of a mark."""
    subject = bench.subject("tint", bench.sees_tints, bench.tinted)
    return Trial(subject, bench.tinted, bench.profile(FEW))


def grain(bench: Fixtures) -> Trial:
    """A model that reads a faint grating, on pictures larger than nulls once saw."""
    subject = bench.subject("grain", bench.sees_grains, bench.grained)
    return Trial(subject, bench.grained, bench.profile(FEW))


def place(bench: Fixtures) -> Trial:
    """A model that reads the place of a mark; the circular twin is trained too."""
    subject = bench.subject("place", bench.sees_places, bench.placed)
    changes = {"circular": True, "seeds": bench.scale.seeds, "stop_at_fail": False}
    return Trial(subject, bench.placed, bench.profile(bench.scale.seen_marked, **changes))


def memory(bench: Fixtures) -> Trial:
    """A model that learned random labels by heart."""
    subject = bench.subject("memory", bench.memorised, bench.shuffled)
    return Trial(subject, bench.shuffled, bench.profile(FEW, stop_at_fail=False))


def untrained(bench: Fixtures) -> Trial:
    """Fresh weights, on the honest set."""
    network = fresh(ARCHITECTURE, bench.arranged, bench.seed)
    return Trial(bench.subject("untrained", network, bench.arranged), bench.arranged, bench.honest)


def fragile(bench: Fixtures) -> Trial:
    """The model of the tinted set, its middle layers tied to each other."""
    network = fresh(ARCHITECTURE, bench.tinted, bench.seed)
    network.load_state_dict(bench.sees_tints.state_dict())
    subject = bench.subject("fragile", make_fragile(network.eval()), bench.tinted)
    retrained = bench.scale.retrained
    changes = {"cuts": 2, "transfer_images": 1_500, "transfer_seen": retrained}
    return Trial(subject, bench.tinted, bench.profile(FEW, **changes))


def honest(bench: Fixtures) -> Trial:
    """A good model on data that only arrangement solves."""
    subject = bench.subject("honest", bench.sees_arrangements, bench.arranged)
    return Trial(subject, bench.arranged, bench.honest)


def starved(bench: Fixtures) -> Trial:
    """The same, with nulls that have only begun to learn."""
    subject = bench.subject("honest", bench.sees_arrangements, bench.arranged)
    return Trial(subject, bench.arranged, bench.profile(bench.scale.starved))


def local(bench: Fixtures) -> Trial:
    """A BagNet in the model's place, on the honest set."""
    subject = bench.subject("bagnet", bench.local, bench.arranged, BAGNET)
    return Trial(subject, bench.arranged, bench.honest)


CASES = (
    SelftestCase(
        "a",
        "the colour of a small mark is the class",
        (
            judged("gain", "fail", "DATA_LOCAL", ("colour", "moments", "patches", "cells")),
            measured(SUBJECT, "model", at_least=0.95),
        ),
        tint,
        "tinted",
    ),
    SelftestCase(
        "b",
        "the corner in which a mark lies is the class",
        (
            judged(
                "gain",
                "fail",
                "DATA_LOCAL",
                ("moments", "pixels", "cells", "coordconv", "stack"),
            ),
            measured("accuracy_gap.accuracy.colour", "colour", at_most=0.40),
            measured("position.effect", "coordinates add", at_least=0.10),
            measured("position.relocation.subject", "relocation costs the model", at_least=0.10),
            measured("position.relocation.circular-*", "and the twin", at_most=0.0),
            judged("position", "fail"),
        ),
        place,
        "placed",
    ),
    SelftestCase(
        "c",
        "labels at random, learned by heart",
        (
            judged("gain", "fail", "DATA_LOCAL"),
            measured(SUBJECT, "model", at_most=0.15),
        ),
        memory,
        "shuffled",
    ),
    SelftestCase(
        "d",
        "an untrained model on the data of f",
        (
            judged("gain", "fail", "SUBJECT_WEAK"),
            measured(SUBJECT, "model", at_most=0.2),
        ),
        untrained,
        "arranged",
    ),
    SelftestCase(
        "e",
        "the model of a, its middle layers tied together",
        (
            judged("coadaptation", "fail", by=("layer2",)),
            measured("transfer.frozen.layer2", "frozen to layer2", at_most=0.5),
            measured("transfer.tuned.layer2", "all learn", at_least=0.95),
        ),
        fragile,
        "tinted",
    ),
    SelftestCase(
        "f",
        "no fault: arrangement is the class, a good model",
        (
            overall("pass"),
            measured(SUBJECT, "model", at_least=0.9),
            measured("accuracy_gap.accuracy.bagnet-*", "BagNet", at_most=BLIND + 0.06),
            measured("accuracy_gap.accuracy.coordconv-*", "CoordConv", at_most=BLIND + 0.06),
            measured(
                "accuracy_gap.accuracy.stack", "stack", at_least=BLIND - 0.06, at_most=BLIND + 0.06
            ),
        ),
        honest,
        "arranged",
    ),
    SelftestCase(
        "g",
        "f, with nulls starved of training",
        (overall("inconclusive"), judged("gain", "inconclusive", "WEAK_NULL")),
        starved,
        "arranged",
    ),
    SelftestCase(
        "h",
        "a BagNet on the data of f",
        (
            judged("gain", "fail", "SUBJECT_WEAK"),
            measured(SUBJECT, "model", at_most=BLIND + 0.06),
        ),
        local,
        "arranged",
    ),
    SelftestCase(
        "i",
        "the direction of a grating of 2.2 pixels is the class, on images of 130",
        (
            judged("gain", "fail", "DATA_LOCAL", ("statistics", "patches", "cells")),
            measured(SUBJECT, "model", at_least=0.95),
            measured("accuracy_gap.accuracy.colour", "colour", at_most=0.85),
        ),
        grain,
        "grained",
    ),
)
