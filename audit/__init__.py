"""Has this image classifier learned anything that a stupid model could not?"""

from typing import TYPE_CHECKING, Any

from audit.core.version import __version__

if TYPE_CHECKING:
    from audit.runs.finished import load_run as load_report

__all__ = ["__version__", "load_report"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: `import audit` stays light."""
    if name == "load_report":
        from audit.runs.finished import load_run

        return load_run
    raise AttributeError(f"module 'audit' has no attribute {name!r}")
