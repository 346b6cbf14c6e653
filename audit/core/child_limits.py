"""Child processes that read untrusted files: how they are started, and what they give up.

Standard library only, since the children import it.
"""

import codecs
import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from audit.core.parent_death import end_with_parent

# No memory image on the disk, no process, no file or socket beyond those that are open.
NOTHING_OF = ("RLIMIT_CORE", "RLIMIT_NPROC", "RLIMIT_NOFILE")


def start_isolated(
    code: str,
    words: Sequence[object],
    variables: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    bufsize: int = -1,
) -> subprocess.Popen[bytes]:
    """Start Python without the user's variables, current folder and installed packages.

    Args:
        code: Program of the child.
        words: Its arguments.
        variables: Its whole environment.
        stdin: Standard input, as for `subprocess.Popen`. Defaults to none.
        pass_fds: Descriptors that it inherits. Defaults to none.
        bufsize: Size of the pipes' buffers in bytes. Defaults to Python's own.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, *map(str, words)],
        pass_fds=pass_fds,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(variables),
        cwd="/",
        bufsize=bufsize,
    )


def limit_process(
    text_codecs: Iterable[str], *, memory: int, written: int, seconds: int | None = None
) -> None:
    """Give up, for good, memory, time and the right to open files, sockets and processes.

    The process is also killed when its parent ends.

    Args:
        text_codecs: Codecs that are needed later; each loads a file, which is then impossible.
        memory: Bytes of address space.
        written: Bytes that any open file may grow to.
        seconds: Processor time. Defaults to no limit of its own.
    """
    end_with_parent()
    for name in text_codecs:
        codecs.lookup(name)
    limits = {"RLIMIT_AS": memory, "RLIMIT_FSIZE": written}
    if seconds is not None:
        limits["RLIMIT_CPU"] = seconds
    for name, value in (limits | dict.fromkeys(NOTHING_OF, 0)).items():
        kind = getattr(resource, name, None)
        if kind is None:  # this system has no such limit
            continue
        with contextlib.suppress(ValueError, OSError):  # this system refuses to set it
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))
