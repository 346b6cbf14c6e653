"""Transfer at a small size: the speed of stored features, and what layers are worth elsewhere.

    AUDIT_DATA=cifar10 python benchmarks/transfer.py    # speed, then animals and random halves
    AUDIT_DATA=cifar10 python benchmarks/transfer.py --speed-only
    AUDIT_DATA=cifar10 python benchmarks/transfer.py --plan       # fits x seconds; trains nothing

AUDIT_DATA names an image folder; without it the embedded images are taken, which have no animals,
so that only random halves are tried. The study is the product's own: the jobs and the check of
`--transfer-classes`, with a small network. Speed is compared in one run: at the same cuts, with the
same seeds and rates, frozen cuts learn from stored features, from decoded pixels in memory, from
images that are decoded in every epoch and, as one would write it with timm, from its data set and
transforms, which see the same images but draw other mirrors (in all three the frozen layers run
without gradients in every step). Time is processor time, so that other processes of the machine
count little. Storing pays the more, the more often an image is seen and the deeper the cut is: a
whole pass of both views comes first, and layers behind the cut cost the same in all three. The last
column says what storing would gain if that first pass were free, as it nearly is after many epochs.

Yosinski et al. (2014), arXiv:1411.1792: between alike halves the last layers lose 8 %, between
natural and man-made classes 25 %. `--random` halves have as many classes in A and B as the animals.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timm.data import create_dataset, create_transform
from torch.utils.data import default_collate

from audit import checks
from audit.baselines.images import Images, statistics
from audit.checks.transfer import split as split_transfer
from audit.checks.transfer.retrain import (
    RATE,
    Curve,
    Start,
    TrainingRun,
    errors_on,
    learn,
    prefix_features,
    train_once,
)
from audit.core.progress import Progress, duration
from audit.data import decode
from audit.data.dataset import Dataset, Split
from audit.data.embedded import load_embedded
from audit.data.load import load_dataset
from audit.data.splits import subset
from audit.evidence.context import JobContext
from audit.evidence.examine import Experiment, examine, set_up
from audit.evidence.profile import Profile, profile
from audit.jobs.execute import execute
from audit.jobs.job import Job, merged
from audit.jobs.store import Store
from audit.model.spec import ModelSpec, Preprocessing
from audit.pipeline.case import make_case
from audit.pipeline.plan import plan
from audit.pipeline.speed import measure_speed
from audit.record import Measurement
from audit.reports.text import interval, number
from audit.stats.effects import Table, difference, seed_noise

ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
ARCHITECTURE = "resnet10t"
SMALL = {"channels": [16, 32, 64, 128], "stem_width": 16}
RATES = (3.0, 1.0)  # shares of the recipe's that are tried; a narrow head needs the larger
QUIET = Progress(quiet=True)
WAYS = ("decoded every epoch", "pixels in memory", "stored features")
TIMM = "timm's transforms, every epoch"  # needs files


@dataclass(frozen=True)
class Files:
    """Images that are decoded whenever a batch asks for them.

    Attributes:
        split: Where they are.
        like: The same images, decoded: gives labels and normalisation.
    """

    split: Split
    like: Images

    @property
    def labels(self) -> torch.Tensor:
        """(N,)."""
        return self.like.labels

    def __len__(self) -> int:
        return len(self.like)

    def batch(self, index: torch.Tensor, augment: str, generator: torch.Generator) -> torch.Tensor:
        """As `Images.batch`."""
        part = self.split.select(index.numpy())
        channels, side = self.like.pixels.shape[1:3]
        pixels = torch.from_numpy(decode(part, side, channels))
        batch = replace(self.like, pixels=pixels, labels=self.labels[index])
        return batch.batch(torch.arange(len(index)), augment, generator)

    def normalised(self, index: torch.Tensor) -> torch.Tensor:
        """As `Images.normalised`; decoded already, for no step looks at it."""
        return self.like.normalised(index)

    def subset(self, index: torch.Tensor) -> "Files":
        """The images at `index`."""
        return Files(self.split.select(index.numpy()), self.like.subset(index))


@dataclass(frozen=True)
class TimmFiles:
    """The same files as timm's loaders give them to its training script, in this process.

    Attributes:
        samples: timm's data set: item i is an image, transformed, and its label.
        index: (N,) which items these are.
        labels: (N,).
    """

    samples: Any
    index: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, index: torch.Tensor, augment: str, generator: torch.Generator) -> torch.Tensor:
        """A batch, collated as torch's `DataLoader` does."""
        found = [self.samples[i] for i in self.index[index].tolist()]
        x, y = default_collate(found)
        assert torch.equal(y, self.labels[index]), "timm names the classes in another order"
        return x.contiguous(memory_format=torch.channels_last)

    def normalised(self, index: torch.Tensor) -> torch.Tensor:
        """Only looked at for values that are not finite."""
        return self.batch(index, "none", torch.Generator())


