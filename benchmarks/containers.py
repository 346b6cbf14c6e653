"""One model in every usual container: what `audit inspect` says of each, and is it the same model?

    python benchmarks/containers.py            # about a minute of one processor core
    python benchmarks/containers.py lcnet_050  # another architecture of timm

A network with random weights (and statistics of batch norm that are not those of a fresh one) is
written in each container into a temporary folder, inspected, and loaded as an audit loads it. The
last columns are the largest differences between its logits and those of what was written (in half
precision: of the network with rounded weights), and those of the network itself; as a share of the
largest logit. Exits 1 if a container is refused, or gives other logits than what was written.
"""

import argparse
import copy
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from audit.model.checkpoint import load_subject
from audit.model.inspection import inspect_model

CLASSES = 10
SIDE = 64
State = dict[str, Tensor]
Write = Callable[[Path, nn.Module], Path]
HEAD = (
    *("container", "format found", "architecture", "classes", "precision", "weights"),
    *("difference", "to the network itself"),
)
ROUNDED = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def trained(architecture: str) -> nn.Module:
    """A network with random weights, whose statistics have seen some noise."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(architecture, num_classes=CLASSES)
    for _ in range(3):
        network.train()(torch.randn(8, 3, SIDE, SIDE) * 2 + 0.5)
    return network.eval()


def training(network: nn.Module, architecture: str) -> dict[str, Any]:
    """What timm's train.py writes."""
    args = argparse.Namespace(model=architecture, num_classes=CLASSES, img_size=SIDE, lr=0.1)
    return {"epoch": 9, "arch": architecture, "state_dict": network.state_dict(), "args": args}


def torch_file(make: Callable[[State], object], **options: Any) -> Write:
    """A file of torch.save."""

    def write(folder: Path, network: nn.Module) -> Path:
        torch.save(make(network.state_dict()), folder / "model.pt", **options)
        return folder / "model.pt"

    return write


def prefixed(prefix: str, state: State) -> State:
    """Under other names."""
    return {prefix + key: value for key, value in state.items()}


def cast(state: State, dtype: torch.dtype) -> State:
    """In another precision."""
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}


def averaged(state: State) -> State:
    """Weights that stand for those of another set."""
    return {k: v * 0.5 if v.is_floating_point() else v for k, v in state.items()}


def with_metric(state: State) -> State:
    """As a Lightning module holds it that weighs its classes and counts its confusions."""
    beside = {"loss.weight": torch.ones(CLASSES), "metric.confmat": torch.zeros(CLASSES, CLASSES)}
    return prefixed("model.", state) | beside


def safetensors(folder: Path, network: nn.Module) -> Path:
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors"


def hub_folder(architecture: str) -> Write:
    """As timm.models.save_for_hf writes it."""

    def write(folder: Path, network: nn.Module) -> Path:
        save_file(network.state_dict(), folder / "model.safetensors")
        config = {"architecture": architecture, "num_classes": CLASSES, "num_features": 1}
        config["pretrained_cfg"] = {"input_size": [3, SIDE, SIDE], "num_classes": CLASSES}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return write


def torchscript(folder: Path, network: nn.Module) -> Path:
    traced = torch.jit.trace(network, torch.zeros(1, 3, SIDE, SIDE))
    torch.jit.save(traced, folder / "model.pt")
    return folder / "model.pt"


def exported(folder: Path, network: nn.Module) -> Path:
    program = torch.export.export(network, (torch.zeros(1, 3, SIDE, SIDE),))
    torch.export.save(program, folder / "model.pt2")
    return folder / "model.pt2"


def containers(architecture: str, network: nn.Module) -> dict[str, tuple[Write, dict[str, Any]]]:
    """How to write each container, and the options that it is audited with."""
    record = training(network, architecture)
    both = record | {"state_dict_ema": averaged(network.state_dict())}
    lightning = {"pytorch-lightning_version": "2.5.0", "epoch": 3}
    return {
        "timm's train.py": (torch_file(lambda _: record), {}),
        "the same with EMA, --weights raw": (torch_file(lambda _: both), {"weights": "raw"}),
        "bare state dict": (torch_file(lambda s: s), {}),
        "nested under 'model'": (torch_file(lambda s: {"model": s, "epoch": 3}), {}),
        "of DataParallel": (torch_file(lambda s: prefixed("module.", s)), {}),
        "of torch.compile": (torch_file(lambda s: prefixed("_orig_mod.", s)), {}),
        "Lightning": (
            torch_file(lambda s: lightning | {"state_dict": prefixed("model.", s)}),
            {},
        ),
        "Lightning, with a weighted loss and a metric": (
            torch_file(lambda s: lightning | {"state_dict": with_metric(s)}),
            {},
        ),
        "torch's AveragedModel": (torch_file(lambda _: AveragedModel(network).state_dict()), {}),
        "a backbone's, of transformers": (torch_file(lambda s: prefixed("timm_model.", s)), {}),
        "DataParallel around torch.compile, nested": (
            torch_file(lambda s: {"model_state_dict": prefixed("module._orig_mod.", s)}),
            {},
        ),
        "safetensors": (safetensors, {}),
        "folder for the Hub": (hub_folder(architecture), {}),
        "legacy format": (torch_file(lambda s: s, _use_new_zipfile_serialization=False), {}),
        "float64": (torch_file(lambda s: cast(s, torch.float64)), {}),
        "float16": (torch_file(lambda s: cast(s, torch.float16)), {}),
        "bfloat16": (torch_file(lambda s: cast(s, torch.bfloat16)), {}),
        "TorchScript": (torchscript, {}),
        "torch.export": (exported, {}),
    }


def logits_of(network: nn.Module, precision: str, x: Tensor) -> Tensor:
    """Of a network whose weights were kept in some precision."""
    copied = copy.deepcopy(network)
    if precision in ROUNDED:
        copied.load_state_dict(cast(network.state_dict(), ROUNDED[precision]))
    with torch.inference_mode():
        return copied(x)


def row(name: str, path: Path, options: dict[str, Any], network: nn.Module) -> list[str]:
    """One line of the table."""
    found = inspect_model(path, **options)
    if found.reason:
        return [name, found.format or "", found.reason, "", "", "", "refused", ""]
    x = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    precision = ", ".join(found.precision or {})
    with torch.inference_mode():
        logits = load_subject(path, **options).model(x)
    differences = [
        float((logits - expected).abs().max() / expected.abs().max())
        for expected in (logits_of(network, kind, x) for kind in (precision, "float32"))
    ]
    return [
        name,
        str(found.format),
        f"{found.architecture}, {found.identified}",
        str(found.num_classes),
        precision,
        str(found.weights_sha256)[:12],
        *("0" if value == 0 else f"{value:.0e}" for value in differences),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("architecture", nargs="?", default="mobilenetv2_100")
    architecture = parser.parse_args().architecture
    warnings.simplefilter("ignore")
    network = trained(architecture)
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    wrong = 0
    for name, (write, options) in containers(architecture, network).items():
        with tempfile.TemporaryDirectory() as folder:
            cells = row(name, write(Path(folder), network), options, network)
        wrong += cells[-2] != "0"
        print(f"| {' | '.join(cells)} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
