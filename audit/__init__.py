"""Has this image classifier learned anything that a stupid model could not?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.loaded import load_report

__version__ = "0.1.0"
__all__ = ["__version__", "load_report"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: `import audit` stays light."""
    if name == "load_report":
        from audit.loaded import load_report

        return load_report
    raise AttributeError(f"module 'audit' has no attribute {name!r}")
