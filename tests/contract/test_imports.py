"""Imports flow one way, and what must be light stays light."""

import subprocess
import sys
from fnmatch import fnmatch

import pytest

from tests.contract.house import ROOT, goes_up, imports, modules

FILES = modules()
IMPORTS = imports(FILES)
LIGHT = (
    "audit",
    "audit.cli",
    "audit.evidence.profile",
    "audit.inputs.settings",
    "audit.policy.judge",
    "audit.record",
    "audit.pipeline.compose",
    "audit.checks",
    "audit.commands.run",
    "audit.commands.plan",
    "audit.commands.nulls",
    "audit.commands.judge",
    "audit.commands.render",
    "audit.commands.compare",
    "audit.reports",
)
HEAVY = {"torch", "sklearn", "scipy", "pandas"}  # they wait for what needs them


@pytest.mark.parametrize("module", IMPORTS)
def test_imports_go_down_or_stay_in_their_room(module):
    bad = {name for name in IMPORTS[module] if goes_up(module.removesuffix(".__init__"), name)}
    assert not bad


@pytest.mark.parametrize(
    "module", sorted(name for name in IMPORTS if fnmatch(name, "audit.checks.*.*"))
)
def test_no_check_knows_another(module):
    own = ".".join(module.split(".")[:3])
    assert not [
        n
        for n in IMPORTS[module]
        if n.startswith("audit.checks") and not f"{n}.".startswith(f"{own}.")
    ]


@pytest.mark.parametrize("module", LIGHT)
def test_nothing_heavy_is_imported_with_it(module):
    code = f"import sys, {module}; print(*{HEAVY} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.split() == []
