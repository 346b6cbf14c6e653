"""Progress for people: a bar with the remaining time on a terminal, plain lines elsewhere."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

FIRST_GUESS = 1 / 2500  # seconds per unit of cost, before anything was measured
PLAIN_EVERY = 15.0  # seconds between plain lines


@dataclass
class Progress:
    """Tells how far an audit is, and how long it will still take.

    The remaining time is the remaining cost at the speed seen so far; the first guess counts as a
    little evidence, so that the first seconds do not decide it.

    Attributes:
        quiet: Whether nothing is shown; messages are still kept.
        lines: All messages, for the log.
    """

    quiet: bool = False
    lines: list[str] = field(default_factory=list)
    _total: float = 0.0
    _done: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _shown: float = 0.0
    _bar: Any = None
    _task: Any = None
    _running: dict[str, tuple[str, float, float]] = field(default_factory=dict)  # see `job`

    def start(self, total: float) -> None:
        """Begin; `total` is the cost of all jobs that are not in the store."""
        self._total, self._done, self._started = total, 0.0, time.monotonic()
        self._running.clear()
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[eta]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=max(total, 1e-9), eta="")

    def say(self, message: str) -> None:
        """A line for people, kept for the log."""
        self.lines.append(f"{time.strftime('%H:%M:%S')} {message}")
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(message, highlight=False, markup=False)
        else:
            print(message, file=sys.stderr, flush=True)

    def job(self, label: str, cost: float, name: str = "") -> None:
        """A job begins; several may run at once, each with a name of its own, else its label."""
        self.lines.append(f"{time.strftime('%H:%M:%S')} {label}")
        self._running[name or label] = label, cost, 0.0
        self._show(force=True)

    def tick(self, share: float, name: str = "") -> None:
        """A job is done to this share; the one that began last, if none is named."""
        name = name or next(reversed(self._running))
        label, cost, _ = self._running[name]
        self._running[name] = label, cost, min(1.0, share)
        self._show()

    def finish_job(self, name: str = "", *, counts: bool = True) -> None:
        """A job is over; the one that began last, if none is named. It counts if it is done."""
        _, cost, _ = self._running.pop(name or next(reversed(self._running)))
        self._done += cost if counts else 0.0
        self._show()

    def stop(self) -> None:
        """The bar goes away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def reached(self) -> float:
        """Cost of all that is done, with the done part of what runs."""
        return self._done + sum(cost * share for _, cost, share in self._running.values())

    def remaining(self) -> float:
        """Seconds, from what was seen so far."""
        done = self.reached()
        prior = 0.02 * self._total
        elapsed = time.monotonic() - self._started + prior * FIRST_GUESS
        return (self._total - done) * elapsed / max(done + prior, 1e-9)

    def _show(self, force: bool = False) -> None:
        if self.quiet:
            return
        *others, label = [label for label, _, _ in self._running.values()] or [""]
        if others:
            label += f" and {len(others)} more"
        eta = f"about {duration(self.remaining())} left"
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self.reached(), description=label, eta=eta)
        elif label and (now - self._shown > PLAIN_EVERY or (force and now - self._shown > 5)):
            self._shown = now
            done = self.reached() / max(self._total, 1e-9)
            print(f"{done:4.0%}  {eta:<22} {label}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """In words: "40 s", "3 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds / 5) * 5)} s" if seconds > 5 else "a few s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
