"""What a child process does so that it never outlives the one that started it."""

import contextlib
import ctypes
import signal

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def end_with_parent() -> None:
    """Be killed, even while stopped, when the thread that started this process ends (Linux)."""
    with contextlib.suppress(OSError, AttributeError):  # not on this system
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
