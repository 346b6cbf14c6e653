"""How fast are images indexed, read, and searched for near duplicates, by one thread?

    AUDIT_DATA=cifar10 nice python benchmarks/data_speed.py > benchmarks/data.md

AUDIT_DATA names an image folder with train/ and test/. Its near duplicates are searched; then hard
links to its files, 10,000 and as many as --links says, are listed and read in child processes, and
both time and memory are extrapolated to a million files along the line through the two. Times are
processor time, which other processes of a shared machine disturb least, of the process and of those
that decode for it; memory is the peak of the whole child, interpreter and libraries included (those
that decode take about 60 MB each beside it).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded
    os.environ[variable] = "1"
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core: readers start one thread, too

import numpy as np  # noqa: E402

from audit.data import decoder_pool as apart  # noqa: E402
from audit.data.duplicates import Known, facts_of, known_with_thumbs  # noqa: E402
from audit.data.fingerprints import fingerprints, joined, keys  # noqa: E402
from audit.data.image_folder import scan_folder  # noqa: E402
from audit.data.load import load_dataset  # noqa: E402
from audit.data.near_duplicates import near_pairs  # noqa: E402

FEW, MILLION = 10_000, 1_000_000
CLASSES = 10
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Processor seconds of a call, and what it gave."""
    start = processor()
    result = work()
    return processor() - start, result


def processor() -> float:
    """Processor seconds of this process and of the decoders that it has started."""
    apart.POOL.close()  # what children used is known when they have ended
    return sum(os.times()[:4])


def near_duplicates(data: Path) -> list[tuple[str, float]]:
    """Processor seconds of each step of the search for near duplicates."""
    loading, dataset = timed(lambda: load_dataset(data))
    assert dataset.train is not None
    train = dataset.train
    printing, known = timed(
        lambda: (
            Known(train.labels, fingerprints(train, 3)),
            known_with_thumbs(dataset.eval, 3),
        )
    )
    together = joined([split.prints for split in known])
    _, first = np.unique(keys(together.digests), return_index=True)
    searching, (pairs, _) = timed(lambda: near_pairs(together.select(first)))
    stating, facts = timed(lambda: facts_of(known[0], known[1], len(dataset.classes)))
    n = len(together.hashes)
    return [
        (f"reading: {n:,} files opened, decoded, digested", loading),
        (f"fingerprints: {n:,} files decoded again, hashed, sketched", printing),
        (f"search by whole pictures: {len(pairs):,} pairs of near duplicates", searching),
        (f"the same, moved copies and the facts: {len(facts.near_leaks):,} near leaks", stating),
        ("near duplicates in all (fingerprints and facts)", printing + stating),
    ]


def link(data: Path, root: Path, links: int) -> None:
    """A split of hard links to the files of `data`, which are used again where they do not do."""
    files = [str(file) for file in sorted(data.rglob("*.*")) if file.is_file()]
    folders = [root / f"class-{k}" for k in range(CLASSES)]
    for folder in folders:
        folder.mkdir(parents=True)
    for i in range(links):
        os.link(files[i % len(files)], folders[i % CLASSES] / f"image-{i:08d}.jpg")


def index(what: str, root: Path) -> None:
    """List or read a split and print processor seconds and peak memory, as JSON."""
    base = peak()
    if what == "list":
        seconds, _ = timed(lambda: scan_folder(root, root))
    else:
        seconds, _ = timed(lambda: load_dataset(None, evaluation=root))
    print(json.dumps({"seconds": seconds, "base": base, "peak": peak()}))


def peak() -> float:
    """Largest resident memory of this process so far, in GB.

    Linux's VmHWM: getrusage would give a child the peak of the process that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


def child(what: str, root: Path) -> dict[str, float]:
    """`index` in a process of its own."""
    words = [sys.executable, __file__, "--index", what, "--root", str(root)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def at_a_million(few: float, many: float, links: int) -> float:
    """The line through two sizes, carried on."""
    return many + (many - few) / (links - FEW) * (MILLION - links)


def indexing(data: Path, links: int) -> list[tuple[str, ...]]:
    """Rows of the table: what, files, seconds, memory."""
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        link(data, few, FEW)
        link(data, many, links)
        for what, title in (("list", "listing"), ("read", "reading")):
            a, b = child(what, few), child(what, many)
            rows += [
                (title, f"{n:,}", f"{r['seconds']:.1f}", f"{r['peak']:.2f}", f"{r['base']:.2f}")
                for n, r in ((FEW, a), (links, b))
            ]
            seconds, memory = (at_a_million(a[k], b[k], links) for k in ("seconds", "peak"))
            rows.append(
                (title, f"{MILLION:,} (extrapolated)", f"{seconds:.0f}", f"{memory:.2f}", "")
            )
    return rows


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """In Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=100_000)
    parser.add_argument("--index", choices=["list", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.index:
        index(args.index, args.root)
        return
    data = Path(os.environ["AUDIT_DATA"])
    steps = [(step, f"{seconds:.1f}") for step, seconds in near_duplicates(data)]
    print("# Speed of looking at data\n")
    print(f"`AUDIT_DATA={data.name} nice python benchmarks/data_speed.py --links {args.links}`\n")
    print("Near duplicates, one thread:\n")
    print(table(("step", "processor seconds"), steps), flush=True)
    print("\nA folder of hard links to those files, one thread. Listing finds the files and their")
    print("classes; reading opens, decodes and digests every one, which an audit does once:\n")
    head = ("what", "files", "processor seconds", "peak memory, GB", "of it before the work, GB")
    print(table(head, indexing(data, args.links)))


if __name__ == "__main__":
    main()
