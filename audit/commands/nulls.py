"""`audit nulls fit --data DIR -o nulls/`: train the nulls once and keep them as one folder."""

import json
from pathlib import Path
from typing import Any

import click

from audit import checks
from audit.commands.options import DATA, JSON, PLACE, PROFILE, resolve, setting
from audit.core.progress import Progress
from audit.inputs.load import load
from audit.pipeline.fit_nulls import fit_nulls
from audit.pipeline.session import store_of
from audit.pipeline.workspace import Workspace
from audit.reports.text import visible


@click.group("nulls")
def nulls() -> None:
    """Nulls as a folder, for audits without training images."""


@nulls.command("fit")
@DATA
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="New folder for the nulls."
)
@setting(
    "img_size",
    "Size of the models' input: 224, or 256x128 (height first); nulls see at most 512 pixels a "
    "side [the images' median side].",
)
@setting("crop_pct", "Share of the resized image that the models' crop keeps [1].")
@setting("interpolation", "How the models' images are resized [bicubic].")
@setting("crop_mode")
@click.option(
    "--for",
    "model",
    type=click.Path(path_type=Path),
    help="A model: the nulls see what it sees, and no size need be given.",
)
@PROFILE
@PLACE
@JSON
def fit(out: Path, model: Path | None, **flags: Any) -> int:
    """Train the nulls of a data set, without a model.

    Then `audit MODEL --eval-data DIR --nulls FOLDER` needs no training images and trains nothing.
    What an audit of the same data has left in the cache is not trained again.
    """
    settings, call = resolve(flags)
    alone = settings.model_copy(update={"nulls": None, "reference": None, "max_time": None})
    progress = Progress(bool(call.quiet))
    inputs = load(alone, call, progress, checks.vocabulary())
    digest = fit_nulls(inputs, out, Workspace(store_of(call), progress, inputs.device), model)
    if call.as_json:
        print(json.dumps({"out": str(out), "manifest_sha256": digest}))
    click.echo(f"nulls: {visible(str(out), 1000)} (manifest SHA-256 {digest})", err=True)
    return 0


__all__ = ["nulls"]
