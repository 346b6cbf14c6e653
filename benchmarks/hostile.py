"""Every hostile or broken input of the tests, through the whole command line: what it answers.

    python benchmarks/hostile.py                 # all of them, one line each and a summary
    python benchmarks/hostile.py --only zip      # those whose name holds a word

Each input is audited in a process of its own, forked after torch and timm are imported, so that
the time is that of the refusal alone: processor seconds, and largest resident memory, of the
process and of the child that parses. Exits 1 if an answer is wrong, something was run, or a limit
(2 GB, 30 s of processor time) was passed.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

MOST_MEMORY = 2 * 2**30  # bytes
MOST_SECONDS = 30.0


class Answer(NamedTuple):
    """What the command line made of one input.

    Attributes:
        code: Exit code; negative for a signal.
        text: What it printed.
        canary: Whether something of the input was run.
        memory: Largest resident memory in bytes.
        seconds: Of processor time.
    """

    code: int
    text: str
    canary: bool
    memory: int
    seconds: float

    def problem(self, reasons: tuple[str, ...]) -> str:
        """What is wrong with it, or nothing."""
        lines = self.text.strip().split("\n")
        checks = {
            "something was run": self.canary,
            f"exit code {self.code}": self.code != 2,
            "a traceback": "Traceback" in self.text or "INTERNAL" in self.text,
            f"{len(lines)} lines": len(lines) != 1,
            "another reason": not lines[0].removeprefix("audit: ").startswith(reasons),
            "characters that do something": not lines[0].isprintable(),
            "too much memory": self.memory > MOST_MEMORY,
            "too much time": self.seconds > MOST_SECONDS,
        }
        return ", ".join(what for what, holds in checks.items() if holds)


def answer(words: list[str], folder: Path) -> Answer:
    """Run the command line on one input, in a fork of this process."""
    log = folder / "log"
    process = os.fork()
    if process == 0:
        _audit(words, folder, log)
    _, status, used = os.wait4(process, 0)
    return Answer(
        os.waitstatus_to_exitcode(status),
        log.read_text(errors="replace"),
        (folder / "canary").exists(),
        used.ru_maxrss * 1024,
        used.ru_utime + used.ru_stime,
    )


def _audit(words: list[str], folder: Path, log: Path) -> None:
    """The forked process: ends with the command line's exit code."""
    from null_audit import main

    os.chdir(folder)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.argv = ["audit", *words]
    code = 99
    try:
        main()
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def measure(
    cases: Mapping[str, Any], words: Callable[[Path], list[str]], only: str
) -> dict[str, tuple[Answer, str]]:
    """Answers and problems by name; prints a line each."""
    found = {}
    for name, case in cases.items():
        if only not in name:
            continue
        folder = Path(tempfile.mkdtemp(prefix="hostile-"))
        try:
            path = case.build(folder)
            got = answer([*words(path), "--threads", "1", "-q", "--no-cache"], folder)
        finally:
            shutil.rmtree(folder)
        problem = got.problem(case.reasons)
        found[name] = (got, problem)
        reason = got.text.removeprefix("audit: ").split(":")[0]
        memory = f"{got.memory / 2**20:6.0f} MB"
        print(f"{name:38}{reason[:40]:28}{memory}{got.seconds:7.2f} s  {problem}", flush=True)
    return found


def summary(found: Mapping[str, tuple[Answer, str]]) -> bool:
    """Print the whole in a few lines.

    Returns:
        Whether every answer was right.
    """
    answers = {name: got for name, (got, _) in found.items()}
    memory = max(answers, key=lambda name: answers[name].memory)
    seconds = max(answers, key=lambda name: answers[name].seconds)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wrong = [name for name, (_, problem) in found.items() if problem]
    print(f"\ncases         {len(found)}")
    print(f"tracebacks    {sum('Traceback' in got.text for got in answers.values())}")
    print(f"canaries      {sum(got.canary for got in answers.values())}")
    print(f"wrong         {len(wrong)} {', '.join(wrong)}")
    print(f"worst memory  {answers[memory].memory / 2**20:.0f} MB ({memory}; idle {base:.0f} MB)")
    print(f"worst time    {answers[seconds].seconds:.1f} s of processor ({seconds})")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="a word in the names of the inputs")
    only = parser.parse_args().only
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import torch

    from tests.samples import hostile_checkpoints, hostile_folders, hostile_policies
    from tests.samples.hostile_tools import named, state

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        torch.save(named(state()), model)
        runs = (
            ("model", hostile_checkpoints.CASES, lambda path: [str(path), "--data", "no"]),
            ("data", hostile_folders.CASES, lambda path: [str(model), "--data", str(path)]),
            ("policy", hostile_policies.CASES, lambda path: [str(model), "--policy", str(path)]),
        )
        found: dict[str, tuple[Answer, str]] = {}
        for kind, cases, words in runs:
            named_so = {f"{kind}: {name}": case for name, case in cases.items()}
            found |= measure(named_so, words, only)
    return 0 if summary(found) else 1


if __name__ == "__main__":
    sys.exit(main())
