"""`audit inspect model.pt`: what a model file is, and what an audit could do with it."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.commands.options import JSON, MODEL, PIN
from audit.core.errors import AuditError
from audit.core.sizes import shown
from audit.inputs.model import MODES
from audit.model.files.digest import require_digest
from audit.model.files.sandbox import Parsing
from audit.model.uncompiled import without_compiler
from audit.reports.text import visible

if TYPE_CHECKING:
    from audit.model.inspection import Inspection

WIDTH = 16  # of the labels' column
MOST_CANDIDATES = 6
MOST_NAMES = 8


@click.command("inspect")
@click.argument("model_path", metavar="MODEL", type=click.Path(path_type=Path))
@MODEL
@PIN
@JSON
def inspect(model_path: Path, model_sha256: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Say what MODEL is: format, digest, architecture, classes, preprocessing.

    Needs no data and runs nothing of the file. Ends with 2 if an audit would refuse it.
    """
    require_digest(model_path, model_sha256)
    given["model_kwargs"] = dict(given["model_kwargs"]) or None
    with head_start(model_path) as begun, without_compiler():
        from audit.model.inspection import inspect_model

        found = inspect_model(model_path, begun, **given)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        for label, text in lines(found):
            click.echo(f"{label:<{WIDTH}}{text}")
    if found.reason:
        sys.stdout.flush()
        click.echo(f"audit: {found.reason}: {found.message}", err=True)
    return 2 if found.reason else 0


@contextmanager
def head_start(path: Path) -> Iterator[Parsing | None]:
    """Have a plain file parsed while torch loads; None where that does not even begin."""
    begun = None
    with suppress(AuditError):  # to be raised again, and told, by the inspection
        begun = Parsing(path)
    with closing(begun) if begun else nullcontext():
        yield begun


def lines(found: "Inspection") -> Iterator[tuple[str, str]]:
    """What is known, as label and text."""
    size = "" if found.bytes is None else f", {found.bytes:,} bytes"
    yield "file", f"{found.name}{size}"
    yield "sha256", found.sha256 or "unknown"
    if found.weights_sha256 is not None:
        yield "of the weights", found.weights_sha256
    yield "format", found.format or "unknown"
    yield from weights_lines(found)
    if found.entries is not None:
        types = ", ".join(f"{n:,} of {name}" for name, n in (found.precision or {}).items())
        yield "values", f"{types or 'none'}, in {found.entries:,} entries"
        if found.not_finite_values is not None:
            yield "not finite", not_finite_text(found)
        if found.zero_layers:
            more = ", …" if found.zero_layers > len(found.zero) else ""
            yield "all zero", f"{found.zero_layers:,} layers: {', '.join(found.zero)}{more}"
    if found.constant_logits is not None:
        varying = "constant: noise does not change them" if found.constant_logits else "vary"
        yield "logits", varying
    yield from architecture_lines(found)
    if found.parameters is not None:
        yield "parameters", f"{found.parameters:,}"
    yield from input_lines(found)
    yield "pre-trained", found.pretrained or "unknown"
    if found.recorded:
        yield "recorded", visible(", ".join(f"{k}={v}" for k, v in found.recorded.items()), 300)
    for sentence in found.can:
        yield "can", sentence
    for sentence in found.cannot:
        yield "cannot", sentence


def weights_lines(found: "Inspection") -> Iterator[tuple[str, str]]:
    """Which set of weights is described, and what else the file holds."""
    names = {"raw": "raw", "ema": "averaged (EMA)"}
    if found.other_weights and found.weights is not None:
        kind = names.get(found.weights)
        place = f"under {found.weights_key!r}"
        yield "weights", f"{kind}, {place}" if kind else place
        for take, key in found.other_weights.items():
            kind = names.get(take, "others")
            yield "  also holds", f"{kind} under {key!r}; --weights {take} takes them"
    if found.left_out:
        yield "left out", found.left_out.removeprefix("left out ")


def architecture_lines(found: "Inspection") -> Iterator[tuple[str, str]]:
    """The architecture, and what else would fit."""
    if found.architecture is not None:
        yield "architecture", f"{visible(found.architecture)}, {found.identified}"
    else:
        yield "architecture", "unknown"
    base = (found.architecture or "").partition(".")[0]
    functions = {c["architecture"]: c["function"] for c in found.candidates}
    others = [c for c in found.candidates if c["architecture"] != base]
    for candidate in others[:MOST_CANDIDATES]:
        same = candidate["function"] and candidate["function"] == functions.get(base)
        alike = "; computes the same" if same else ""
        yield "  fits too", f"{candidate['architecture']} ({candidate['why']}{alike})"
    if len(others) > MOST_CANDIDATES:
        yield "  fits too", f"{len(others) - MOST_CANDIDATES} more"


def not_finite_text(found: "Inspection") -> str:
    """How many values are NaN or infinite, and where."""
    if not found.not_finite_values:
        return "0 values"
    return f"{found.not_finite_values:,} values, in {', '.join(found.not_finite)}"


def input_lines(found: "Inspection") -> Iterator[tuple[str, str]]:
    """Classes and preprocessing."""
    if found.num_classes is not None:
        names = found.class_names
        listed = "not named in the file" if names is None else ", ".join(names[:MOST_NAMES])
        more = f" and {len(names) - MOST_NAMES} more" if names and len(names) > MOST_NAMES else ""
        yield "classes", f"{found.num_classes:,}: {listed}{more}"
    if found.preprocessing is not None:
        prepared = found.preprocessing
        mean, std = (", ".join(f"{v:.4g}" for v in prepared[k]) for k in ("mean", "std"))
        assert found.img_size is not None
        yield "input", f"{shown(found.img_size)} pixels, {found.in_chans} channels"
        crop = f"crop {prepared['crop_pct']:g}, {MODES[prepared['crop_mode']]}"
        how = f"{crop}, {prepared['interpolation']}"
        yield "preprocessing", f"{how}, mean {mean}, std {std}"
