"""Entry point of the command `audit`, under a name that no folder of a user has."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def main() -> None:
    """Load the package `audit` that lies next to this file, wherever Python looks, and run it.

    A package called `audit` in the user's folder, which PYTHONPATH puts first, would be taken for
    it otherwise.
    """
    folder = Path(__file__).resolve().with_name("audit")
    places = [str(folder)]
    spec = spec_from_file_location(
        "audit", folder / "__init__.py", submodule_search_locations=places
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["audit"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["audit"])
    from audit.cli import main as run

    run()
