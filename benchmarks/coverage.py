"""Can every architecture of timm be audited? Writes `coverage.md` beside this file.

    python benchmarks/coverage.py            # about an hour of one processor core
    python benchmarks/coverage.py --every    # cuts of every architecture, not of each structure
    python benchmarks/coverage.py resnet18 vit_tiny_patch16_224   # prints these, writes nothing

1. Every architecture is built without values (on the meta device), with ten classes; its last
   hidden layer, its classifier and its logits are found, by shape, and whether the names and shapes
   of its weights alone lead back to it. A training checkpoint of it goes through all that an audit
   does before it reads values, within the same limits of time and memory. Encoders that timm lists
   without a classifier have nothing to audit: that they are refused is the right answer.
2. Cuts are found for the smallest architecture of each structure: the same kinds of modules under
   the same names, numbers aside. The others of a structure differ in width and in the number of
   blocks.
3. The smallest architecture of each family (one module of `timm.models`) is built with values: the
   classifier must make the logits out of the last hidden layer, a backward pass in train mode must
   give finite gradients, and at its cuts (at every second or third one of many) the two parts must
   be the whole. Inputs above 512 pixels are reduced to 256 here.

What was done is kept in a file, so that an interrupted run goes on where it stopped. An
architecture that takes too long or too much memory is given up and named.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from coverage_table import JobResults, Record, page
from torch import Tensor, nn

from audit.core.errors import AuditError
from audit.core.sizes import Size, flag, size_of
from audit.model import recorded
from audit.model.files.descriptions import TensorEntry
from audit.model.identity import identify
from audit.model.network.cuts import Cut
from audit.model.network.split import check_split, find_cuts, outputs
from audit.model.sanity import hidden_width
from audit.model.signatures import find
from audit.model.spec import ModelSpec, default_config
from audit.model.weights import check

Kind = Literal["outline", "cuts", "values"]
CLASSES = 10
SECONDS = 900  # of wall time, for one architecture
MEMORY = 12 * 2**30  # bytes
MOST_SPLIT = 12  # cuts of one network at which the two parts are run
LARGEST = 450_000_000  # parameters of an architecture that is built with values
LARGEST_SIDE = 512  # pixels; larger inputs are reduced where values are needed
TOLERANCE = 1e-4  # of the largest logit
PAGE = Path(__file__).with_name("coverage.md")


def families() -> dict[str, list[str]]:
    """Names of architectures by the module of timm that defines them."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in timm.list_models():
        found[timm.models.model_entrypoint(name).__module__.rpartition(".")[2]].append(name)
    return dict(sorted(found.items()))


def spec_of(architecture: str, most: int = 10_000) -> ModelSpec:
    """The architecture in its default size; above `most` pixels, at 256 (252 for patches of 14)."""
    height, width = default_config(architecture).get("input_size", (3, 224, 224))[1:]
    reduced = 256 if width % 16 == 0 else 252
    size = size_of(height, width) if max(height, width) <= most else reduced
    return ModelSpec(architecture, {}, CLASSES, 3, size)


def outline(architecture: str) -> Record:
    """Step 1 for one architecture."""
    spec = spec_of(architecture)
    network = spec.outline()
    x = torch.zeros(2, *spec.input_shape, device="meta")
    hidden, logits, note = classified(network, x)
    refused = refusal(architecture, network, None)
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "side": flag(spec.img_size),
        "hidden": hidden.shape[1],
        "logits": list(logits.shape) == [2, CLASSES],
        "classifier": note,
        "structure": structure(network),
        "refused": refused,
        "refused_with_size": refusal(architecture, network, spec.img_size) if refused else "",
        **look_up(architecture, network),
    }


def refusal(architecture: str, network: nn.Module, size: Size | None) -> str:
    """Why an audit would not load a training checkpoint of this network; empty if it would.

    Args:
        architecture: Its name, which the checkpoint records.
        network: Without values.
        size: As the user gives it with `--img-size`.
    """
    weights = {
        key: TensorEntry(str(value.dtype).removeprefix("torch."), tuple(value.shape))
        for key, value in network.state_dict().items()
    }
    try:
        identity = identify(None, architecture, weights)
        spec = recorded.spec_of(identity.architecture, {}, None, size, identity.img_size)
        spec = recorded.fitted(spec, weights, {}, None, None)
        found = recorded.outlined(spec)
        recorded.require_classifier(spec, found, weights)
        check(weights, found.state_dict(), architecture)
        recorded.require_images(spec)
        hidden_width(found, spec)
    except AuditError as error:
        return str(error)
    return ""


