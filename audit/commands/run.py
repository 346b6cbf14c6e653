"""`audit model.pt --data DIR`: the main job."""

import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.folder import claim_folder
from audit.progress import Progress
from audit.record import AuditError, Report
from audit.settings import PROFILES, Settings, chosen_policy, chosen_profile, load_settings

if TYPE_CHECKING:
    from audit.data import Dataset
    from audit.model.checkpoint import Subject

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


class KeyValue(click.ParamType[tuple[str, Any]]):
    """A pair `key=value`; the value is read as a Python literal where it is one."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Split at the first equals sign."""
        import ast

        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key:
            self.fail(f"'{value}' is not of the form key=value", param, ctx)
        try:
            return key, ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
        except (ValueError, SyntaxError):
            return key, text


def path_option(flag: str, text: str) -> Decorator:
    """An option that takes a path; whether it exists is said by the code that reads it."""
    variable = f"AUDIT_{flag.lstrip('-').replace('-', '_').upper()}"
    return click.option(flag, type=click.Path(path_type=Path), envvar=variable, help=text)


def option(*flags: str, **settings: Any) -> Decorator:
    """An option that a variable AUDIT_<NAME> mirrors."""
    long = next(f for f in flags if f.startswith("--"))
    variable = f"AUDIT_{long.lstrip('-').split('/')[0].replace('-', '_').upper()}"
    return click.option(*flags, envvar=variable, **settings)


@click.command("run")
@click.argument("model_path", metavar="MODEL", type=click.Path(path_type=Path))
@path_option("--data", "Folder with train/ and val/ (or test/), or with idx files.")
@path_option("--train-data", "Training images, instead of --data.")
@path_option("--eval-data", "Evaluation images, instead of --data.")
@path_option("--class-map", "Class names in the order of the outputs, one a line.")
@path_option("--config", "Configuration [audit.yaml, if there is one].")
@path_option("--policy", "Limits to judge by, instead of the default ones.")
@path_option("--out", "New folder for the report [audit-runs/<time>-<model>-<digest>].")
@path_option("--cache", "Where trained nulls and other results are kept.")
@option("--no-cache", is_flag=True, default=None, help="Keep nothing between runs.")
@option("--model", help="timm architecture, for a file that names none.")
@option("--model-kwargs", type=KeyValue(), multiple=True, help="Its arguments, as key=value.")
@option("--num-classes", type=int, help="Number of outputs, where the file does not say.")
@option("--img-size", type=int, help="Side of the input in pixels, where the file does not say.")
@option("--in-chans", type=int, help="Input channels, where the file does not say.")
@option("--weights", type=click.Choice(["raw", "ema"]), help="Which, for a file with both.")
@option("--profile", type=click.Choice(list(PROFILES)), help="How much is measured [default].")
@click.option("--quick", is_flag=True, help="Short for --profile quick.")
@option("--set", "changes", type=KeyValue(), multiple=True, help="A field of the profile.")
@option("--seed", type=click.IntRange(min=0), help="Of everything random [0].")
@option("--max-bad-images", type=int, help="Unreadable images that may be left out [0].")
@option("--pretrained-on", help="Data the model was trained on before; 'none' if on no other.")
@option("--threads", type=click.IntRange(min=1), help="Processor threads [as many as are free].")
@option("--exit-zero", is_flag=True, default=None, help="Return 0 whatever the verdict.")
@option("--json", "as_json", is_flag=True, default=None, help="Print the result on stdout.")
@option("-q", "--quiet", is_flag=True, default=None, help="No progress.")
def run(model_path: Path, **flags: Any) -> int:
    """Audit MODEL, a timm checkpoint, on the data it is meant for."""
    settings, options = resolve(flags)
    command = repeat_command(model_path, settings, options)
    report, out = audit_files(
        model_path, settings, options, command=command, progress=Progress(bool(options["quiet"]))
    )
    show(report, out, as_json=bool(options["as_json"]))
    return 0 if options["exit_zero"] else report.document.exit_code


SETTINGS = tuple(Settings.model_fields)


