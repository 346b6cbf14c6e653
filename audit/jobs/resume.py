"""What a job has done so far, kept so that an audit that is stopped loses a minute at most.

The state is a folder `unfinished/<kind>-<key>/` of the cache with one file for each part of the
job, which begins with the SHA-256 of the rest. A damaged file counts as none. The state is
discarded when the job's result is stored. What cannot be kept, as on a full disk or of a very large
network, is done again instead.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from audit.reports.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

UNFINISHED = "unfinished"
EVERY = 30.0  # seconds between two times that the state of one part is kept
SHORT = 5.0  # seconds; what took less is not worth keeping
SHARE = 20.0  # times as long as keeping took, it is not done again
LARGEST = 3 * 2**27  # bytes of one state; to write it takes twice that of memory
SECONDS = "seconds"  # of work that a file stands for, all files of its job counted


class ResumeState:
    """The unfinished parts of one job; `ResumeState(None)` keeps nothing.

    Args:
        folder: Where they lie.
        device: That the job is done on; what was done on another one is not taken up.
    """

    def __init__(self, folder: Path | None = None, device: str = "cpu"):
        self.folder, self.device = folder, device
        self.earlier, self.opened = 0.0, time.monotonic()

    def seconds(self) -> float:
        """Of work on this job, as far as it was kept; what was lost is not counted."""
        return self.earlier + time.monotonic() - self.opened

    def part(self, *what: object) -> "StateFile":
        """A part of the job, named by all that determines it."""
        named = repr((self.device, *what)).encode()
        return StateFile(self, hashlib.sha256(named).hexdigest()[:40])

    def load(self, name: str) -> "dict[str, Tensor] | None":
        """The tensors of a part, or None if there are none or the file is damaged."""
        from safetensors.torch import load

        if self.folder is None:
            return None
        try:
            content = (self.folder / name).read_bytes()
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                return None
            found = load(content[32:])
            self.earlier = max(self.earlier, float(found.pop(SECONDS)))
        except MemoryError:
            raise
        except Exception:  # a file that somebody else made may raise anything
            return None
        return found

    def save(self, name: str, tensors: "dict[str, Tensor]") -> None:
        """Keep a part, whole or not at all; whatever fails here must not fail the job."""
        if self.folder is None or sum(x.nbytes for x in tensors.values()) > LARGEST:
            return
        try:
            self._write(self.folder, name, tensors)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            return

    def _write(self, folder: Path, name: str, tensors: "dict[str, Tensor]") -> None:
        import torch
        from safetensors.torch import save

        now = torch.tensor(self.seconds(), dtype=torch.float64)
        found = {key: value.contiguous() for key, value in tensors.items()} | {SECONDS: now}
        content = save(found)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(folder / name, hashlib.sha256(content).digest(), content)

    def discard(self) -> None:
        """The job is done, or must begin anew."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class StateFile:
    """One part of a job, such as one training: it keeps its state from time to time."""

    def __init__(self, resume_state: ResumeState, name: str):
        self.resume_state, self.name = resume_state, name
        self.kept, self.pause = time.monotonic(), EVERY

    def load(self) -> "dict[str, Tensor] | None":
        """What was kept last."""
        return self.resume_state.load(self.name)

    def save(self, take: "Callable[[], dict[str, Tensor]]", *, last: bool = False) -> bool:
        """Keep what `take` gives, unless that was done a moment ago; whether it was kept now.

        Args:
            take: Called only if it is kept.
            last: Whether this part is finished.
        """
        began = time.monotonic()
        if self.resume_state.folder is None or began - self.kept < (SHORT if last else self.pause):
            return False
        self.resume_state.save(self.name, take())
        self.kept = time.monotonic()
        self.pause = max(EVERY, SHARE * (self.kept - began))
        return True


class RowBuffer:
    """Rows of results that come in order, kept piece by piece.

    Args:
        resume_state: Keeps them.
        what: All that decides how they are divided, such as the size of a batch.

    Attributes:
        done: Rows so far, those that were kept before the stop counted.
    """

    def __init__(self, resume_state: ResumeState, *what: object):
        self.resume_state, self.what, self.done = resume_state, what, 0
        self.pieces: list[dict[str, Tensor]] = []
        self.open = 0  # pieces that are kept; those behind are not yet
        self.place = resume_state.part("rows", *what, 0)
        while found := self.place.load():
            self._take(found)
            self._close()

    def add(self, found: "dict[str, Tensor]") -> None:
        """Take the next rows of each tensor."""
        self._take(found)
        if self.place.save(lambda: joined(self.pieces[self.open :])):
            self._close()

    def whole(self) -> "dict[str, Tensor]":
        """All rows of each tensor."""
        return joined(self.pieces)

    def _take(self, found: "dict[str, Tensor]") -> None:
        self.pieces.append(found)
        self.done += len(next(iter(found.values())))

    def _close(self) -> None:
        self.open, self.place = (
            len(self.pieces),
            self.resume_state.part("rows", *self.what, self.done),
        )


def joined(pieces: "list[dict[str, Tensor]]") -> "dict[str, Tensor]":
    """Rows behind one another, by name."""
    import torch

    return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}
