"""Standard output and error whose reader may go away while an audit goes on."""

import os
from typing import Any, TextIO, cast


class _Deaf:
    """What is written after the reader has gone, goes nowhere; no error, no other exit code."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Pass on."""
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        """Pass on."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            self._leave()

    def _leave(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


def deaf(stream: TextIO) -> TextIO:
    """The same stream, to which nobody need listen."""
    return cast(TextIO, _Deaf(stream))
