"""Images per second of every null and of a subject, against timm's own training step.

    python benchmarks/throughput.py                    # this machine's processor
    python benchmarks/throughput.py --device cuda      # the paper's BagNets at 224 pixels
    python benchmarks/throughput.py --audit RUN        # what a finished audit reached, and when

Both sides train the same network on the same images in the same run. Ours keeps decoded images in
memory and augments in batches; timm's is its `create_loader` over the same image files (fast
collate, transforms per image in one worker, as its training script sets it up) with its loop body.
Figures are medians over repeats; only the ratio in one run means something on a shared machine.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audit.baselines.bagnet import BagNet
from audit.baselines.images import Images
from audit.baselines.images import statistics as channel_statistics
from audit.baselines.patch_net import Kind, PatchNet
from audit.baselines.train import Recipe, train

BATCH = 64
STEPS = 20


def random_images(n: int, side: int, channels: int = 3) -> Images:
    """Noise with labels: (n, channels, side, side) uint8."""
    pixels = torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8)
    return Images(pixels, torch.arange(n) % 10, *channel_statistics(pixels))


def seconds(run: Callable[[], object], repeats: int = 3) -> float:
    """Median time of a call, after one that does not count."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def ours(network: nn.Module, data: Images, augment: str) -> float:
    """Training images per second of our loop."""
    recipe = Recipe(images_seen=BATCH * STEPS, rate=0.01, augment=augment, batch=BATCH)
    return recipe.images_seen / seconds(lambda: train(network, data, recipe, seed=0))


def forward(network: nn.Module, data: Images) -> float:
    """Evaluation images per second."""
    index = torch.arange(BATCH)
    network.eval()

    def run() -> None:
        with torch.inference_mode():
            for _ in range(STEPS):
                network(data.normalised(index))

    return BATCH * STEPS / seconds(run)