def classified(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, str]:
    """Last hidden layer, logits, and how the classifier makes the one out of the other.

    The last is one word: see `coverage_table.CLASSIFIERS`.
    """
    with torch.no_grad():
        hidden, logits = outputs(network, x)
        getter: Any = network.get_classifier
        layers = flat(getter())
        if len(layers) == 1 and gives(layers[0], hidden, logits):
            return hidden, logits, "equal"
        taken, given = watched(network, layers, x)
    if not given:
        return hidden, logits, "unused"
    if len(given) > 1:
        alike = len({v.shape for v in given}) == 1
        averaged = alike and same(torch.stack(given).mean(0), logits)
        return hidden, logits, "averages" if averaged else "combines"
    if not same(given[0], logits):
        return hidden, logits, "scales"
    return hidden, logits, "equal" if same(taken[0], hidden) else "other input"


def flat(layers: Any) -> list[nn.Module]:
    """One layer or nested lists of them, as a list."""
    if isinstance(layers, tuple | list | nn.ModuleList):
        return [layer for part in layers for layer in flat(part)]
    return [layers]


def gives(layer: nn.Module, hidden: Tensor, logits: Tensor) -> bool:
    """Whether a classifier of vectors makes the logits out of the last hidden layer."""
    try:
        return same(layer(hidden), logits)
    except Exception:  # a classifier of images, or with arguments of its own
        return False


def watched(
    network: nn.Module, layers: list[nn.Module], x: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """What the classifiers take and give in one forward pass, each flattened to vectors."""
    taken: list[Tensor] = []
    given: list[Tensor] = []

    def hook(_: nn.Module, args: tuple[Tensor, ...], value: Tensor) -> None:
        taken.append(args[0].flatten(1))
        given.append(value.flatten(1))

    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        network(x)
    finally:
        for handle in handles:
            handle.remove()
    return taken, given


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree: in shape, and in values if they have any."""
    if a.shape != b.shape or a.is_meta:
        return a.shape == b.shape
    return bool((a - b).abs().max() <= TOLERANCE * b.abs().max())


def structure(network: nn.Module) -> str:
    """Digest of the kinds and names of all modules, numbers aside."""
    kinds = {f"{re.sub('[0-9]+', '#', n)} {type(m).__name__}" for n, m in network.named_modules()}
    return hashlib.sha256("\n".join(sorted(kinds)).encode()).hexdigest()[:12]


def look_up(architecture: str, network: nn.Module) -> Record:
    """Whether its weights' names and shapes alone lead back to the architecture."""
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    exact = [c for c in find(shapes) if c.exact]
    own = next((c for c in exact if c.architecture == architecture), None)
    others = [c for c in exact if c is not own]
    return {
        "found": own is not None and own.kwargs.get("num_classes") == CLASSES,
        "rivals": [c.architecture for c in others if own and c.function != own.function],
        "twins": [c.architecture for c in others if own and c.function == own.function],
    }


def cuts(architecture: str) -> Record:
    """Step 2 for one architecture."""
    spec = spec_of(architecture)
    return cut_record(find_cuts(spec.outline(), spec.input_shape))


def cut_record(found: tuple[Cut, ...]) -> Record:
    """What the page says of cuts."""
    return {
        "cuts": len(found),
        "depths": len({round(cut.depth, 2) for cut in found}),
        "traced": all(cut.traced for cut in found),
        "frozen": sum(not cut.shared + cut.unassigned for cut in found),
        "odd": sorted({name for cut in found for name in cut.shared + cut.unassigned})[:3],
    }


def values(architecture: str) -> Record:
    """Step 3 for one architecture."""
    spec = spec_of(architecture, LARGEST_SIDE)
    network = spec.build(seed=0)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, *spec.input_shape, generator=generator)
    _, logits, note = classified(network, x)
    with torch.no_grad():
        whole = same(logits, network(x))
    found = find_cuts(network, spec.input_shape)
    traced = [cut for cut in found if cut.traced]
    step = -(-len(traced) // MOST_SPLIT) or 1
    for cut in traced[::step]:
        check_split(network, cut, x)
    network.train()
    loss = nn.functional.cross_entropy(outputs(network, x)[1], torch.arange(2))
    loss.backward()
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    finite = all(bool(torch.isfinite(g).all()) for g in grads)
    asked = sum(p.requires_grad for p in network.parameters())
    return {
        "classifier": note,
        "whole": whole,
        "backward": finite and math.isfinite(loss.item()),
        "without_gradient": asked - len(grads),
        "split": len(traced[::step]),
        **cut_record(found),
    }


STEPS = {"outline": outline, "cuts": cuts, "values": values}


def work(tasks: list[tuple[str, Kind]], path: Path) -> None:
    """Do tasks one after another and append a line for each; runs in a child process.

    Ends before the first that fails, unless it is the very first: memory that others have left in
    pieces is no fault of an architecture, so it is tried again in a fresh process.
    """
    first = tasks[0]
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for architecture, kind in tasks:
        if (architecture, kind) in read(path):
            continue  # another run on the same file did it
        started = time.process_time()
        try:
            record = STEPS[kind](architecture)
        except Exception as error:  # every kind of failure is a line of the page
            if (architecture, kind) != first and not isinstance(error, AuditError):
                return
            record = {"error": f"{type(error).__name__}: {error}"[:300]}
        seconds = round(time.process_time() - started, 2)
        write(path, {"name": architecture, "kind": kind, "seconds": seconds, **record})


def write(path: Path, record: Record) -> None:
    """Append one line."""
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def read(path: Path) -> JobResults:
    """What was done so far."""
    lines = path.read_text().splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines]
    return {(record["name"], record["kind"]): record for record in records}


