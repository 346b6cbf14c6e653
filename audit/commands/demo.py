"""`audit demo`: train a small timm network on the embedded images, and audit it like any other."""

import argparse
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.commands.options import QUIET, THREADS, option
from audit.commands.run import audit_files, show
from audit.folder import new_folder
from audit.progress import Progress
from audit.settings import Settings
from audit.threads import set_threads
from reports.files import write_atomic

if TYPE_CHECKING:
    import torch

    from audit.data import Dataset

ARCHITECTURE = "resnet10t"
KWARGS = {"channels": [16, 32, 64, 128], "stem_width": 16}
SIDE = 28
EPOCHS = 10


@click.command("demo")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="New folder for data, model and report [audit-runs/<time>-demo].",
)
@THREADS
@QUIET
@option("--no-cache", is_flag=True, help="Train the nulls anew.")
def demo(out: Path | None, threads: int | None, quiet: bool | None, no_cache: bool) -> int:
    """Train a small model on embedded images (Fashion-MNIST) and audit it in the quick profile.

    Ends with 0 whatever the verdict, and says what the gate would have returned.
    """
    out = out or Path("audit-runs") / time.strftime("%Y%m%d-%H%M%S-demo")
    progress = Progress(bool(quiet))
    with new_folder(out) as folder:
        progress.say("this takes about five minutes on two processor cores")
        set_threads(threads)
        from audit.data import load_dataset, write_embedded_folder

        write_embedded_folder(folder / "data")
        train_subject(load_dataset(folder / "data"), folder / "model.pt", progress)
    settings = Settings(
        data=out / "data",
        profile="quick",
        evaluation_chose_subject="no",
        pretrained_on="none",
    )
    options: dict[str, Any] = {
        "out": out / "report",
        "policy": None,
        "threads": threads,
        "no_cache": no_cache,
        "cache": None,
    }
    command = f"audit {out / 'model.pt'} --data {out / 'data'} --quick --pretrained-on none"
    progress.say(f"$ {command}")
    report, folder = audit_files(
        out / "model.pt", settings, options, command=command, progress=progress
    )
    show(report, folder, as_json=False)
    code = report.document.exit_code
    print(f"the gate would have returned exit code {code}", file=sys.stderr)
    return 0


def train_subject(dataset: "Dataset", path: Path, progress: Progress) -> None:
    """Train the demo's model and save it as timm's training script would."""
    import timm
    import torch

    from audit.data import decode
    from baselines.train import Images, Recipe, statistics, train

    assert dataset.train is not None
    pixels = torch.from_numpy(decode(dataset.train, SIDE, 1))
    mean, std = statistics(pixels)
    images = Images(pixels, torch.from_numpy(dataset.train.labels), mean, std)
    torch.manual_seed(0)
    model = timm.create_model(ARCHITECTURE, in_chans=1, num_classes=len(dataset.classes), **KWARGS)
    recipe = Recipe(
        images_seen=EPOCHS * len(images),
        rate=5e-3,
        augment="mirror",
        batch=64,
        optimizer="adamw",
    )
    progress.start(recipe.images_seen)
    progress.job(f"training the demo's model, {ARCHITECTURE}", recipe.images_seen)
    seen = 0.0

    def tick(n: float) -> None:
        nonlocal seen
        seen += n
        progress.tick(seen / recipe.images_seen)

    train(model, images, recipe, seed=0, progress=tick)
    progress.finish_job()
    progress.stop()
    save(model, path, mean, std)


def save(model: "torch.nn.Module", path: Path, mean: "torch.Tensor", std: "torch.Tensor") -> None:
    """A checkpoint with the layout of timm's training script."""
    import torch

    args = argparse.Namespace(
        model=ARCHITECTURE,
        model_kwargs=KWARGS,
        num_classes=10,
        in_chans=1,
        img_size=SIDE,
        input_size=[1, SIDE, SIDE],
        mean=mean.tolist(),
        std=std.tolist(),
        crop_pct=1.0,
        interpolation="bicubic",
        pretrained=False,
    )
    state = model.to(memory_format=torch.contiguous_format).state_dict()
    checkpoint = {
        "epoch": EPOCHS,
        "arch": ARCHITECTURE,
        "state_dict": state,
        "args": args,
        "version": 2,
    }
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_atomic(path, buffer.getvalue())


__all__ = ["demo"]
