"""The process that parses a model file: limited in memory and time, unable to open anything.

Started by `audit.model.files.sandbox` with a bare environment and three open files, it lowers its
own limits, parses, and prints JSON. Standard library only, so that it starts in a tenth of a
second.
"""

import json
import os
import sys
from typing import Any

from audit.core.child_limits import limit_process
from audit.model.files.descriptions import encoded
from audit.model.files.errors import CheckpointError, corrupt, unreadable
from audit.model.files.formats import parse

MEMORY = 2**30  # bytes of address space
SECONDS = 20  # of processor time, and one more for each SPEED bytes of the file
SPEED = 100 * 2**20  # bytes per second
MOST_PARTS = 500_000  # nested values that are passed on
MOST_TEXT = 2**26  # characters of JSON
CODECS = ("ascii", "cp437", "latin_1", "raw_unicode_escape", "unicode_escape", "utf_8")


def seconds_for(size: int) -> int:
    """Return the processor time in seconds that a file of so many bytes may take."""
    return SECONDS + size // SPEED


def limit(size: int) -> None:
    """Give up, for good, memory, time, and the right to open files, sockets and processes.

    Args:
        size: Size of the file to be parsed, in bytes.
    """
    limit_process(CODECS, memory=MEMORY, written=4 * size + MEMORY, seconds=seconds_for(size))


def answer(file: int, unpacked: int, size: int) -> dict[str, Any]:
    """Return what the file holds, or why it is refused, as plain JSON.

    Args:
        file: Descriptor of the model file.
        unpacked: Descriptor that takes what is compressed in it.
        size: Size of the file in bytes.
    """
    try:
        with os.fdopen(file, "rb") as opened, os.fdopen(unpacked, "r+b") as target:
            found = parse(opened, size, target)
        return {"kind": found.kind, "value": encoded(found.value, [MOST_PARTS])}
    except CheckpointError as refused:
        error = refused
    except OverflowError:
        error = corrupt("it holds hundreds of thousands of values, which no checkpoint does")
    except (MemoryError, RecursionError):
        error = corrupt("reading it would take more than 1 GB beside its weights")
    except OSError:
        error = unreadable(
            "cannot be read or unpacked", "Check its permissions and free disk space"
        )
    except Exception:  # what no check above foresaw; still no reason to trust it
        error = unreadable("is not one, or is damaged", "Copy it again, or save it anew")
    return {"refused": [error.reason, error.what, error.remedy, error.culprit[:1000]]}


def main() -> None:
    """Parse the file of the descriptors and size given as arguments; print the answer."""
    file, unpacked, size = map(int, sys.argv[1:4])
    limit(size)
    text = json.dumps(answer(file, unpacked, size))
    if len(text) > MOST_TEXT:
        error = corrupt("its names alone take more than 64 MB")
        text = json.dumps({"refused": [error.reason, error.what, error.remedy, ""]})
    sys.stdout.write(text)
    sys.stdout.flush()
