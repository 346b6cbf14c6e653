"""Run the cases through the product's own path, and say whether each found what it must."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.limits import load_policy
from audit.run import audit
from audit.selftest.bench import Bench, Scale
from audit.selftest.cases import Case
from audit.selftest.expectations import Result
from audit.store import Store


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
    cases: Sequence[Case], scale: Scale, seed: int, say: Callable[[str], None]
) -> Iterator[Row]:
    """Audit every case; data, models and trained nulls are shared, and gone afterwards.

    Args:
        cases: In this order.
        scale: How large they are.
        seed: Of everything random.
        say: Told what begins.

    Yields:
        One row a case, as soon as it is done.
    """
    with tempfile.TemporaryDirectory(prefix="audit-selftest-") as name:
        bench, store = Bench(scale, seed, Path(name)), Store(Path(name) / "cache")
        for case in cases:
            say(f"{case.letter}: {case.planted}")
            started = time.monotonic()
            expected = tuple(e.words for e in case.expected)
            try:
                result = tried(case, bench, store)
                seen = [e.look(result) for e in case.expected]
            except Exception as error:  # one case must not take the others with it
                seen = [(False, f"{type(error).__name__}: {error}")] * len(expected)
            found, right = tuple(words for _, words in seen), tuple(yes for yes, _ in seen)
            seconds = time.monotonic() - started
            yield Row(case.letter, case.planted, expected, found, right, seconds)


def tried(case: Case, bench: Bench, store: Store) -> Result:
    """Audit one case under the default policy."""
    trial = case.make(bench)
    done = audit(
        trial.subject, trial.dataset, trial.profile, load_policy(), store=store, seed=bench.seed
    )
    measurements = [m for found in done.measurements.values() for m in found]
    return Result.of(done.findings, measurements, done.crashed)
