"""The Python interface: what `import audit` offers besides the records."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit import checks
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.inputs.call import Call
from audit.inputs.settings import Settings, load_settings, meant
from audit.policy.limits import Policy
from audit.policy.limits import load_policy as load_policy_of
from audit.reports.text import visible
from audit.runs.finished import FinishedRun, load_run

if TYPE_CHECKING:
    from torch import nn

AuditResult = FinishedRun  # what `run` returns is what `load_report` reads back
OF_CALL = ("policy", "out", "cache", "no_cache", "threads", "device", "quiet")


def run(
    model: "str | Path | nn.Module", data: str | Path | None = None, **options: Any
) -> AuditResult:
    """Audit a model on the data it is meant for, and write its run folder.

    Args:
        model: Checkpoint file, folder saved for the Hub, timm name with cached weights, or a
            network of `timm.create_model` in memory. A network in memory is identified by the
            digest of its state dict and never pickled.
        data: Image folder with train/ and val/ (or test/), MNIST-style idx files, or a CSV of
            path, label and split. None where `eval_data` and `train_data`, or `nulls`, are given.
        **options: Settings of `audit.yaml` by their names ("profile", "eval_data", "changes"), and
            of the call: `policy` (file of limits), `out` (new run folder), `cache`, `no_cache`,
            `threads`, `device`, `quiet` (no progress; the default). No file of settings is read.

    Returns:
        The finished run: report, tables, predictions, and the folder that holds them.

    Raises:
        AuditError: For whatever the command refuses with exit code 2; `reason` is the stable code.
    """
    settings, call = _asked(data, options)
    progress = Progress(quiet=call.quiet is not False)
    words = ", ".join([repr(str(data)), *(f"{key}={value!r}" for key, value in options.items())])
    with _threads_kept(), _on_disk(model, settings) as place:
        from audit.pipeline.session import audit_files

        shown = repr(str(model)) if isinstance(model, str | Path) else "model"
        command = f"audit.run({shown}, {words})"
        _, folder = audit_files(place, settings, call, progress=progress, command=command)
    return load_run(folder)


def load_policy(path: str | Path | None = None) -> Policy:
    """Read a policy file; its limits change or extend the default ones.

    Args:
        path: YAML file with `limits`; None gives the default policy.

    Raises:
        AuditError: POLICY_INVALID or POLICY_WAIVER_EXPIRED, with the file and the line.
    """
    return load_policy_of(None if path is None else Path(path), vocabulary=checks.vocabulary())


def _asked(data: str | Path | None, options: dict[str, Any]) -> tuple[Settings, Call]:
    """The settings and the rest of the call, from keyword arguments.

    Raises:
        AuditError: CONFIG_INVALID for an unknown name or a value that cannot be used.
    """
    known = [name for name in (*Settings.model_fields, *OF_CALL) if name != "data"]
    for name in options:
        if name not in known:
            raise AuditError(
                "CONFIG_INVALID",
                f"audit.run has no option '{visible(name, 60)}'.",
                meant(name, known),
            )
    given = {key: value for key, value in options.items() if key in OF_CALL}
    paths = {key: Path(given[key]) for key in ("policy", "out", "cache") if given.get(key)}
    flags = {key: value for key, value in options.items() if key not in OF_CALL}
    return load_settings(None, {"data": data, **flags}), Call(**{**given, **paths})


@contextlib.contextmanager
def _threads_kept() -> Iterator[None]:
    """Give the caller's process its own number of threads back."""
    import gc

    import torch

    threads, garbage = torch.get_num_threads(), gc.get_threshold()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        gc.set_threshold(*garbage)


@contextlib.contextmanager
def _on_disk(model: "str | Path | nn.Module", settings: Settings) -> Iterator[Path]:
    """Where the model can be read; a network in memory is written for the time of the audit."""
    if isinstance(model, str | Path):
        yield Path(model)
        return
    from audit.inputs.model import load_model
    from audit.model.in_memory import require_same, write_module

    with tempfile.TemporaryDirectory(prefix="audit-model-") as folder:
        place = write_module(model, Path(folder))
        require_same(model, load_model(place, settings))
        yield place


__all__ = ["AuditError", "AuditResult", "load_policy", "run"]
