"""`audit cache ls|verify|clear`: what is kept between audits."""

import json
from pathlib import Path

import click

from audit import checks
from audit.commands.options import path_option
from audit.core.errors import AuditError
from audit.jobs.cache import clear as empty
from audit.jobs.cache import damaged, held
from audit.reports.text import visible

WHERE = path_option("--cache", text="The cache [the usual one].")
MIB = 2**20


@click.group("cache")
def cache() -> None:
    """Trained nulls and other results that are kept between audits."""


@cache.command("ls")
@WHERE
@click.option("--json", "as_json", is_flag=True, help="Print the result on stdout.")
def ls(cache: Path | None, as_json: bool) -> int:
    """List what is kept, by kind of job."""
    root = place(cache)
    if not root.exists():
        click.echo(f"{visible(str(root))} does not exist: nothing is kept there yet", err=True)
    found = held(root, checks.kinds())
    if as_json:
        print(json.dumps([kind.model_dump() for kind in found]))
        return 0
    for kind in found:
        click.echo(f"{kind.kind:<16}{kind.entries:>6} entries {kind.bytes / MIB:>10.1f} MiB")
    total = sum(kind.bytes for kind in found)
    click.echo(f"{'in all':<16}{sum(k.entries for k in found):>6} entries {total / MIB:>10.1f} MiB")
    return 0


@cache.command("verify")
@WHERE
def verify(cache: Path | None) -> int:
    """Read every entry and compare its checksums."""
    root = place(cache)
    broken = damaged(root, checks.kinds())
    if broken:
        raise AuditError(
            "CACHE_DAMAGED",
            f"the cache needs entries as they were written, but {len(broken)} of "
            f"{visible(str(root))} are damaged, such as {broken[0]}.",
            "The next audit sets them aside and does them again; `audit cache clear` removes all.",
        )
    count = sum(kind.entries for kind in held(root, checks.kinds()))
    click.echo(f"{count} entries are as they were written")
    return 0


@cache.command("clear")
@WHERE
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(cache: Path | None, yes: bool) -> int:
    """Remove every entry; nulls will have to be trained again."""
    root = place(cache)
    count = sum(kind.entries for kind in held(root, checks.kinds()))
    if not yes:
        click.confirm(f"remove {count} entries of {visible(str(root))}?", abort=True, err=True)
    try:
        freed = empty(root, checks.kinds())
    except OSError as error:
        raise AuditError(
            "CACHE_UNUSABLE",
            f"clearing needs a cache that can be written, but {visible(str(root))} gave "
            f"'{error.strerror}'.",
            "Check who owns it.",
        ) from None
    click.echo(f"removed {count} entries, {freed / MIB:.1f} MiB", err=True)
    return 0


def place(named: Path | None) -> Path:
    """The cache that was named, or the usual one."""
    from audit.jobs.store import default_cache

    return named or default_cache()


__all__ = ["cache"]
