"""The process that decodes image files: limited in memory and time, unable to open anything.

Started by `audit.data.decoder_pool` with a bare environment, it takes whole files on its standard
input and answers with pixels, or with what is wrong. Nothing else of the audit is loaded here.

A request: how (one byte: FACTS or PIXELS, and LARGE_TOO), the number of files, the size of each,
then all of them. An answer, one for each file in order: what it is (one byte), width, height, mode,
the size of what follows, and that: pixels, their digest, or a sentence.
"""

import io
import signal
import struct
from typing import BinaryIO

from PIL import Image

from audit.core.child_limits import limit_process
from audit.data.images import (
    FORMATS,
    ImageProblemError,
    LargeImageError,
    decode_bytes,
    pixel_digest,
    quiet_pillow,
)

MEMORY = 3 * 2**30  # bytes of address space: an image of MAX_PIXELS with alpha takes 1.5
SECONDS = 20.0  # of processor time for one image
BUFFER = 2**20  # bytes: with small ones, two processes would take turns at every image
FACTS, PIXELS, LARGE_TOO = 0, 1, 2
REQUEST, SIZE, ANSWER = struct.Struct("<BI"), struct.Struct("<Q"), struct.Struct("<cIIcQ")
CODECS = ("ascii", "latin_1", "utf_8", "utf_16")  # of texts inside images
READY = b"ready"  # said once, before the first request
FOUND, LARGE, PROBLEM = b"F", b"L", b"P"


def limit() -> None:
    """Give up, for good, memory and the right to open files, sockets and processes."""
    limit_process(CODECS, memory=MEMORY, written=0)  # of time, each image has its own


def warm_up() -> None:
    """Decode one image of each format, so that no module is loaded when none can be."""
    for name in FORMATS:
        packed = io.BytesIO()
        Image.new("RGB", (8, 8)).save(packed, name)
        decode_bytes(packed.getvalue())


def answer(raw: bytes, how: int) -> tuple[bytes, bytes]:
    """Head and content of the answer to one file."""
    try:
        image = decode_bytes(raw, large=bool(how & LARGE_TOO))
    except LargeImageError:
        return ANSWER.pack(LARGE, 0, 0, b" ", 0), b""
    except ImageProblemError as problem:
        text = f"{problem.reason} {problem}".encode()
        return ANSWER.pack(PROBLEM, 0, 0, b" ", len(text)), text
    content = image.tobytes() if how & PIXELS else bytes.fromhex(pixel_digest(image))
    return ANSWER.pack(FOUND, *image.size, image.mode[:1].encode(), len(content)), content


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer requests until there are no more."""
    with quiet_pillow():
        while len(head := source.read(REQUEST.size)) == REQUEST.size:
            how, count = REQUEST.unpack(head)
            sizes = [SIZE.unpack(source.read(SIZE.size))[0] for _ in range(count)]
            files = [source.read(size) for size in sizes]
            for raw in files:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process
                for part in answer(raw, how):
                    target.write(part)
            signal.setitimer(signal.ITIMER_PROF, 0)
            target.flush()


def main() -> None:
    """Serve standard input and output, under limits."""
    warm_up()
    limit()
    with open(0, "rb", BUFFER) as source, open(1, "wb", BUFFER) as target:
        target.write(READY)
        target.flush()
        serve(source, target)
