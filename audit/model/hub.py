"""What a path stands for: a file, a folder saved for the Hub, or a name with weights on this disk.

A folder is what `timm.models.save_for_hf` writes: config.json beside the weights. A bare name of
timm counts if its pretrained weights are in a local cache already; nothing is ever fetched.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import try_to_load_from_cache

from audit.core.errors import AuditError
from audit.model.files.digest import WEIGHTS
from audit.reports.text import visible

CONFIG = "config.json"
MAX_CONFIG = 4 * 2**20  # bytes
COUNTS = ("num_classes", "in_chans")

# Of timm's configuration of a pretrained model: what says how images are prepared.
PREPARED = ("mean", "std", "interpolation", "crop_pct", "crop_mode")


@dataclass(frozen=True)
class Place:
    """Where the weights are, and what stands beside them.

    Attributes:
        file: Holds the weights.
        name: Of the file or folder that the user gave, without its ending.
        args: As timm's training script would have recorded them; empty without config.json.
        class_names: As config.json lists them, not yet believed; else None.
        fetched: Whether these are timm's own pretrained weights, from a local cache.
    """

    file: Path
    name: str
    args: dict[str, Any] = field(default_factory=dict)
    class_names: Any = None
    fetched: bool = False


def locate(path: Path) -> Place:
    """Find the weights that a path stands for.

    Raises:
        AuditError: MODEL_NOT_A_FILE for a folder without config.json or weights, MODEL_CONFIG if
            config.json cannot be read, MODEL_NOT_FOUND for a name without weights on this disk.
    """
    try:
        is_folder, is_missing = path.is_dir(), not os.path.lexists(path)
        file = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
        has_config = (path / CONFIG).is_file()
    except (OSError, ValueError):
        return Place(path, path.stem)
    if is_missing and path.name == str(path) and _is_known(path.name):
        return _named(path.name)
    if not is_folder:
        return Place(path, path.stem)
    shown = visible(path.resolve().name or str(path), 80)
    if file is None or not has_config:
        raise AuditError(
            "MODEL_NOT_A_FILE",
            f"{shown!r} is a folder, but not one saved for the Hub, with {CONFIG} beside "
            f"{' or '.join(WEIGHTS)}.",
            "Give the checkpoint file itself.",
        )
    config = _config(path / CONFIG, shown)
    return Place(file, path.resolve().name, _args(config), config.get("label_names"))


def _is_known(name: str) -> bool:
    """Whether timm knows this name, with or without a tag of pretrained weights."""
    base, _, tag = name.partition(".")
    if not timm.models.is_model(base):
        return False
    return not tag or name in timm.list_models(f"{base}.*", pretrained=True)


def _named(architecture: str) -> Place:
    """A bare name of timm: its pretrained weights, if an earlier download left them here."""
    config = timm.models.get_pretrained_cfg(architecture)
    file = None
    if config is not None and config.hf_hub_id:
        for name in WEIGHTS:
            found = try_to_load_from_cache(config.hf_hub_id, config.hf_hub_filename or name)
            file = file or (Path(found) if isinstance(found, str) else None)
    if config is not None and config.url and file is None:
        kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(config.url).name
        file = kept if kept.is_file() else None
    if file is None:
        raise AuditError(
            "MODEL_NOT_FOUND",
            f"{visible(architecture)!r} is a name of timm and no file, its pretrained weights "
            "are not on this machine, and nothing is fetched.",
            "Give a checkpoint file.",
        )
    args = {"model": architecture, "crop_mode": getattr(config, "crop_mode", None)}
    return Place(file, architecture, args, fetched=True)


def _config(path: Path, shown: str) -> dict[str, Any]:
    """The content of config.json."""
    problem = "is no JSON object"
    try:
        if path.stat().st_size > MAX_CONFIG:
            problem = "is larger than 4 MB"
        else:
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                return content
    except (OSError, ValueError, RecursionError):
        pass
    raise AuditError(
        "MODEL_CONFIG",
        f"a folder saved for the Hub needs its {CONFIG}, but that of {shown!r} {problem}.",
        "Save the folder again with timm, or give the weights file and `--model`.",
    )


def _args(config: dict[str, Any]) -> dict[str, Any]:
    """What config.json says, under the names of timm's training arguments."""
    pretrained = config.get("pretrained_cfg")
    pretrained = pretrained if isinstance(pretrained, dict) else {}
    args = {key: pretrained[key] for key in PREPARED if pretrained.get(key)}
    args |= {"model": config.get("architecture"), "num_classes": config.get("num_classes")}
    args["input_size"] = pretrained.get("input_size")
    kwargs = config.get("model_args")
    if isinstance(kwargs, dict):  # classes and channels are read off the weights
        args["model_kwargs"] = {k: v for k, v in kwargs.items() if k not in COUNTS}
    return {key: value for key, value in args.items() if value is not None}
