"""How long the command line takes before it does any work: help, and a look at a model file.

    python benchmarks/start_up.py                # builds a checkpoint of 98 MB (resnet50)
    python benchmarks/start_up.py --repeats 9

Every figure is the median of fresh processes: seconds of processor time (children included) and of
wall time. The goals, by the clock: 0.5 s for `audit --help`, 3 s for `audit inspect` beyond what
`import torch` alone takes. A file is parsed while torch loads, so the processors' seconds are more.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ARCHITECTURE = "resnet50"
HELP_GOAL, INSPECT_GOAL = 0.5, 3.0  # seconds by the clock
STEPS = {  # line of the table: what is called, as module and name
    "parse in the child, and digest": ("audit.model.files.sandbox", "Parsing.finish"),
    "look up the signature": ("audit.model.signatures", "find"),
    "build it without values": ("audit.model.spec", "ModelSpec.outline"),
    "fill it, digest it and run it once": ("audit.model.inspection", "try_out"),
    "find its cuts": ("audit.model.inspection", "find_cuts"),
}
# Runs in the process that is measured: imports one after the other, then an inspection of which
# the steps above are timed.
PROFILE = """
import functools, importlib, json, resource, sys
from pathlib import Path
def spent():
    own = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in own)
found, begin = {}, spent()
def note(name):
    global begin
    found[name] = spent() - begin
    begin = spent()
note("")
import torch
note("import torch")
import contextlib
from audit.model.uncompiled import without_compiler
stack = contextlib.ExitStack()
stack.enter_context(without_compiler())  # as the command does
import torchvision
note("import torchvision")
import timm
note("import timm, the rest of it")
from audit.model import inspection
note("import audit.model.inspection, the rest of it")
def timed(label, call):
    @functools.wraps(call)
    def run(*words, **more):
        start = spent()
        try:
            return call(*words, **more)
        finally:
            found[label] = found.get(label, 0.0) + spent() - start
    return run
for label, (module, name) in json.loads(sys.argv[2]).items():
    owner = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, timed(label, getattr(owner, last)))
begin = spent()
inspection.inspect_model(Path(sys.argv[1]))
note("the whole inspection")
del found[""]
print(json.dumps(found))
"""


class Spent(NamedTuple):
    """Seconds of a process and its children: of processor time, and of wall time."""

    processor: float
    wall: float


def once(words: Sequence[str]) -> tuple[Spent, str]:
    """Run one process to its end; what it took, and what it printed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(used, wall), done.stdout


def median(words: Sequence[str], repeats: int) -> Spent:
    """Medians over fresh processes, after one that only fills the disk's cache."""
    runs = [once(words)[0] for _ in range(repeats + 1)][1:]
    return Spent(
        statistics.median(run.processor for run in runs),
        statistics.median(run.wall for run in runs),
    )


def checkpoint(folder: Path) -> Path:
    """A training checkpoint of about a hundred megabytes."""
    import timm
    import torch

    network = timm.create_model(ARCHITECTURE, num_classes=1000)
    path = folder / f"{ARCHITECTURE}.pt"
    torch.save({"arch": ARCHITECTURE, "state_dict": network.state_dict()}, path)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    audit = [sys.executable, "-m", "audit"]
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint(Path(folder))
        size = path.stat().st_size / 2**20
        print(f"{'':38}processor       wall       goal")
        shown = median([*audit, "--help"], repeats)
        line("audit --help", shown, HELP_GOAL)
        torch = median([sys.executable, "-c", "import torch"], repeats)
        line("import torch", torch)
        looked = median([*audit, "inspect", str(path)], repeats)
        line(f"audit inspect, {size:.0f} MB", looked)
        beyond = Spent(looked.processor - torch.processor, looked.wall - torch.wall)
        line("audit inspect, less import torch", beyond, INSPECT_GOAL)
        print("\nWhere its processor seconds go:", flush=True)
        for name, seconds in profile(path, repeats).items():
            indent = "  " if name in STEPS else ""
            print(f"{indent + name:60}{seconds:7.2f} s")
    return 0 if shown.wall <= HELP_GOAL and beyond.wall <= INSPECT_GOAL else 1


def line(name: str, spent: Spent, goal: float | None = None) -> None:
    """Print one row."""
    asked = "" if goal is None else f"{goal:9.1f} s"
    print(f"{name:38}{spent.processor:7.2f} s {spent.wall:8.2f} s {asked}", flush=True)


def profile(path: Path, repeats: int) -> dict[str, float]:
    """Median processor seconds by part of an inspection, in the order in which they end."""
    words = [sys.executable, "-c", PROFILE, str(path), json.dumps(STEPS)]
    runs = [json.loads(once(words)[1]) for _ in range(repeats)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


if __name__ == "__main__":
    sys.exit(main())
