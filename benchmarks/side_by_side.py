"""How much sooner are the nulls of an audit fitted by several processes than by several threads?

    python benchmarks/side_by_side.py --images-seen 10000      # minutes, as many cores as are free

The nulls of a profile are fitted on the embedded images three times in one run: by one thread, by
all threads of one process, and by one process a thread. The results of the first and the last are
compared bit by bit. Processor time counts children, too.
"""

import argparse
import os
import time
from collections.abc import Mapping

import numpy as np
import torch

from audit.config import profile
from audit.data import load_embedded
from audit.jobs import execute
from audit.jobs.workshop import Workshop
from audit.nulls_folder import null_jobs
from audit.progress import Progress
from audit.setup import set_up_nulls, training
from audit.store import Outcome, Store
from audit.threads import free_cores
from audit.work import OF_NULLS


def equal(a: Mapping[str, Outcome], b: Mapping[str, Outcome], keys: list[str]) -> bool:
    """Whether the arrays of all these outcomes are the same bit by bit."""
    pairs = [(a[key].arrays, b[key].arrays) for key in keys]
    return all(np.array_equal(x[name], y[name]) for x, y in pairs for name in x)


def processor() -> float:
    """Seconds of processor time of this process and its children that ended."""
    spent = os.times()
    return sum(spent[:4])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images-seen", type=int, default=10_000, help="budget of a fit")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--threads", type=int, default=free_cores())
    options = parser.parse_args()
    dataset = load_embedded()
    wanted = profile(options.profile, images_seen=options.images_seen, doublings=0)
    setup = set_up_nulls(training(dataset, 28), wanted, 0, dataset)
    jobs = null_jobs(setup)
    trained = [job.key for job in jobs if job.kind in OF_NULLS]
    print(f"{len(trained)} jobs of nulls, {options.images_seen:,} images seen by a fit\n")
    print("| processes | threads each | seconds | processor seconds | faster by |")
    print("|---|---|---|---|---|")
    found, first = [], 0.0
    for size, threads in ((1, 1), (1, options.threads), (options.threads, 1)):
        torch.set_num_threads(threads)
        shop = Workshop(dataset, None, setup)
        shop.pixels("train", setup.side)  # decoding is not what is compared
        began, spent = time.perf_counter(), processor()
        done = execute(jobs, shop, Store(None), Progress(quiet=True), size=size)
        seconds, spent = time.perf_counter() - began, processor() - spent
        assert not done.failures, done.failures
        found.append(done.outcomes)
        first = first or seconds
        row = f"{seconds:.0f} | {spent:.0f} | {first / seconds:.2f}"
        print(f"| {size} | {threads} | {row} |", flush=True)
    same = "the same" if equal(found[0], found[-1], trained) else "NOT the same"
    print(f"\nThe first and the last row gave {same} networks bit by bit.")


if __name__ == "__main__":
    main()