def timm_files(split: Split, chosen: NDArray[np.int64], view: Preprocessing) -> TimmFiles | None:
    """What timm's training script would read for this preprocessing; None if these are no files."""
    files = getattr(split.source, "files", None)
    if files is None:
        return None
    root, mode = Path(files[0]).parents[1], "L" if view.in_chans == 1 else "RGB"
    samples: Any = create_dataset("", root=str(root), is_training=True, input_img_mode=mode)
    samples.transform = create_transform(
        (view.in_chans, view.img_size, view.img_size),
        is_training=True,
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
        hflip=0.5,
        color_jitter=None,
        interpolation=view.interpolation,
        mean=view.mean,
        std=view.std,
    )
    place = {samples.filename(i, absolute=True): i for i in range(len(samples))}
    index = torch.tensor([place[files[i]] for i in chosen])
    return TimmFiles(samples, index, torch.from_numpy(split.labels[chosen]))


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes:
        images: Training images that the study draws on, of all classes.
        seen: Budget of each network.
        speed_seen: Likewise, where ways to learn are compared in speed.
        seeds: Of each network.
        cuts: Cut points, the head-only cut included.
        threads: Of torch.
    """

    images: int
    seen: int
    speed_seen: int
    seeds: int
    cuts: int
    threads: int


def main() -> None:
    """Parse the arguments and print the tables."""
    args = arguments()
    torch.set_num_threads(args.threads)
    seen = (args.seen, args.speed_seen)
    sizes = Sizes(args.images, *seen, args.seeds, args.cuts, args.threads)
    folder = os.environ.get("AUDIT_DATA")
    dataset = load_dataset(Path(folder)) if folder else load_embedded()
    subject, wanted = small_network(dataset), profile_of(sizes, dataset)
    halves = splits(dataset, args.split, args.random, args.seed)
    setups = {}
    for name, a in halves.items():
        examined = examine(subject, Experiment(dataset, args.seed, transfer_classes=a))
        setups[name] = set_up(examined, wanted), examined.cuts
    said(dataset, sizes, wanted)
    jobs = {name: jobs_of(setup) for name, (setup, _) in setups.items()}
    store = Store(args.cache)
    pace = measure_speed(next(iter(setups.values()))[0], subject)
    for name, (setup, _) in setups.items():
        made = plan(setup, jobs[name], lambda job: store.has(job.kind, job.key), pace)
        fits = sum(row.jobs for row in made.rows if row.kind.startswith("split"))
        print(f"plan of {name}: {fits} fits, about {duration(made.seconds)}")
    if args.plan:
        return
    if not args.study_only:
        speed(dataset, subject, wanted, sizes, args.seed)
    if not args.speed_only:
        found = {}
        for name, (setup, cuts) in setups.items():
            context = JobContext(dataset, subject, setup, cuts, all_cuts=cuts)
            found[name] = study(name, setup, context, jobs[name], store)
        compare(found)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", choices=("animals", "none"), default="animals")
    parser.add_argument("--random", type=int, default=1, help="random halves to try [1]")
    parser.add_argument("--images", type=int, default=10_000, help="training images [10,000]")
    parser.add_argument("--seen", type=int, default=20_000, help="budget of a network [20,000]")
    parser.add_argument("--speed-seen", type=int, default=60_000, help="for the speeds [60,000]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cuts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="keep results, to go on after a stop")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--study-only", action="store_true")
    return parser.parse_args()


def small_network(dataset: Dataset) -> Any:
    """A subject of the small architecture; its own weights matter to none of this."""
    assert dataset.train is not None
    channels = 1 if dataset.grey else 3
    sample = dataset.train.select(
        np.arange(0, len(dataset.train), max(1, len(dataset.train) // 500))
    )
    side = sample.open_image(0).size[0]
    mean, std = statistics(torch.from_numpy(decode(sample, side, channels)))
    view = Preprocessing(
        side, channels, tuple(mean.tolist()), tuple(std.tolist()), "bilinear", crop_pct=1.0
    )
    spec = ModelSpec(ARCHITECTURE, SMALL, len(dataset.classes), channels, side)
    return SimpleNamespace(
        name="small",
        spec=spec,
        preprocessing=view,
        model=spec.build(0),
        class_names=None,
        weights_digest="fresh",
    )


def profile_of(sizes: Sizes, dataset: Dataset) -> Profile:
    """The quick profile with these sizes; each half has at most two fifths of the images.

    So the smaller side of six to four classes decides, whichever classes it has.
    """
    changed = profile(
        "quick",
        transfer_images=sizes.images * 2 // 5,
        transfer_seen=sizes.seen,
        transfer_seeds=sizes.seeds,
        cuts=sizes.cuts,
    )
    return changed.model_copy(update={"transfer_rates": RATES})


def splits(dataset: Dataset, split: str, random: int, seed: int) -> dict[str, tuple[str, ...]]:
    """The classes of A by the name of the split."""
    known = set(ANIMALS) <= set(dataset.classes)
    found: dict[str, tuple[str, ...]] = {"animals": ANIMALS} if split == "animals" and known else {}
    many = round(0.6 * len(dataset.classes))
    wanted, i = len(found) + random, 0
    while len(found) < wanted:
        order = np.random.default_rng([seed, i]).permutation(len(dataset.classes))[:many]
        half = tuple(dataset.classes[k] for k in sorted(order))
        if half not in found.values():  # a draw may be the animals
            found[f"random {i}"] = half
        i += 1
    return found


def jobs_of(setup: Any) -> list[Job]:
    """What the check asks for."""
    return merged(split_transfer.needs(setup))


def said(dataset: Dataset, sizes: Sizes, wanted: Profile) -> None:
    """What is run."""
    print(
        f"{dataset.source}; {ARCHITECTURE} with channels {SMALL['channels']}; "
        f"{wanted.transfer_images:,} training images a half of {sizes.images:,}, "
        f"{sizes.seen:,} seen by each network, {sizes.cuts} cuts, {sizes.seeds} seeds, AdamW at "
        f"0.006 or 0.002, {sizes.threads} threads"
    )


def speed(dataset: Dataset, subject: Any, wanted: Profile, sizes: Sizes, seed: int) -> None:
    """Frozen cuts learned in three ways, behind a base of all classes."""
    examined = examine(subject, Experiment(dataset, seed))
    setup, cuts = set_up(examined, wanted), examined.cuts
    context = JobContext(dataset, subject, setup, cuts, all_cuts=cuts)
    assert dataset.train is not None
    chosen = subset(dataset.train.labels, sizes.images, seed)
    images = context.subject_images("train", chosen)
    curve = Curve(subject.spec, images, sizes.speed_seen, wanted.transfer_rates)
    donor = learn(curve, Start(), seed + 1, ignore).network
    files = replace(curve, images=Files(dataset.train.select(chosen), images))  # type: ignore[arg-type]
    tests = [*context.evaluation_parts()]
    print(
        f"\nFrozen cuts on {len(images):,} images of all classes, {sizes.speed_seen:,} seen, "
        f"{sizes.seeds} seeds, {len(dataset.eval):,} evaluation images. Processor seconds with one "
        "rate tried, and accuracy with its 95 % interval:\n\n| cut | depth | way | seconds | "
        "stored is faster by | accuracy | this minus stored | if storing were free |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    theirs = timm_files(dataset.train, chosen, subject.preprocessing)
    names = WAYS if theirs is None else (TIMM, *WAYS)
    timms = [] if theirs is None else [(replace(curve, images=theirs), False)]  # type: ignore[arg-type]
    ways = [*timms, (files, False), (curve, False), (curve, True)]
    total, storing = np.zeros(len(ways)), 0.0
    seeds = [seed + 2 + s for s in range(sizes.seeds)]
    for cut in setup.cuts:
        done = []
        for shared, cached in ways:
            start = Start(donor, cuts[cut.name], frozen=True, cached=cached)
            done.append(timed(shared, start, tests, seeds))
        total += [way.seconds for way in done]
        storing += done[-1].storing
        print_speed(cut.name, cut.depth, names, done)
    for way, spent in zip(names, total, strict=True):
        free = spent / (total[-1] - storing)
        print(f"| all | | {way} | {spent:.1f} | {spent / total[-1]:.2f} | | | {free:.2f} |")


@dataclass(frozen=True)
class Timed:
    """One way to learn at one cut, over all seeds.

    Attributes:
        seconds: Of processor time.
        storing: Of these, before the first step: the pass that stores features.
        errors: (S, n) on the evaluation images.
    """

    seconds: float
    storing: float
    errors: Table


def timed(curve: Curve, start: Start, tests: Sequence[Images], seeds: Sequence[int]) -> Timed:
    """One training at one cut for each seed."""
    seconds, storing, errors = 0.0, 0.0, []
    for seed in seeds:
        began = time.process_time()
        features = None
        if start.cached and start.donor is not None and start.cut is not None:
            features = prefix_features(start.donor, start.cut, curve.images)
            storing += time.process_time() - began
        once = TrainingRun(RATE, curve.budget, seed)
        network = train_once(curve, start, features, None, run=once, tick=ignore)
        seconds += time.process_time() - began
        errors.append(errors_on(network, tests))
    return Timed(seconds, storing, np.stack(errors))


def print_speed(name: str, depth: float, ways: Sequence[str], done: Sequence[Timed]) -> None:
    """The rows of one cut; intervals over images and seeds."""
    last = done[-1]
    spent, stored = last.seconds, last.errors
    for way, one in zip(ways, done, strict=True):
        seconds, errors = one.seconds, one.errors
        noise = seed_noise([errors], independent=True)
        lost = difference(errors, np.zeros_like(errors), None, noise)
        gap = difference(stored, errors, None, seed_noise([stored - errors], independent=True))
        print(
            f"| {name} | {depth:.2f} | {way} | {seconds:.1f} | {seconds / spent:.2f} | "
            f"{number(1 - lost.value, 'fraction')} "
            f"({interval(1 - lost.high, 1 - lost.low, 'fraction')}) | "
            f"{number(gap.value, 'points')} ({interval(gap.low, gap.high, 'points')}) | "
            f"{seconds / (spent - last.storing):.2f} |",
            flush=True,
        )


def study(name: str, setup: Any, context: JobContext, jobs: list[Job], store: Store) -> list[Any]:
    """The four curves of one split, as the check measures them."""
    began = time.monotonic()
    done = execute(jobs, context, store, QUIET, checks.kinds())
    found = split_transfer.measure(make_case(setup, done))
    told = split_transfer.section(found, ())
    print(f"\n{name}: {told.summary}\n\n| network | depth | value | 95 % interval | note |")
    print("|---|---|---|---|---|")
    for m in found:
        depth = "" if m.at is None else f"{m.at:.2f}"
        print(
            f"| {m.quantity} {m.of} | {depth} | {number(m.value, m.unit)} | "
            f"{interval(m.low, m.high, m.unit)} | {m.note} |"
        )
    fits = sum(job.key in done.seconds for job in jobs)
    print(f"\n{fits} fits in {duration(time.monotonic() - began)}", flush=True)
    return found


def compare(found: dict[str, list[Measurement]]) -> None:
    """Specialisation at the last cut of all: unlike halves should lose more than random ones."""
    print("\n| split | specialisation at the last cut | 95 % interval |\n|---|---|---|")
    for name, measured in found.items():
        own = [m for m in measured if m.quantity == "specialisation"]
        if own:
            m = own[-1]
            print(f"| {name} | {number(m.value, m.unit)} | {interval(m.low, m.high, m.unit)} |")
        else:
            print(f"| {name} | not measured: {measured[0].note} | |")


def ignore(_: float) -> None:
    """Nobody watches."""


if __name__ == "__main__":
    main()
