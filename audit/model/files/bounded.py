"""A part of a file, read from where it stands and no further. Standard library only."""

from typing import IO

LONGEST_LINE = 4096  # of the text opcodes of a pickle


class FileSlice:
    """The part of a file that a pickle may occupy.

    Args:
        file: At the pickle's first byte.
        size: Bytes that may be read.
    """

    def __init__(self, file: IO[bytes], size: int):
        self.file = file
        self.left = size

    def read(self, n: int = -1) -> bytes:
        """At most `n` bytes."""
        data = self.file.read(min(n, self.left) if n >= 0 else self.left)
        self.left -= len(data)
        return data

    def readline(self) -> bytes:
        """Up to the end of the line; a line longer than any honest one comes back cut."""
        data = self.file.readline(min(self.left, LONGEST_LINE))
        self.left -= len(data)
        return data

    def tell(self) -> int:
        """Where the file stands."""
        return self.file.tell()
