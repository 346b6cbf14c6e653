"""The command line. Heavy imports wait until a command runs; `audit --help` takes no torch."""

import contextlib
import gc
import importlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

import click

from audit.core.errors import AuditError
from audit.core.version import __version__

COMMANDS = {  # a module of audit.commands with an object of that name, and its line in the help
    "run": "Audit a model on the data it is meant for.",
    "init": "Write a commented audit.yaml with every setting and the policy.",
    "judge": "Judge a stored run again under another policy, without measuring.",
    "render": "Make every format of a stored report again.",
    "compare": "Say what changed between two audits, or rank many on the same data.",
    "nulls": "Train the nulls of a data set once, and keep them as a folder for CI.",
    "plan": "Say what an audit would do, what is cached and how long it may take.",
    "cache": "List, verify or clear what is kept between audits.",
    "inspect": "Say what a model file is, and what an audit could do with it.",
    "demo": "Train a small model on embedded images and audit it.",
    "selftest": "Plant known faults and see whether the gate finds them.",
}

MAIN = "run"
CACHED = ("run", "nulls", "demo")  # commands whose work is kept when they are stopped

HELP = """Has this image classifier learned anything that a stupid model could not?

\b
  audit model.pt --data DIR     audit a timm checkpoint on a folder of images
  audit demo                    train a small model on embedded images and audit it
  audit selftest --quick        plant known faults, and see whether the gate finds them
  audit init                    write a commented audit.yaml: settings and policy
  audit judge RUN --policy P    judge a stored run again, measure nothing
  audit render RUN              make every format of a stored report again
  audit nulls fit --data DIR -o nulls/            train the nulls once
  audit model.pt --eval-data DIR --nulls nulls/   audit without training images or training
  audit plan model.pt --data DIR                  what would run, and for how long
  audit inspect model.pt        what this file is: format, architecture, classes, digest
  audit compare RUN RUN         say what changed, and whether it is more than noise

A first argument that is not a command is a model, so `audit model.pt` is `audit run model.pt`;
`audit run --help` lists the options.

\b
Exit codes: 0 every gate passed, 1 a gate failed, 3 none failed but one is undecided or a check
crashed, 2 nothing was judged (usage, input refused, environment).
"""


class Commands(click.Group):
    """Loads a command when it is called, and takes an unknown first argument for a model."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command's module."""
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"audit.commands.{name}"), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`audit --data DIR model.pt` is `audit run --data DIR model.pt`."""
        own = [name for param in self.get_params(ctx) for name in param.opts]
        if args and args[0].startswith("-") and args[0] not in own:
            args = [MAIN, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`audit model.pt …` is `audit run model.pt …`."""
        if args and args[0] not in COMMANDS:
            refuse_slip(args[0])
            args = [MAIN, *args]
        return super().resolve_command(ctx, args)


def refuse_slip(word: str) -> None:
    """Refuse a misspelt command, which would be taken for a model.

    Raises:
        AuditError: USAGE for a bare word much like a command, where there is no file of that name.
    """
    from audit.policy.location import nearest
    from audit.reports.text import visible

    path, near = Path(word), nearest(word, [*COMMANDS])
    if near and path.name == word and not path.suffix and not path.exists():
        raise AuditError(
            "USAGE",
            f"audit needs a command or a model, but '{visible(word)}' is neither; the nearest "
            f"command is '{near}'.",
            "Call that, or name a model's file.",
        )


@click.command(cls=Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="audit")
def audit() -> None:
    """Entry of all commands."""


def main() -> None:
    """Run, and turn what the user can mend into one sentence and exit code 2."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve shared machines
    gc.set_threshold(50_000)  # loading torch makes many objects that stay; see `set_threads`
    signal.signal(signal.SIGTERM, stop)
    sys.stdout, sys.stderr = ignore_broken_pipe(sys.stdout), ignore_broken_pipe(sys.stderr)
    try:
        code = audit(standalone_mode=False)
    except AuditError as error:
        fail(str(error))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.exceptions.Abort):
        print(stopped(), file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        crash(error)
    sys.exit(code if isinstance(code, int) else 0)


def fail(message: str) -> None:
    """One sentence on stderr, exit code 2, also where stderr takes no words."""
    from audit.reports.text import visible

    with contextlib.suppress(OSError):
        print(f"audit: {visible(message, 2000)}", file=sys.stderr)
    sys.exit(2)


def crash(error: Exception) -> None:
    """A fault of the tool: where the details are, and exit code 2; never a verdict."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="audit-crash-", suffix=".txt", delete=False
        ) as file:
            traceback.print_exc(file=file)
        details = f"Please report it with {file.name}."
    except Exception:  # a full disk, most likely, which may be the fault itself
        details = "Its details could not be written to the disk."
    fail(
        f"INTERNAL: a fault of this tool, not of your input ({type(error).__name__}); nothing was "
        f"judged. {details}"
    )


def stopped() -> str:
    """What to say of a command that was stopped."""
    command = next((word for word in sys.argv[1:] if word in COMMANDS), MAIN)
    kept = command in CACHED and "--no-cache" not in sys.argv
    if not kept or os.environ.get("AUDIT_NO_CACHE"):
        return "audit: stopped; nothing was kept"
    return "audit: stopped; what is done is kept: the same command continues"


def stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM: end like an interrupt, with its own code."""
    print(stopped(), file=sys.stderr)
    os._exit(128 + number)


if __name__ == "__main__":
    main()


class _PipeSafeStream:
    """What is written after the reader has gone, goes nowhere; no error, no other exit code."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Pass on."""
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        """Pass on."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            self._leave()

    def _leave(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


def ignore_broken_pipe(stream: TextIO) -> TextIO:
    """The same stream, to which nobody need listen."""
    return cast(TextIO, _PipeSafeStream(stream))
