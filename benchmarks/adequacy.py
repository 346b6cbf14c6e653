"""How far the default budget of a null is from its end, and what its doublings reach.

    AUDIT_DATA=cifar10 python benchmarks/adequacy.py bagnet-9 --seeds 1 --doublings 2 --threads 1

AUDIT_DATA names an image folder. Each null's recipe is chosen and rehearsed as the default profile
does it, on held-out training images, in bfloat16 where an audit would be (`--amp`, `--no-amp`);
`--seeds` and `--doublings` shrink that. With `--cache` what was stopped goes on.
"""

import argparse
import os
import time
from pathlib import Path

from audit import checks
from audit.core.progress import Progress
from audit.core.threads import set_threads
from audit.data.load import load_dataset
from audit.evidence.context import JobContext
from audit.evidence.decide import set_up_nulls, training
from audit.evidence.outcomes import ChosenNetwork
from audit.evidence.profile import profile
from audit.evidence.rehearsals import WHILE_TRAINING
from audit.evidence.setup import NullInput
from audit.evidence.shared_jobs import choose
from audit.inputs.device import has_amx
from audit.inputs.settings import precision
from audit.jobs.execute import execute
from audit.jobs.job import merged
from audit.jobs.store import Store
from audit.stats.adequacy import adequacy

HEAD = "| null | images seen | held-out accuracy | allowance U, points | recipe |"
ASSUMED = 0.01**2  # variance over seeds, where there is one


def main() -> None:
    """Choose, and print the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nulls", nargs="+", help="such as bagnet-9")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--doublings", type=int, default=3)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=has_amx())
    options = parser.parse_args()
    set_threads(options.threads)
    dataset = load_dataset(Path(os.environ["AUDIT_DATA"]))
    known = profile("default", seeds=options.seeds, doublings=options.doublings)
    known = known.model_copy(update={"precision": precision(options.amp)})
    print(f"nulls learn in {known.precision}\n")
    setup = set_up_nulls(training(dataset, NullInput(size=options.side)), known, 0, dataset)
    print(HEAD + "\n|" + "---|" * (HEAD.count("|") - 1), flush=True)
    for name in options.nulls:
        null = next(null for null in setup.nulls if null.name == name)
        job, started = choose(setup, null), time.process_time()
        context = JobContext(dataset, None, setup)
        done = execute(
            merged((job,)), context, Store(options.cache), Progress(quiet=False), checks.kinds()
        )
        if job.key not in done.outcomes:
            raise SystemExit(done.failures[job.key])
        found = done.outcomes[job.key].read(ChosenNetwork)
        curve = found.curve
        n = len(done.outcomes[job.key].arrays["heldout"])
        spread = WHILE_TRAINING if options.seeds > 1 else ASSUMED
        quarter, half, whole = (point.accuracy for point in curve[-3:])
        discordance = found.discordance
        own = adequacy(quarter, half, whole, discordance, n, spread, options.seeds)
        for point in curve:
            last = point is curve[-1]
            cells = (
                *(null.title, f"{point.images_seen:,}", f"{100 * point.accuracy:.1f} %"),
                f"{100 * own.allowance:.1f} (n = {n:,})" if last else "",
                f"rate {found.recipe.rate:g}, {found.recipe.augment}, crops of {found.recipe.crop}"
                if last
                else "",
            )
            print(f"| {' | '.join(cells)} |", flush=True)
        spent = time.process_time() - started
        print(f"\n{null.title}: {found.status}, {spent:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
