"""Train any timm model on a folder of images: the kind of classifier that `audit` examines.

    python examples/train_subject.py --data-dir DIR --model resnet18 --img-size 32 -o model.pt

DIR holds `train/` and `val/` (or `test/`), one folder a class. Images are decoded once into memory
and augmented in batches. The checkpoint has the layout of timm's own training script.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from timm.optim import create_optimizer_v2
from timm.utils import ParseKwargs
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import lr_scheduler

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; flags are named as in timm's scripts."""
    parser = argparse.ArgumentParser(description="Train a timm model on a folder of images.")
    add = parser.add_argument
    add("--data-dir", required=True, help="folder with train/ and val/ or test/")
    add("--model", default="resnet18", help="any name from timm.list_models()")
    add("--model-kwargs", nargs="*", default={}, action=ParseKwargs, help="key=value ...")
    add("--initial-checkpoint", help="begin with these weights; another classifier begins anew")
    add("--img-size", type=int, default=32, help="side of the input, in pixels")
    add("--in-chans", type=int, default=3, choices=(1, 3))
    add("--epochs", type=int, default=20)
    add("-b", "--batch-size", type=int, default=128)
    add("--opt", default="sgd", help="any of timm's optimisers: sgd (Nesterov), adamw, ...")
    add("--lr", type=float, default=0.1, help="peak rate; 0.001 suits adamw")
    add("--sched", default="onecycle", choices=("onecycle", "cosine"))
    add("--weight-decay", type=float, default=5e-4)
    add("--smoothing", type=float, default=0.1, help="label smoothing")
    add("--limit", type=int, help="train on so many images, equally per class")
    add("--threads", type=int, help="default: what torch chooses")
    add("--seed", type=int, default=0)
    add("-o", "--output", default="model.pt")
    return parser.parse_args(argv)


def list_images(folder: Path, classes: list[str], limit: int | None) -> list[tuple[Path, int]]:
    """Image files with their labels; with a limit the classes take turns, in a random order."""
    ranked = []
    for label, name in enumerate(classes):
        paths = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        order = torch.randperm(len(paths)).tolist() if limit else range(len(paths))
        ranked += [(turn, label, paths[i]) for turn, i in enumerate(order)]
    ranked = sorted(ranked)[:limit] if limit else ranked
    return [(path, label) for _, label, path in ranked]


