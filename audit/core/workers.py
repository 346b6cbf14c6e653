"""Work side by side: each piece in a child forked from this process, with one thread.

A step of a small network is too short to be shared: two threads train a null hardly sooner than
one, while two processes train two nulls in the time of one. A child has all that this process has
in memory without a copy, nothing that it changes comes back but its result, and it is ended with
this process.
"""

import multiprocessing
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.core.parent_death import end_with_parent

if TYPE_CHECKING:
    import torch

Work = Callable[["WorkerChannel"], Any]  # called in the child, with its line to the parent
OFTEN = 0.3  # seconds between two shares that a child tells
ROOM = 3 * 2**29  # bytes of memory that a child needs to train the largest null, beside its images

GROUPS = (  # files of a control group: its limit, what it uses, and a table of what that is
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


class WorkerDiedError(Exception):
    """A child ended without a result.

    Args:
        how: For people.
        killed: Whether it was killed from outside, as the system does where memory is short.
    """

    def __init__(self, how: str, killed: bool = False):
        super().__init__(how)
        self.killed = killed


@dataclass(frozen=True)
class WorkerResult:
    """A child's work is over.

    Attributes:
        result: What it returned; a `WorkerDiedError` if it did not.
        seconds: That it took.
    """

    result: Any
    seconds: float = 0.0


def worker_count(device: "torch.device | None" = None) -> int:
    """How many children may work at once: no more than threads, nor than have room in memory.

    1 where networks run on an accelerator, which is not shared, and where there should be none:
    where a process cannot be forked safely, or is a child itself, or torch sees an accelerator, for
    then no child can learn once its parent has.

    Args:
        device: That networks run on; the processor by default.
    """
    import torch

    elsewhere = (device is not None and device.type != "cpu") or torch.accelerator.is_available()
    if elsewhere or sys.platform != "linux" or multiprocessing.current_process().daemon:
        return 1
    return max(1, min(torch.get_num_threads(), free_memory() // ROOM))


def free_memory(system: Path = Path("/")) -> int:
    """Bytes that processes may still take, as far as the system and its control group say."""
    meminfo = numbers(system / "proc/meminfo")
    free = [meminfo["MemAvailable:"] * 1024] if "MemAvailable:" in meminfo else []
    for names in GROUPS:
        limit, used, stat = (system / "sys/fs/cgroup" / name for name in names)
        try:
            most, taken = int(limit.read_text()), int(used.read_text())
        except (OSError, ValueError):
            continue  # no limit
        pages = numbers(stat)  # those of files are given back when they are needed
        free.append(most - taken + pages.get("total_inactive_file", pages.get("inactive_file", 0)))
    return max(0, min(free)) if free else ROOM


def numbers(table: Path) -> dict[str, int]:
    """The first number of every line of a file of the system, by the first word."""
    try:
        lines = [line.split() for line in table.read_text(encoding="ascii").splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


class WorkerPool:
    """Children at work, by name.

    Args:
        size: How many at once.
    """

    def __init__(self, size: int):
        self.size = size
        self.context = multiprocessing.get_context("fork")
        self.children: dict[str, tuple[ForkProcess, Connection]] = {}

    @property
    def has_capacity(self) -> bool:
        """Whether another child may begin."""
        return len(self.children) < self.size

    def start(self, name: str, work: Work) -> None:
        """Begin a piece of work; its messages and its result must be picklable.

        Raises:
            OSError: If the system does not allow another process.
        """
        ours, theirs = self.context.Pipe(duplex=False)
        args = (ours, theirs, os.getpid(), work)
        child = self.context.Process(target=_work, args=args, daemon=True)
        try:
            child.start()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.children[name] = child, ours

    def has_message(self) -> bool:
        """Whether a message waits to be taken."""
        return bool(self._speaking(0.0))

    def wait(self) -> tuple[str, Any]:
        """The next message of any child, with its name; the last one of each is `WorkerResult`."""
        first = self._speaking(None)[0]
        name = next(name for name, (_, pipe) in self.children.items() if pipe is first)
        child, pipe = self.children[name]
        try:
            found = pipe.recv()
        except (EOFError, OSError):  # it ended, perhaps while it was speaking
            child.join()
            found = WorkerResult(how_it_ended(child.exitcode))
        if isinstance(found, WorkerResult):
            self._end(name)
        return name, found

    def close(self) -> None:
        """End all children, whatever they do."""
        for name in list(self.children):
            self.children[name][0].kill()
            self._end(name)

    def _speaking(self, seconds: float | None) -> list[Any]:
        return wait([pipe for _, pipe in self.children.values()], seconds)

    def _end(self, name: str) -> None:
        child, pipe = self.children.pop(name)
        pipe.close()
        child.join()
        child.close()


def how_it_ended(code: int | None) -> WorkerDiedError:
    """In words, of a process that gave no result."""
    if code == -signal.SIGKILL:
        words = "its process was killed, as the system does where memory is short"
        return WorkerDiedError(words, killed=True)
    if code is not None and code < 0:
        return WorkerDiedError(f"its process was ended by {signal.Signals(-code).name}")
    return WorkerDiedError(f"its process ended with exit code {code}")


class WorkerChannel:
    """A worker's channel to its parent: called with a message, it waits until that is sent."""

    def __init__(self, pipe: Connection):
        self.pipe, self.reported = pipe, 0.0

    def __call__(self, message: Any) -> None:
        """Send a message."""
        self.pipe.send(message)

    def report_progress(self, share: float) -> None:
        """Send the share of the job that is done, at most about three times a second.

        The share is dropped where the parent does not read at the moment.
        """
        if time.monotonic() - self.reported > OFTEN and select.select([], [self.pipe], [], 0)[1]:
            self.reported = time.monotonic()
            self.pipe.send(share)


def _work(theirs: Connection, pipe: Connection, parent: int, work: Work) -> None:
    """What a child does."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.getppid() != parent:
        os._exit(1)  # it ended before we could be told to end with it
    theirs.close()
    # A thread of the parent may have held the lock of a stream: it would never be given back.
    sys.stdout = sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="replace")
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)  # of numpy and scipy
    began, line = time.monotonic(), WorkerChannel(pipe)
    try:
        found = work(line)
        line(WorkerResult(found, time.monotonic() - began))
    except Exception as error:
        line(WorkerResult(WorkerDiedError(f"{type(error).__name__}: {error}")))
    pipe.close()
