"""Threads: as many processor cores as are really free."""

import gc
import os
import time
from pathlib import Path

GARBAGE = 700  # new objects after which Python looks for garbage, as it comes


def set_threads(wanted: int | None) -> None:
    """As many threads as were asked for, or as are free now; from here on memory counts.

    The command line lets garbage wait while torch is loaded; then it may hold tensors.
    """
    import torch

    gc.set_threshold(GARBAGE)
    torch.set_num_threads(wanted or free_cores())


def free_cores(moment: float = 0.3) -> int:
    """Processor cores that are idle now, at least one; all that we may use where it is unknown."""
    ours = len(os.sched_getaffinity(0))
    try:
        before = idle_ticks()
        time.sleep(moment)
        idle = (idle_ticks() - before) / (moment * os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return ours
    return min(ours, max(1, round(idle)))


def idle_ticks() -> int:
    """Idle time of all cores together, in clock ticks since the system started (Linux)."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(words[4]) + int(words[5])
