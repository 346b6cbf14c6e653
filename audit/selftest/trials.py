"""Run the cases through the product's own path, and say whether each found what it must."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audit.core.errors import AuditError
from audit.core.workers import WorkerChannel, WorkerDiedError, WorkerPool
from audit.jobs.store import Store
from audit.selftest.bench import Fixtures, Scale
from audit.selftest.cases import SelftestCase, Trial
from audit.selftest.expectations import SelftestResult

Audit = Callable[[Trial, Store, int], SelftestResult]  # of what was made, with a store and a seed


@dataclass(frozen=True)
class Row:
    """What became of one case.

    Attributes:
        letter: Of the case.
        planted: In words.
        expected: One a thing that must be found.
        found: What was found, in the same order.
        right: Which of them are as expected.
        seconds: Making data and model, and the audit.
    """

    letter: str
    planted: str
    expected: tuple[str, ...]
    found: tuple[str, ...]
    right: tuple[bool, ...]
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether all was found as expected."""
        return all(self.right)


def run_cases(
    cases: Sequence[SelftestCase],
    scale: Scale,
    seed: int,
    say: Callable[[str], None],
    audit: Audit,
    size: int = 1,
) -> Iterator[Row]:
    """Audit every case; data, models and trained nulls are shared, and gone afterwards.

    Args:
        cases: In this order, where they are not audited side by side.
        scale: How large they are.
        seed: Of everything random.
        say: Receives what begins.
        audit: Audits what a case makes, under the default policy.
        size: How many processes audit cases of different data side by side.

    Yields:
        One row a case, as soon as it is done.
    """
    with tempfile.TemporaryDirectory(prefix="audit-selftest-") as name:
        bench, store = Fixtures(scale, seed, Path(name)), Store(Path(name) / "cache")
        if size == 1 or len({case.data for case in cases}) == 1:
            for case in cases:
                yield audited(case, bench, store, audit, say)
        else:
            yield from side_by_side(cases, bench, store, audit, say, WorkerPool(size))


def side_by_side(
    cases: Sequence[SelftestCase],
    bench: Fixtures,
    store: Store,
    audit: Audit,
    say: Callable[[str], None],
    pool: WorkerPool,
) -> Iterator[Row]:
    """All cases about the same data in one child, those with the most cases first."""
    groups = [[case for case in cases if case.data == data] for data in {c.data for c in cases}]
    groups.sort(key=lambda group: (-len(group), group[0].letter))
    try:
        while groups or pool.children:
            while groups and pool.has_capacity:
                group = groups.pop(0)
                try:
                    pool.start(group[0].data, partial(told, group, bench, store, audit))
                except OSError:  # the system does not allow another process
                    yield from (audited(case, bench, store, audit, say) for case in group)
            if not pool.children:
                break
            name, message = pool.wait()
            if isinstance(message, Row):
                yield message
            elif isinstance(message, str):
                say(message)
            elif isinstance(message.result, WorkerDiedError):
                raise AuditError(
                    "SELFTEST_BROKEN",
                    f"the self-test needs all cases about the {name} data, but {message.result}.",
                    "Free memory, or run it with --threads 1.",
                )
    finally:
        pool.close()


def told(
    cases: Sequence[SelftestCase], bench: Fixtures, store: Store, audit: Audit, tell: WorkerChannel
) -> None:
    """Audit cases in a child: what begins and what was found are messages."""
    for case in cases:
        tell(audited(case, bench, store, audit, tell))


def audited(
    case: SelftestCase, bench: Fixtures, store: Store, audit: Audit, say: Callable[[str], None]
) -> Row:
    """Make and audit one case."""
    say(f"{case.letter}: {case.planted}")
    started = time.monotonic()
    expected = tuple(e.words for e in case.expected)
    try:
        result = audit(case.make(bench), store, bench.seed)
        seen = [e.look(result) for e in case.expected]
    except Exception as error:  # one case must not take the others with it
        seen = [(False, f"{type(error).__name__}: {error}")] * len(expected)
    found, right = tuple(words for _, words in seen), tuple(yes for yes, _ in seen)
    return Row(case.letter, case.planted, expected, found, right, time.monotonic() - started)
