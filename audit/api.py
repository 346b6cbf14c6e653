"""The Python interface: what `import audit` offers."""

from pathlib import Path

from audit import checks
from audit.policy.limits import Policy
from audit.policy.limits import load_policy as load_policy_of


def load_policy(path: str | Path | None = None) -> Policy:
    """Read a policy file; its limits change or extend the default ones.

    Args:
        path: YAML file with `limits`; None gives the default policy.

    Raises:
        AuditError: POLICY_INVALID or POLICY_WAIVER_EXPIRED, with the file and the line.
    """
    return load_policy_of(None if path is None else Path(path), vocabulary=checks.vocabulary())