def resolve(flags: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Split flags into settings (over audit.yaml) and the options of this call."""
    config = flags["config"]
    if config is None and Path("audit.yaml").is_file():
        config = Path("audit.yaml")
    flags = dict(flags)
    if flags.pop("quick"):
        if flags["profile"] not in (None, "quick"):
            raise AuditError(
                "USAGE", f"--quick needs no --profile, but got {flags['profile']}. Give one."
            )
        flags["profile"] = "quick"
    flags["changes"] = dict(flags["changes"]) or None
    flags["model_kwargs"] = dict(flags["model_kwargs"]) or None
    given = {key: flags[key] for key in SETTINGS if key in flags}
    return load_settings(config, given), {k: v for k, v in flags.items() if k not in SETTINGS}


def audit_files(
    model_path: Path,
    settings: Settings,
    options: dict[str, Any],
    *,
    command: str,
    progress: Progress,
) -> tuple[Report, Path]:
    """Load, audit, judge and write; see `audit.run` for the flow.

    Returns:
        The report and its folder.
    """
    started = time.time()
    profile, policy = chosen_profile(settings), chosen_policy(settings, options["policy"])
    if options["out"] is not None:
        claim_folder(options["out"])
    progress.say(f"reading {model_path}")
    set_threads(options["threads"])
    from audit.run import audit, default_cache
    from audit.store import Store

    subject = load_model(model_path, settings)
    dataset = load_data(settings, subject)
    train = len(dataset.train) if dataset.train else 0
    progress.say(
        f"{subject.spec.architecture} ({subject.container}); {train:,} training and "
        f"{len(dataset.eval):,} evaluation images of {len(dataset.classes)} classes"
    )
    out = options["out"] or Path("audit-runs") / (
        time.strftime("%Y%m%d-%H%M%S") + f"-{subject.name}-{subject.weights_digest[:8]}"
    )
    claim_folder(out)
    store = Store(None if options["no_cache"] else options["cache"] or default_cache())
    found = audit(
        subject, dataset, profile, policy, store=store, seed=settings.seed, progress=progress
    )
    if file_digest(model_path) != subject.file_digest:
        raise AuditError(
            "MODEL_CHANGED",
            f"an audit needs a model file that stays as it is, but {subject.name} changed while it "
            "was audited. Run the audit again.",
        )
    from audit.assemble import assemble

    report = assemble(
        found,
        subject,
        dataset,
        settings,
        policy,
        out,
        command=command,
        started=started,
        log=progress.lines,
    )
    return report, out


def file_digest(path: Path) -> str:
    """SHA-256 in hex; empty if the file is gone."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def set_threads(wanted: int | None) -> None:
    """As many threads as were asked for, or as are free now."""
    import torch

    torch.set_num_threads(wanted or free_cores())


def free_cores(moment: float = 0.3) -> int:
    """Processor cores that are idle now, at least one; all that we may use where it is unknown."""
    ours = len(os.sched_getaffinity(0))
    try:
        before = idle_ticks()
        time.sleep(moment)
        idle = (idle_ticks() - before) / (moment * os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return ours
    return min(ours, max(1, round(idle)))


def idle_ticks() -> int:
    """Idle time of all cores together, in clock ticks since the system started (Linux)."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(words[4]) + int(words[5])


def load_model(path: Path, settings: Settings) -> "Subject":
    """The subject, as the settings name it."""
    from audit.model.checkpoint import load_subject

    return load_subject(
        path,
        model=settings.model,
        model_kwargs=settings.model_kwargs or None,
        num_classes=settings.num_classes,
        img_size=settings.img_size,
        in_chans=settings.in_chans,
        weights=settings.weights,
    )


def load_data(settings: Settings, subject: "Subject") -> "Dataset":
    """The data, as the settings name them."""
    from audit.data import load_dataset, timm_class_order

    if settings.data is None and settings.eval_data is None:
        raise AuditError(
            "DATA_NOT_GIVEN",
            "an audit needs the data that the model is meant for, but none were named. Give "
            "--data DIR with train/ and val/ inside, or --train-data and --eval-data.",
        )
    where: dict[str, Any] = {
        "train": settings.train_data,
        "evaluation": settings.eval_data,
        "max_bad_images": settings.max_bad_images,
    }
    named = read_class_map(settings.class_map) if settings.class_map else subject.class_names
    dataset = load_dataset(settings.data, classes=named, **where)
    if named is None and timm_class_order(dataset.classes) != dataset.classes:
        if subject.container != "timm training checkpoint":
            raise AuditError(
                "DATA_CLASS_ORDER",
                "the audit needs to know which output stands for which class, but these folders "
                "sort differently by number or capitals than letter by letter. Give the order "
                "with --class-map, a file with one class name a line.",
            )
        dataset = load_dataset(settings.data, classes=timm_class_order(dataset.classes), **where)
    return dataset


def read_class_map(path: Path) -> tuple[str, ...]:
    """Class names in the order of the outputs, one a line.

    Raises:
        AuditError: DATA_CLASS_MAP if the file cannot be read or names a class twice.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        names = []
    names = [name for name in names if name]
    if not names or len(set(names)) < len(names):
        raise AuditError(
            "DATA_CLASS_MAP",
            f"--class-map needs a file with one class name a line, each once, but {path} is "
            "not one. Write the names of the class folders in the order of the model's outputs.",
        )
    return tuple(names)


def repeat_command(model_path: Path, settings: Settings, options: dict[str, Any]) -> str:
    """The command that repeats this audit, with every setting that is not a default."""
    words = ["audit", str(model_path)]
    for key, value in settings.model_dump(exclude_defaults=True).items():
        flag = {"changes": "--set", "model_kwargs": "--model-kwargs"}.get(key)
        if flag:
            words += [w for k, v in value.items() for w in (flag, f"{k}={v}")]
        elif key not in ("limits", "evaluation_chose_subject"):
            words += [f"--{key.replace('_', '-')}", str(value)]
    for key in ("config", "policy"):
        if options[key] is not None:
            words += [f"--{key}", str(options[key])]
    return shlex.join(words)


def show(report: Report, out: Path | None, *, as_json: bool) -> None:
    """The verdict, why, and where the report is."""
    document = report.document
    if as_json:
        print(
            json.dumps(
                {
                    "verdict": document.verdict,
                    "exit_code": document.exit_code,
                    "headline": document.headline,
                    "out": None if out is None else str(out),
                    "gates": {g.name: g.verdict for g in document.gates if g.severity == "gate"},
                }
            )
        )
    click.secho(document.verdict.upper(), fg=COLOURS[document.verdict], bold=True, err=True)
    click.echo(document.headline, err=True)
    for number in document.numbers:
        click.echo(
            f"  {number.label}: {number.value} ({number.interval}, n = {number.n:,})", err=True
        )
    for gate in document.gates:
        if gate.severity != "info":
            click.echo(
                f"  {gate.severity:<5}{gate.verdict:<13}{gate.name}: {gate.statement}", err=True
            )
    if document.watermark:
        click.echo(f"({document.watermark})", err=True)
    if out is not None:
        click.echo(f"report: {out / 'report.html'}", err=True)
    sys.stderr.flush()


__all__ = ["audit_files", "run", "show"]
