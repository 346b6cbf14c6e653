"""Files that declare far more than they hold: a few bytes on the disk, gigabytes when read."""

import errno
import os
from typing import IO

SMALL = 2**28  # bytes: below, reading the zeros does no harm
MOST_PARTS = 100_000  # of written bytes, in what is looked at


def is_hollow(file: IO[bytes]) -> bool:
    """Whether more than half of a large file was never written, and reads as zeros.

    Args:
        file: Opened for reading; its position is not kept.

    Returns:
        False also where the system cannot tell.
    """
    size = os.fstat(file.fileno()).st_size
    if size < SMALL or not hasattr(os, "SEEK_DATA"):
        return False
    written = at = 0
    try:
        for _ in range(MOST_PARTS):
            start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            written += at - start
            if at >= size:
                break
    except OSError as error:
        if error.errno != errno.ENXIO:  # which means that nothing is written behind this point
            return False
    file.seek(0)
    return 2 * written < size
