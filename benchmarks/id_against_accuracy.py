"""Does a lower last-layer dimension go with a better accuracy? Small networks and the nulls.

    python benchmarks/id_against_accuracy.py -o FOLDER           # about ten minutes on two cores
    python benchmarks/id_against_accuracy.py -o FOLDER --share 0.05 --null-images 1000

Trains networks of several families and budgets on the embedded images, audits each in the quick
profile without what is not asked here (the nulls are trained once), and prints the table and the
rank correlations that `audit compare` makes of the runs. FOLDER keeps the checkpoints and the runs,
so that `audit compare FOLDER/runs/*` draws the scatter.

Not a random sample of models: budgets and families were chosen to spread the accuracies, so a
correlation may say no more than "trained longer". The intervals are those of `audit.comparison`.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch

from audit.baselines.images import Images, statistics
from audit.baselines.train import Recipe, accuracy, train
from audit.comparison import scatter
from audit.core.progress import Progress
from audit.data import decode
from audit.data.embedded import write_embedded_folder
from audit.data.load import load_dataset
from audit.inputs.call import Call
from audit.inputs.settings import Settings
from audit.pipeline.session import audit_files
from audit.runs.finished import load_run

SIDE = 28
RESNET = {"channels": [32, 64, 128, 256], "stem_width": 16}
VIT = {"patch_size": 4, "img_size": SIDE, "depth": 4, "embed_dim": 96, "num_heads": 3}
LEFT_OUT = {"cuts": 0, "id_images": 0, "probe_cuts": 0}  # not asked here


@dataclass(frozen=True)
class Network:
    """One network and its budget.

    Attributes:
        name: For people, and of its run.
        architecture: timm's.
        kwargs: Of the architecture.
        seen: Training images, repetitions counted.
        rate: Peak rate of AdamW.
    """

    name: str
    architecture: str
    kwargs: dict[str, Any]
    seen: int
    rate: float = 2e-3


NETWORKS = (
    Network("resnet10t, 3,000 seen", "resnet10t", RESNET, 3_000),
    Network("resnet10t, 6,000 seen", "resnet10t", RESNET, 6_000),
    Network("resnet10t, 12,000 seen", "resnet10t", RESNET, 12_000),
    Network("resnet10t, 36,000 seen", "resnet10t", RESNET, 36_000),
    Network("resnet14t, 12,000 seen", "resnet14t", RESNET, 12_000),
    Network("resnet14t, 36,000 seen", "resnet14t", RESNET, 36_000),
    Network("vit, 24,000 seen", "vit_tiny_patch16_224", VIT, 24_000, 1e-3),
    Network("mobilenetv3, 24,000 seen", "mobilenetv3_small_050", {}, 24_000),
    Network("regnetx, 24,000 seen", "regnetx_002", {}, 24_000),
)


def checkpoint(network: Network, images: Images, classes: int, share: float, path: Path) -> float:
    """Train, save as timm's script does, and return the accuracy on the training images."""
    torch.manual_seed(0)
    model = timm.create_model(
        network.architecture, in_chans=1, num_classes=classes, **network.kwargs
    )
    seen = max(256, round(share * network.seen))
    recipe = Recipe(seen, rate=network.rate, augment="mirror", optimizer="adamw")
    train(model, images, recipe, seed=0)
    args = argparse.Namespace(
        model=network.architecture,
        model_kwargs=network.kwargs,
        num_classes=classes,
        in_chans=1,
        img_size=SIDE,
        mean=images.mean.tolist(),
        std=images.std.tolist(),
        crop_pct=1.0,
        interpolation="bicubic",
        pretrained=False,
    )
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    torch.save({"arch": network.architecture, "state_dict": state, "args": args}, path)
    return accuracy(model, images)


def main() -> None:
    """Train, audit, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, help="folder; goes on where it stopped"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the networks' budgets")
    parser.add_argument("--null-images", type=int, default=20_000, help="budget of a null")
    parser.add_argument("--networks", type=int, default=len(NETWORKS), help="only the first ones")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    start, root = time.perf_counter(), args.output
    (root / "runs").mkdir(parents=True, exist_ok=True)
    if not (root / "data").exists():
        write_embedded_folder(root / "data")
    dataset = load_dataset(root / "data")
    assert dataset.train is not None
    pixels = torch.from_numpy(decode(dataset.train, SIDE, 1))
    images = Images(pixels, torch.from_numpy(dataset.train.labels), *statistics(pixels))
    settings = Settings(
        data=root / "data",
        profile="quick",
        changes=LEFT_OUT | {"images_seen": args.null_images},
        evaluation_chose_subject="no",
        pretrained_on="none",
    )
    for network in NETWORKS[: args.networks]:
        began = time.perf_counter()
        name = network.name.replace(", ", "-").replace(",", "").replace(" seen", "")
        path = root / f"{name}.pt"
        if (root / "runs" / name).exists():
            continue
        fitted = checkpoint(network, images, len(dataset.classes), args.share, path)
        own = Call(out=root / "runs" / name, threads=args.threads, cache=root / "cache")
        audit_files(path, settings, own, command=f"audit {path}", progress=Progress(quiet=True))
        print(f"{name}: {fitted:.1%} of the training images, {time.perf_counter() - began:.0f} s")
    show(root / "runs", time.perf_counter() - start)


def show(folder: Path, seconds: float) -> None:
    """Print the section of `audit compare` as Markdown."""
    runs = [load_run(path) for path in sorted(folder.iterdir())]
    found, left_out = scatter.points(runs, [run.path.name for run in runs])
    rhos = scatter.correlations(found)
    section = scatter.section(sorted(found, key=lambda p: p.accuracy.value), rhos, left_out)
    print(f"\n| {' | '.join(section.rows[0])} |\n|{'---|' * len(section.rows[0])}")
    for row in section.rows:
        print(f"| {' | '.join(str(cell) for cell in row.values())} |")
    print("\n| over | Spearman's rho | 95 % interval | models |\n|---|---|---|---|")
    for rho in rhos:
        value = f"{rho.value:.2f} | {rho.low:.2f} to {rho.high:.2f}"
        print(
            f"| {rho.over} | {value if rho.value == rho.value else f'– | {rho.note}'} | {rho.n} |"
        )
    print(f"\n{section.summary}\n")
    print("\n".join(f"- {caveat}" for caveat in section.caveats))
    print(f"\n{seconds:.0f} s, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