def timm_loop(network: nn.Module, folder: Path, side: int, *, training: bool) -> float:
    """Images per second of timm's loader, transforms and step on the same files.

    Without training: the loader and the loop of its validation script.
    """
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    dataset = create_dataset("", root=str(folder), is_training=training)
    loader = create_loader(
        dataset,
        input_size=(3, side, side),
        batch_size=BATCH,
        is_training=training,
        use_prefetcher=False,
        num_workers=1,
        scale=(0.7, 1.0) if training else None,
        device=torch.device("cpu"),
        persistent_workers=True,
    )
    optimizer = create_optimizer_v2(network, "sgd", lr=0.01, weight_decay=5e-4, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()
    network.train(training)

    def validation() -> None:
        with torch.inference_mode():
            for x, _ in loader:
                network(x)

    def epoch() -> None:
        for x, y in loader:
            loss = loss_of(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return BATCH * STEPS / seconds(epoch if training else validation)


def write_folder(root: Path, side: int) -> Path:
    """JPEG files of noise, one folder a class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(BATCH * STEPS):
        folder = root / f"{i % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.jpg")
    return root


NULLS: tuple[tuple[Kind, int], ...] = (
    *(("bagnet", 5), ("bagnet", 9), ("bagnet", 17)),
    *(("coordconv", 9), ("circular", 9), ("sighted", 9)),
)
SUBJECT = "resnet18"
NAMES = (*(f"{kind}-{q}" for kind, q in NULLS), SUBJECT)


def processor(side: int, width: int, blocks: int, names: Sequence[str]) -> None:
    """Every kind of null and a ResNet-18, side by side with timm's loop."""
    import timm

    print(
        f"{side} x {side} pixels, width {width}, {blocks} blocks, batch {BATCH}, "
        f"{torch.get_num_threads()} threads, float32\n"
    )
    print("| network | forward, images/s | timm's loop | ratio | training | timm's loop | ratio |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind, q in (pair for pair in NULLS if "{}-{}".format(*pair) in names):
            net = PatchNet(kind, q=q, num_classes=10, in_chans=3, width=width, blocks=blocks)
            row(f"{kind}-{q}", net, random_images(BATCH * STEPS, side), Path(folder), side)
        if SUBJECT in names:
            subject = timm.create_model(SUBJECT, num_classes=10)
            row(SUBJECT, subject, random_images(BATCH * STEPS, side), Path(folder), side)


def row(title: str, network: nn.Module, data: Images, folder: Path, side: int) -> None:
    """One line of the table."""
    files = folder / str(side)
    if not files.exists():
        write_folder(files, side)
    network = network.to(memory_format=torch.channels_last)
    ours_both = forward(network, data), ours(network, data, "mirror-crop")
    network = network.to(memory_format=torch.contiguous_format)
    timms = (timm_loop(network, files, side, training=training) for training in (False, True))
    cells = (
        f"{own:,.0f} | {theirs:,.0f} | {own / theirs:.2f}"
        for own, theirs in zip(ours_both, timms, strict=True)
    )
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


def card(side: int) -> None:
    """The paper's BagNets on a GPU: eager float32 against faster ways."""
    print(f"{torch.cuda.get_device_name()}, {side} x {side} pixels, training step\n")
    print("| network | way | batch | images/s | ratio to plain eager |")
    print("|---|---|---|---|---|")
    ways: dict[str, tuple[torch.dtype, bool, bool]] = {
        "eager float32": (torch.float32, False, False),
        "eager bfloat16, channels_last": (torch.bfloat16, True, False),
        "compiled bfloat16, channels_last": (torch.bfloat16, True, True),
    }
    for q in (9, 17, 33):
        plain = float("nan")
        for title, (dtype, last, compiled) in ways.items():
            batch, speed = largest_batch(q, side, dtype, last, compiled)
            plain = speed if title == "eager float32" else plain
            print(
                f"| BagNet-{q} | {title} | {batch} | {speed:,.0f} | {speed / plain:.2f} |",
                flush=True,
            )


def largest_batch(
    q: int, side: int, dtype: torch.dtype, last: bool, compiled: bool
) -> tuple[int, float]:
    """The largest batch (a power of two) that fits, and its training images per second."""
    batch = 512
    while batch >= 8:
        try:
            return batch, on_card(q, side, batch, dtype, last, compiled)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            batch //= 2
    return 0, float("nan")


def on_card(q: int, side: int, batch: int, dtype: torch.dtype, last: bool, compiled: bool) -> float:
    """Training images per second of one setting."""
    layout = torch.channels_last if last else torch.contiguous_format
    network = BagNet(q).cuda().to(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    call = torch.compile(network) if compiled else network
    x = torch.randn(batch, 3, side, side, device="cuda").contiguous(memory_format=layout)
    y = torch.randint(0, 1000, (batch,), device="cuda")

    def step() -> Tensor:
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            loss = nn.functional.cross_entropy(call(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    def steps() -> None:
        for _ in range(5):
            step()
        torch.cuda.synchronize()

    return 5 * batch / seconds(steps)


def stages(run: Path) -> None:
    """What each model reached in a finished audit, and how long each stage took."""
    from audit.record import GAIN, GAP, by_quantity, title_of
    from audit.reports.text import interval, number
    from audit.runs.report import load_report

    report = load_report(run)
    known = by_quantity(report.measurements, GAP)
    print("| model | accuracy | 95 % interval | allowance | gain over it |")
    print("|---|---|---|---|---|")
    for (quantity, name), m in known.items():
        if quantity == "accuracy":
            cells = [
                number(known[k].value, known[k].unit) if k in known else ""
                for k in (("allowance", name), (GAIN, name))
            ]
            span = interval(m.low, m.high, m.unit)
            print(
                f"| {title_of(name)} | {number(m.value, m.unit)} | {span} | {' | '.join(cells)} |"
            )
    print(f"\n{report.document.verdict}: {report.document.headline}")
    for label in ("time", "time by stage", "jobs"):
        print(f"{label}: {report.document.provenance[label]}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--side", type=int, help="32 on a processor, 224 on a card")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these rows")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--audit", type=Path, help="run folder of a finished audit")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.audit:
        stages(args.audit)
    elif args.device == "cuda":
        card(args.side or 224)
    else:
        processor(args.side or 32, args.width, args.blocks, args.only)


if __name__ == "__main__":
    main()
