"""Has this image classifier learned anything that a deliberately limited model could not?"""

import importlib
from typing import TYPE_CHECKING, Any

from audit.core.version import __version__

if TYPE_CHECKING:
    from audit.api import AuditResult, load_policy, run
    from audit.core.errors import AuditError
    from audit.runs.finished import load_run as load_report

__all__ = ["AuditError", "AuditResult", "__version__", "load_policy", "load_report", "run"]

PLACES = {  # of the public names, imported when they are first used: `import audit` stays light
    "AuditError": ("audit.core.errors", "AuditError"),
    "AuditResult": ("audit.api", "AuditResult"),
    "load_policy": ("audit.api", "load_policy"),
    "load_report": ("audit.runs.finished", "load_run"),
    "run": ("audit.api", "run"),
}


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in PLACES:
        raise AttributeError(f"module 'audit' has no attribute {name!r}")
    module, own = PLACES[name]
    return getattr(importlib.import_module(module), own)
