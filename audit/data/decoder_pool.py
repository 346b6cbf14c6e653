"""Decoding in processes apart: whatever an image file does there becomes one sentence here.

Decoders of images are large programs in C that are fed with files nobody vouches for. A child
process (`audit.data.decoder_child`) that can open nothing, with limits on memory and on the time of
each image, runs them; here arrive pixels. Each thread that decodes borrows a child, so that several
processors work at once. A child that dies is replaced: what it had not answered is sent again, one
file at a time, and only a file that ends its child alone is blamed.
"""

import atexit
import os
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np
import PIL
from PIL import Image

from audit.core.child_limits import start_isolated
from audit.core.errors import AuditError
from audit.data.decoder_child import (
    ANSWER,
    BUFFER,
    FACTS,
    FOUND,
    LARGE,
    LARGE_TOO,
    PIXELS,
    READY,
    REQUEST,
    SIZE,
)
from audit.data.images import MAX_PIXELS, ImageProblemError

MOST_FILES, MOST_BYTES = 128, 2**20  # of one request, unless a single file is larger
WAIT = 600.0  # seconds of wall time for one request
LONGEST = 200  # characters of a sentence
REASONS = ("DATA_UNREADABLE", "DATA_IMAGE_TOO_LARGE")
MODES = {b"L": ("L", 1), b"R": ("RGB", 3)}

# The package's own __init__ would load far more than the child needs.
BOOT = (
    "import sys, types; root, *more = sys.argv[1:]; sys.path[:0] = [root]; sys.path += more; "
    "package = types.ModuleType('audit.data'); package.__path__ = [root + '/audit/data']; "
    "sys.modules['audit.data'] = package; "
    "from audit.data import decoder_child as child; child.main()"
)

ONE_LARGE = threading.Lock()  # of large images, one at a time is decoded, whatever the threads


class LookedAt(NamedTuple):
    """What is kept of a decoded image: digest of its pixels in hex, mode and size."""

    digest: str
    mode: str
    width: int
    height: int


class GoneError(Exception):
    """The child ended, or said what no child says."""


Answer = bytes | tuple[bytes, str, int, int]  # LARGE; or content, mode, width, height