def do(tasks: Iterable[tuple[str, Kind]], path: Path) -> JobResults:
    """Do what is not done yet, in child processes; a task that kills its child is given up.

    Args:
        tasks: Names, and which step.
        path: Where lines are kept.

    Returns:
        The record of each task.
    """
    wanted = list(tasks)
    while left := [task for task in wanted if task not in read(path)]:
        child = multiprocessing.get_context("spawn").Process(target=work, args=(left, path))
        child.start()
        before, since = 0, time.monotonic()
        while child.is_alive():
            child.join(1)
            size = path.stat().st_size if path.exists() else 0
            before, since = (size, time.monotonic()) if size != before else (before, since)
            if time.monotonic() - since > SECONDS:
                child.kill()
        undone = next((task for task in left if task not in read(path)), None)
        if undone is not None and child.exitcode != 0:
            slow = child.exitcode == -signal.SIGKILL
            why = f"took longer than {SECONDS} s" if slow else "needs too much memory, or crashes"
            write(path, {"name": undone[0], "kind": undone[1], "error": why})
    done = read(path)
    return {task: done[task] for task in wanted}


def smallest(names: Iterable[str], outlines: JobResults) -> str | None:
    """The one with fewest parameters; None if none could be built."""
    built = [n for n in names if "parameters" in outlines[n, "outline"]]
    return min(built, key=lambda n: outlines[n, "outline"]["parameters"], default=None)


def representatives(outlines: JobResults) -> dict[str, str]:
    """The smallest architecture of each structure."""
    members: dict[str, list[str]] = defaultdict(list)
    for (name, _), record in outlines.items():
        if "structure" in record:
            members[record["structure"]].append(name)
    found = {s: smallest(names, outlines) for s, names in members.items()}
    return {s: name for s, name in found.items() if name is not None}


def main() -> None:
    """Do what was asked for, and write the page when it was everything."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("names", nargs="*", help="print these instead of writing the page")
    parser.add_argument("--every", action="store_true", help="find the cuts of every architecture")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "coverage.jsonl")
    options = parser.parse_args()
    os.nice(5)
    if options.names:
        for name in options.names:
            print(name, outline(name) | cuts(name))
        return
    groups = families()
    done = do(((n, "outline") for names in groups.values() for n in names), options.kept)
    chosen = representatives(done)
    built = [name for (name, _), record in done.items() if "structure" in record]
    least = [name for names in groups.values() if (name := smallest(names, done))]
    small = [n for n in least if done[n, "outline"]["parameters"] <= LARGEST]
    done |= do(((n, "cuts") for n in (built if options.every else chosen.values())), options.kept)
    done |= do(((n, "values") for n in small), options.kept)
    PAGE.write_text(page(groups, chosen, done, LARGEST))
    print(PAGE, file=sys.stderr)


if __name__ == "__main__":
    main()