def decode(samples: list[tuple[Path, int]], side: int, chans: int) -> tuple[Tensor, Tensor]:
    """Read all images, cropped to a square: (N, H, W, C) uint8, and their labels, (N,)."""

    def one(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            pixels = image.convert("RGB" if chans == 3 else "L")
        pixels = ImageOps.fit(pixels, (side, side), Image.Resampling.BICUBIC)
        return np.asarray(pixels).reshape(side, side, chans)

    with ThreadPoolExecutor(8) as pool:
        images = np.stack(list(pool.map(one, [path for path, _ in samples])))
    return torch.from_numpy(images), torch.tensor([label for _, label in samples])


def crop_and_mirror(images: Tensor, index: Tensor, pad: int) -> Tensor:
    """Shift by up to `pad` pixels, reflecting at the border; mirror half: (B, H, W, C) uint8."""
    b, side = len(index), images.shape[1]
    rows, cols = torch.arange(side) + torch.randint(-pad, pad + 1, (2, b, 1))  # both (B, side)
    cols = torch.where(torch.rand(b, 1) < 0.5, cols.flip(1), cols)
    rows, cols = ((side - 1) - ((side - 1) - r.abs()).abs() for r in (rows, cols))
    return images[index[:, None, None], rows[:, :, None], cols[:, None, :]]


def normalise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """From uint8 (N, H, W, C) to float (N, C, H, W), channels last in memory."""
    return ((x / 255 - mean) / std).permute(0, 3, 1, 2)


def begin_with(model: torch.nn.Module, path: Path) -> None:
    """Load weights, leaving out a classifier of other classes; the file is not trusted."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        found = torch.load(path, map_location="cpu", weights_only=True)
    weights, own = found.get("state_dict", found), model.state_dict()
    config: Any = model.pretrained_cfg
    names = config["classifier"]
    heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    kept = {
        key: value
        for key, value in weights.items()
        if not key.startswith(heads) or value.shape == own[key].shape
    }
    missing, surplus = model.load_state_dict(kept, strict=False)
    if surplus or any(not key.startswith(heads) for key in missing):
        raise SystemExit(f"{path} does not hold the weights of this model")


def train(args: argparse.Namespace) -> Path:
    """Train, print a line an epoch, and write the checkpoint whose path is returned."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    root = Path(args.data_dir)
    held_out = next((root / s for s in ("val", "test") if (root / s).is_dir()), None)
    if held_out is None or not (root / "train").is_dir():
        raise SystemExit(f"{root} needs the folders train/ and val/ (or test/)")
    classes = sorted(p.name for p in (root / "train").iterdir() if p.is_dir())
    args.num_classes = len(classes)
    shape = (args.img_size, args.in_chans)
    x_train, y_train = decode(list_images(root / "train", classes, args.limit), *shape)
    x_val, y_val = decode(list_images(held_out, classes, None), *shape)
    sample = x_train[:: max(1, len(x_train) // 5000)] / 255
    mean, std = sample.mean((0, 1, 2)), sample.std((0, 1, 2)).clamp(min=0.001)  # both (C,)

    config = timm.models.get_pretrained_cfg(args.model)
    sized = {"img_size": args.img_size} if config and config.fixed_input_size else {}
    kwargs = {"num_classes": args.num_classes, "in_chans": args.in_chans, **sized}
    model = timm.create_model(args.model, **kwargs | args.model_kwargs)
    if args.initial_checkpoint:
        begin_with(model, Path(args.initial_checkpoint))
    model = model.to(memory_format=torch.channels_last)
    opt = create_optimizer_v2(model, args.opt, args.lr, args.weight_decay, momentum=0.9)
    batch = min(args.batch_size, len(x_train))
    seen = len(x_train) // batch * batch  # images an epoch: whole batches only
    steps = seen // batch * args.epochs
    rates = (
        lr_scheduler.OneCycleLR(opt, args.lr, steps, pct_start=0.25, cycle_momentum=False)
        if args.sched == "onecycle"
        else lr_scheduler.CosineAnnealingLR(opt, steps)
    )

    for epoch in range(args.epochs):
        start, total = time.perf_counter(), 0.0
        model.train()
        for index in torch.randperm(len(x_train))[:seen].view(-1, batch):
            x = crop_and_mirror(x_train, index, pad=max(1, args.img_size // 8))
            logits = model(normalise(x, mean, std))
            loss = cross_entropy(logits, y_train[index], label_smoothing=args.smoothing)
            opt.zero_grad()
            loss.backward()
            opt.step()
            rates.step()
            total += loss.item() * batch
        speed = seen / (time.perf_counter() - start)
        model.eval()
        with torch.inference_mode():
            answers = [model(normalise(x, mean, std)).argmax(1) for x in torch.split(x_val, 256)]
        right = (torch.cat(answers) == y_val).float().mean().item()
        line = f"loss {total / seen:.4f}  val {right:.4f}  {speed:.0f} images/s"
        print(f"epoch {epoch + 1:3d}/{args.epochs}  {line}", flush=True)
    recorded = vars(args) | {"mean": mean.tolist(), "std": std.tolist()}
    recorded["pretrained"] = bool(args.initial_checkpoint)
    recorded |= {"crop_pct": 1.0, "interpolation": "bicubic"}
    checkpoint = {"epoch": args.epochs - 1, "arch": args.model, "version": 2, "metric": 100 * right}
    checkpoint |= {"args": argparse.Namespace(**recorded), "class_names": classes}
    checkpoint["state_dict"] = {k: v.contiguous() for k, v in model.state_dict().items()}
    torch.save(checkpoint, args.output)
    return Path(args.output)


if __name__ == "__main__":
    print("wrote", train(parse()))