class Decoder:
    """A child process that decodes images, one request at a time.

    Raises:
        AuditError: DATA_DECODER if it does not start.
    """

    def __init__(self) -> None:
        root = Path(__file__).parents[2]
        libraries = {str(Path(module.__file__ or "").parents[1]) for module in (PIL, np)}
        self.process = start_isolated(
            BOOT,
            [root, *sorted(libraries)],
            {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            bufsize=BUFFER,
        )
        try:
            _exactly(cast("IO[bytes]", self.process.stdout), len(READY))
        except GoneError:
            self.close()
            raise AuditError(
                "DATA_DECODER",
                "the audit decodes images in a process of its own, but that does not start.",
                "Leave it memory, and check that Pillow can read and write its usual formats.",
            ) from None

    def ask(self, files: Sequence[bytes], how: int) -> Iterator[Answer | ImageProblemError]:
        """Send files and yield the answers in order.

        Raises:
            GoneError: The child died, was too slow, or answered nonsense.
        """
        source, target = cast("IO[bytes]", self.process.stdout), self.process.stdin
        assert target is not None
        timer = threading.Timer(WAIT, self.process.kill)
        timer.start()
        try:
            target.write(REQUEST.pack(how, len(files)))
            for raw in files:
                target.write(SIZE.pack(len(raw)))
            for raw in files:
                target.write(raw)
            target.flush()
            for _ in files:
                yield _answer(source, how)
        except OSError as error:
            raise GoneError from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the child."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                cast("IO[bytes]", pipe).close()
            except OSError:  # what was not yet written cannot be
                continue
        self.process.wait()


def _answer(source: IO[bytes], how: int) -> Answer | ImageProblemError:
    kind, width, height, letter, size = ANSWER.unpack(_exactly(source, ANSWER.size))
    if kind == LARGE:
        return LARGE
    if kind != FOUND:
        reason, _, detail = _exactly(source, min(size, 4 * LONGEST)).decode().partition(" ")
        if reason not in REASONS or not detail.isprintable() or len(detail) > LONGEST:
            raise GoneError
        return ImageProblemError(reason, detail)
    mode, channels = MODES.get(letter, ("", 0))
    expected = width * height * channels if how & PIXELS else 32
    if not mode or not 0 < width * height <= MAX_PIXELS or size != expected:
        raise GoneError
    return _exactly(source, size), mode, width, height


def _exactly(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise GoneError
    return data


class Pool:
    """Children that wait for work; a process that was forked begins with none.

    All are started by one thread that lasts as long as the process, since they end with the thread
    that started them.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self.owner = os.getpid()
        self.idle: list[Decoder] = []
        self.starter = ThreadPoolExecutor(1, thread_name_prefix="starts decoders")

    @contextmanager
    def borrowed(self) -> Iterator[Decoder]:
        """A child for one request; one whose request was not finished is ended."""
        with self.lock:
            if self.owner != os.getpid():
                self._begin()
            decoder = self.idle.pop() if self.idle else None
        decoder = decoder or self.starter.submit(Decoder).result()
        try:
            yield decoder
        except BaseException:
            decoder.close()
            raise
        with self.lock:
            self.idle.append(decoder)

    def close(self) -> None:
        """End all children that wait."""
        with self.lock:
            idle, self.idle = self.idle, []
        for decoder in idle if self.owner == os.getpid() else ():
            decoder.close()


POOL = Pool()

atexit.register(POOL.close)


def decoded(files: Iterable[bytes]) -> Iterator[Image.Image | ImageProblemError]:
    """Decode whole files to mode "L" or "RGB", in order; problems are yielded, not raised."""
    for found in _answers(files, PIXELS):
        if isinstance(found, ImageProblemError):
            yield found
        else:
            content, mode, *size = found
            yield Image.frombytes(mode, (size[0], size[1]), content)


def looked_at(files: Iterable[bytes]) -> Iterator[LookedAt | ImageProblemError]:
    """Decode whole files and keep only what they are, in order."""
    for found in _answers(files, FACTS):
        if isinstance(found, ImageProblemError):
            yield found
        else:
            content, mode, width, height = found
            yield LookedAt(content.hex(), mode, width, height)


Settled = tuple[bytes, str, int, int] | ImageProblemError


def _answers(files: Iterable[bytes], how: int) -> Iterator[Settled]:
    """One answer a file; no more files are held than one request takes."""
    waiting: list[bytes] = []
    for raw in files:
        waiting.append(raw)
        if len(waiting) == MOST_FILES or sum(map(len, waiting)) >= MOST_BYTES:
            yield from _request(waiting, how)
            waiting = []
    if waiting:
        yield from _request(waiting, how)


def _request(files: list[bytes], how: int) -> Iterator[Settled]:
    done = 0
    try:
        with POOL.borrowed() as decoder:
            for found in decoder.ask(files, how):
                resolve_precision = _large(files[done], how) if isinstance(found, bytes) else found
                done += 1
                yield resolve_precision
        return
    except GoneError:
        pass
    for raw in files[done:]:
        yield _alone(raw, how)


def _large(raw: bytes, how: int) -> Settled:
    with ONE_LARGE:
        return _alone(raw, how | LARGE_TOO)


def _alone(raw: bytes, how: int) -> Settled:
    """One file in a request of its own: whatever happens to its child is its doing."""
    try:
        with POOL.borrowed() as decoder:
            (found,) = decoder.ask([raw], how)
    except GoneError:
        detail = "takes too much time or memory to decode, or ends its decoder"
        return ImageProblemError("DATA_UNREADABLE", detail)
    return _large(raw, how) if isinstance(found, bytes) else found
