"""`audit demo`: train a small timm network on the embedded images, and audit it like any other."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.commands.options import QUIET, THREADS, option
from audit.commands.showing import show
from audit.core.progress import Progress
from audit.core.threads import set_threads
from audit.inputs.call import Call
from audit.inputs.settings import Settings
from audit.jobs.folders import new_folder
from audit.pipeline.session import audit_files
from audit.selftest.demo_model import train_subject

if TYPE_CHECKING:
    pass


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
        from audit.data.embedded import write_embedded_folder
        from audit.data.load import load_dataset

        write_embedded_folder(folder / "data")
        train_subject(load_dataset(folder / "data"), folder / "model.pt", progress)
    settings = Settings(
        data=out / "data",
        profile="quick",
        evaluation_chose_subject="no",
        pretrained_on="none",
    )
    call = Call(out=out / "report", threads=threads, no_cache=no_cache)
    command = f"audit {out / 'model.pt'} --data {out / 'data'} --quick --pretrained-on none"
    progress.say(f"$ {command}")
    report, folder = audit_files(
        out / "model.pt", settings, call, command=command, progress=progress
    )
    show(report, folder, as_json=False)
    code = report.document.exit_code
    print(f"the gate would have returned exit code {code}", file=sys.stderr)
    return 0
