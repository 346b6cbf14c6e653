"""The small model that the demo trains on the embedded images."""

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING

from audit.core.progress import Progress
from audit.reports.files import write_atomic

if TYPE_CHECKING:
    import torch

    from audit.data.dataset import Dataset

ARCHITECTURE = "resnet10t"
KWARGS = {"channels": [16, 32, 64, 128], "stem_width": 16}
SIDE = 28
EPOCHS = 10


def train_subject(dataset: "Dataset", path: Path, progress: Progress) -> None:
    """Train the demo's model and save it as timm's training script would."""
    import timm
    import torch

    from audit.baselines.images import Images, statistics
    from audit.baselines.train import Recipe, train
    from audit.data import decode

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
