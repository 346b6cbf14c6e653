"""How much sooner do several processes train the networks of an audit than several threads?

    python benchmarks/side_by_side.py --images-seen 10000      # minutes, as many cores as are free
    python benchmarks/side_by_side.py --models a.pt b.pt --data DIR     # their transfer curves

The nulls of a profile are fitted on the embedded images three times in one run: by one thread, by
all threads of one process, and by one process a thread. With `--models`, the networks of each
model's own transfer curve are trained so, on the images of DIR. The results of the first and the
last are compared bit by bit. Processor time counts children, too.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from audit import checks
from audit.checks.transfer.own import MODES, networks
from audit.core.progress import Progress
from audit.core.threads import free_cores
from audit.data.embedded import load_embedded
from audit.data.load import load_dataset
from audit.evidence.context import JobContext
from audit.evidence.decide import set_up_nulls, training
from audit.evidence.examine import Experiment, examine, set_up
from audit.evidence.profile import profile
from audit.evidence.setup import NullInput
from audit.evidence.shared_jobs import train_facts
from audit.inputs.fitted_nulls import null_jobs
from audit.jobs.execute import execute
from audit.jobs.job import Job, merged
from audit.jobs.kind import kinds_in
from audit.jobs.store import Outcome, Store
from audit.model.checkpoint import load_subject

QUIET = Progress(quiet=True)


def equal(a: Mapping[str, Outcome], b: Mapping[str, Outcome], keys: list[str]) -> bool:
    """Whether the arrays of all these outcomes are the same bit by bit."""
    pairs = [(a[key].arrays, b[key].arrays) for key in keys]
    return all(np.array_equal(x[name], y[name]) for x, y in pairs for name in x)


def processor() -> float:
    """Seconds of processor time of this process and its children that ended."""
    spent = os.times()
    return sum(spent[:4])


def compare(
    context: JobContext, jobs: list[Job], given: Mapping[str, Outcome], threads: int
) -> None:
    """One table; what the jobs read should be decoded already, for it is not compared."""
    kinds = checks.kinds()
    apart = kinds_in(kinds, "baseline") | kinds_in(kinds, "retraining")
    trained = [job.key for job in jobs if job.kind in apart]
    print("| processes | threads each | seconds | processor seconds | faster by |")
    print("|---|---|---|---|---|")
    found, first = [], 0.0
    for size, each in ((1, 1), (1, threads), (threads, 1)):
        torch.set_num_threads(each)
        began, spent = time.perf_counter(), processor()
        done = execute(jobs, context, Store(None), QUIET, checks.kinds(), given, size)
        seconds, spent = time.perf_counter() - began, processor() - spent
        assert not done.failures, done.failures
        found.append(done.outcomes)
        first = first or seconds
        row = f"{seconds:.0f} | {spent:.0f} | {first / seconds:.2f}"
        print(f"| {size} | {each} | {row} |", flush=True)
    same = "the same" if equal(found[0], found[-1], trained) else "NOT the same"
    print(f"\nThe first and the last row gave {same} networks bit by bit.\n")


def compare_nulls(name: str, seen: int, threads: int) -> None:
    """The nulls of a profile on the embedded images."""
    dataset = load_embedded()
    setup = set_up_nulls(
        training(dataset, NullInput(size=28)),
        profile(name, images_seen=seen, doublings=0),
        0,
        dataset,
    )
    jobs, context = null_jobs(setup), JobContext(dataset, None, setup)
    context.pixels("train")
    number = sum(job.kind in kinds_in(checks.kinds(), "baseline") for job in jobs)
    print(f"{number} jobs of nulls, {seen:,} images seen by a fit\n")
    compare(context, jobs, {}, threads)


def compare_copies(model: Path, data: Path, name: str, seen: int, threads: int) -> None:
    """The networks of a model's own transfer curve."""
    dataset, subject = load_dataset(data), load_subject(model)
    wanted = profile(name, transfer_seen=seen, transfer_images=min(seen, 2000))
    examined = examine(subject, Experiment(dataset))
    setup, cuts = set_up(examined, wanted), examined.cuts
    context = JobContext(dataset, subject, setup, cuts, all_cuts=cuts)
    jobs = [job for cut in setup.cuts for kind in MODES for job in networks(setup, cut, kind)]
    context.keep_evaluation()
    before = execute([train_facts(setup)], context, Store(None), QUIET, checks.kinds()).outcomes
    print(
        f"{setup.architecture}: {len(jobs)} networks of its transfer curve, {seen:,} images seen\n"
    )
    compare(context, merged(tuple(jobs)), before, threads)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images-seen", type=int, default=10_000, help="budget of a network")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--threads", type=int, default=free_cores())
    parser.add_argument("--models", type=Path, nargs="*", help="checkpoints of timm's script")
    parser.add_argument("--data", type=Path, help="image folder for these")
    options = parser.parse_args()
    for model in options.models or ():
        compare_copies(model, options.data, options.profile, options.images_seen, options.threads)
    if not options.models:
        compare_nulls(options.profile, options.images_seen, options.threads)


if __name__ == "__main__":
    main()
