"""How fast this machine is: seconds that a null, and the model, take to learn from one image.

A round does what the jobs do, with their training loop, batch, memory layout and optimiser. Small
batches would not do: a step of 16 images of a small network takes as long as one of 64.

What else the machine does is not taken for its speed. The fastest of several rounds counts, and of
a round the processor time where it is less than the time by the clock: with one thread that is the
time on an idle machine, with k threads at most k times that.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from audit.checks.transfer.jobs import STEP
from audit.core.progress import FIRST_GUESS
from audit.core.workers import worker_count
from audit.evidence.setup import Setup
from audit.evidence.shared_jobs import UNIT
from audit.reports.document import FrozenModel

if TYPE_CHECKING:
    import torch

    from audit.baselines.images import Images
    from audit.baselines.train import Recipe
    from audit.model.checkpoint import Subject

MOMENT = 1.0  # seconds of calibration for each
BATCHES = (16, 32, 64, 128)  # of the model; the last one is that of the jobs
LONG = 0.25  # share of the moment: no larger batch is tried where a round takes longer
SMALL_RATE = 1e-6  # the networks are thrown away, and must not diverge before


class Speed(FrozenModel):
    """Seconds a unit of cost.

    Attributes:
        null: Of a job that trains a local null.
        subject: Of a job that runs or trains the model.
        running: Of a job that runs a local null; None: as `null`.
        alone: Of one that trains the model on one thread, beside others; None: as `subject`.
        other: Of all other jobs.
    """

    null: float
    subject: float
    running: float | None = None
    alone: float | None = None
    other: float = FIRST_GUESS


def measure_speed(
    setup: Setup, subject: "Subject | None", device: "torch.device | None" = None
) -> Speed:
    """Time a few training steps of a null and of the model; takes a few seconds.

    Args:
        setup: Decides the null: its kind, size and side.
        subject: The model; None: only nulls.
        device: That the jobs run on; the processor by default.
    """
    import torch

    null = setup.null("bagnet")
    threads = 1 if worker_count(device) > 1 else torch.get_num_threads()
    own, found = FIRST_GUESS, dict.fromkeys({setup.profile.precision, "float32"}, FIRST_GUESS)
    if null is not None:
        for precision in found:
            step = partial(null_step, setup, MOMENT, device, precision)
            found[precision] = with_threads(threads, step)
    if subject is not None:
        own = subject_step(subject, MOMENT, device) / STEP
    return Speed(null=found[setup.profile.precision], running=found["float32"], subject=own)


def alone(subject: "Subject", device: "torch.device | None" = None) -> float:
    """Seconds a unit of a job that trains the model on one thread."""
    return with_threads(1, partial(subject_step, subject, MOMENT, device)) / STEP


def with_threads(wanted: int, work: Callable[[], float]) -> float:
    """What some work gives while torch has so many threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        return work()
    finally:
        torch.set_num_threads(threads)


def null_step(
    setup: Setup,
    moment: float,
    device: "torch.device | None" = None,
    precision: str = "float32",
) -> float:
    """Seconds that a null takes to learn from one image of 32 x 32 pixels, the unit of cost."""
    import torch

    from audit.baselines import window_side
    from audit.baselines.patch_net import PatchNet, width_and_depth
    from audit.baselines.train import Recipe
    from audit.evidence.fit_null import FULL_SIDE

    null = setup.null("bagnet")
    assert null is not None
    size = setup.null_size(null)
    if setup.learns_from_windows(null):
        size = (window_side(null.q or 0),) * 2
    width, blocks = width_and_depth(setup.n_train, min(*size, FULL_SIDE))
    data = noise(256, (setup.channels, *size), len(setup.classes))
    with torch.random.fork_rng(devices=[]):
        network = PatchNet(
            "bagnet",
            q=null.q or 0,
            num_classes=len(setup.classes),
            in_chans=setup.channels,
            width=width,
            blocks=blocks,
        ).to(device)
        recipe = Recipe(
            images_seen=len(data),
            rate=SMALL_RATE,
            optimizer="muon",
            precision=precision,
        )
        each = timed(lambda: images_learned(network, data, recipe), moment)
    return each * UNIT / math.prod(size)


def subject_step(subject: "Subject", moment: float, device: "torch.device | None" = None) -> float:
    """Seconds that a network like the model takes to learn from one image, in large batches.

    Where a round of a small batch is long already, the network is large, and a larger batch would
    not be faster.
    """
    import torch

    from audit.baselines.train import Recipe

    spec = subject.spec
    with torch.random.fork_rng(devices=[]):
        network, each = spec.build(0).to(device), 0.0
        for batch in BATCHES:
            data = noise(batch, spec.input_shape, spec.num_classes)
            recipe = Recipe(batch, SMALL_RATE, augment="mirror", batch=batch, optimizer="adamw")

            def work(data: "Images" = data, recipe: "Recipe" = recipe) -> int:
                return images_learned(network, data, recipe)

            last = batch == BATCHES[-1]
            each = timed(work, moment if last else 0.0)
            if not last and each * 2 * batch > LONG * moment:
                return each
    return each


def noise(n: int, shape: tuple[int, int, int], classes: int) -> "Images":
    """Images without any meaning."""
    import torch

    from audit.baselines.images import Images, statistics

    generator = torch.Generator().manual_seed(0)
    pixels: torch.Tensor = torch.randint(
        0, 256, (n, *shape), dtype=torch.uint8, generator=generator
    )
    return Images(pixels, torch.arange(n) % classes, *statistics(pixels))


def images_learned(network: "torch.nn.Module", data: "Images", recipe: "Recipe") -> int:
    """Train, and count the images of all steps: a small budget is rounded up to whole ones."""
    from audit.baselines.train import train

    seen: list[float] = []
    train(network, data, recipe, seed=0, progress=seen.append)
    return round(sum(seen))


def timed(work: Callable[[], int], moment: float) -> float:
    """Seconds per image of the fastest round, after one to warm up.

    Args:
        work: A round; returns the images in it.
        moment: Rounds begin until so many seconds are over; there is one at least.
    """
    work()
    rounds: list[float] = []
    began = time.monotonic()
    while not rounds or time.monotonic() - began < moment:
        clock, processor = time.monotonic(), time.process_time()
        images = work()
        spent = min(time.monotonic() - clock, time.process_time() - processor)
        rounds.append(spent / images)
    return min(rounds)
