"""Work side by side: each piece in a child forked from this process, with one thread.

A step of a small network is too short to be shared: two threads train a null hardly sooner than
one, while two processes train two nulls in the time of one. A child has all that this process has
in memory without a copy, nothing that it changes comes back but its result, and it is ended with
this process.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.parent import end_with_parent

if TYPE_CHECKING:
    import torch

Tell = Callable[[Any], None]
Work = Callable[[Tell], Any]  # called in the child, with what takes messages to the parent
OFTEN = 0.3  # seconds between two shares that a child tells
GROUP = Path("/sys/fs/cgroup")
ROOM = 3 * 2**29  # bytes of memory that a child needs for what it changes


class LostError(Exception):
    """A child ended without a result; the message says how, for people."""


@dataclass(frozen=True)
class Ended:
    """A child's work is over.

    Attributes:
        result: What it returned; a `LostError` if it did not.
        seconds: That it took.
    """

    result: Any
    seconds: float = 0.0


def crew_size(device: "torch.device | None" = None) -> int:
    """How many children may work at once: no more than threads, nor than have room in memory.

    1 on an accelerator, which is not shared, and where a process cannot be forked safely, or is a
    child itself: then there should be none.
    """
    import torch

    elsewhere = device is not None and device.type != "cpu"
    if elsewhere or sys.platform != "linux" or multiprocessing.current_process().daemon:
        return 1
    return max(1, min(torch.get_num_threads(), free_memory() // ROOM))


def free_memory() -> int:
    """Bytes that processes may still take, as far as the system and its control group say."""
    free = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        words = next(line for line in lines if line.startswith("MemAvailable")).split()
        free = [int(words[1]) * 1024]
        limit, used = (int((GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        free.append(limit - used)
    except (OSError, ValueError, StopIteration):
        pass  # no limit that we know of
    return max(0, min(free))


class Crew:
    """Children at work, by name.

    Args:
        size: How many at once.
    """

    def __init__(self, size: int):
        self.size = size
        self.context = multiprocessing.get_context("fork")
        self.children: dict[str, tuple[ForkProcess, Connection]] = {}

    @property
    def room(self) -> bool:
        """Whether another child may begin."""
        return len(self.children) < self.size

    def start(self, name: str, work: Work) -> None:
        """Begin a piece of work; its messages and its result must be picklable."""
        ours, theirs = self.context.Pipe(duplex=False)
        child = self.context.Process(target=_work, args=(theirs, work), daemon=True)
        child.start()
        theirs.close()
        self.children[name] = child, ours

    def told(self) -> bool:
        """Whether a message waits to be taken."""
        return bool(self._speaking(0.0))

    def wait(self) -> tuple[str, Any]:
        """The next message of any child, with its name; the last one of each is `Ended`."""
        first = self._speaking(None)[0]
        name = next(name for name, (_, pipe) in self.children.items() if pipe is first)
        child, pipe = self.children[name]
        try:
            found = pipe.recv()
        except EOFError:
            child.join()
            found = Ended(LostError(how_it_ended(child.exitcode)))
        if isinstance(found, Ended):
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


def how_it_ended(code: int | None) -> str:
    """In words, of a process that gave no result."""
    if code == -signal.SIGKILL:
        return "its process was killed, as the system does where memory is short"
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


def _work(pipe: Connection, work: Work) -> None:
    """What a child does."""
    import torch
    from threadpoolctl import threadpool_limits

    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    threadpool_limits(1)  # of numpy and scipy
    began = time.monotonic()
    try:
        found = work(pipe.send)
        pipe.send(Ended(found, time.monotonic() - began))
    except Exception as error:
        pipe.send(Ended(LostError(f"{type(error).__name__}: {error}")))
    pipe.close()


def seldom(tell: Tell) -> Callable[[float], None]:
    """Tells shares, but not more often than people look."""
    told = 0.0

    def tick(share: float) -> None:
        nonlocal told
        if time.monotonic() - told > OFTEN:
            told = time.monotonic()
            tell(share)

    return tick
