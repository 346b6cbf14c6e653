"""Imports flow one way, and what must be light stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {  # of every room: it imports only lower floors, and itself
    "audit.baselines": 1,
    "audit.reports": 1,
    "audit.kernels": 1,
    "audit.core": 1,
    "audit.record": 2,
    "audit.stats": 2,
    "audit.jobs": 2,
    "audit.data": 2,
    "audit.model": 2,
    "audit.evidence": 3,
    "audit.policy": 3,
    "audit.runs": 3,
    "audit.checks": 4,
    "audit.comparison": 4,
    "audit.inputs": 4,
    "audit.selftest": 4,
    "audit.pipeline": 5,
    "audit": 5,
    "audit.commands": 6,
    "audit.cli": 6,
    "audit.__main__": 7,
    "benchmarks": 7,
}
STILL = {  # arrows that are left over from before, to be cut
    "audit.jobs.attempt": {"audit.evidence.context", "audit.checks.executors"},
    "audit.jobs.execute": {"audit.evidence.context", "audit.checks.transfer.memory"},
    "audit.jobs.scheduler": {"audit.evidence.context", "audit.checks.transfer.memory"},
}
FILES = {  # file -> its name as a module
    path: ".".join(path.relative_to(folder.parent).with_suffix("").parts)
    for folder in (ROOT / "audit", ROOT / "benchmarks")
    for path in sorted(folder.rglob("*.py"))
    if path.relative_to(folder).parts[0] not in ("baselines", "reports")  # links to those below
} | {
    path: "audit." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("baselines", "reports")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
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


def room(module):
    """The longest name of a room that a module lies in."""
    rooms = [name for name in FLOORS if module == name or module.startswith(f"{name}.")]
    return max(rooms, key=len, default="")


def imported(file):
    """Modules of this project that a file names in any import, those inside functions too."""
    known = {name.removesuffix(".__init__") for name in FILES.values()}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in whole)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def ours(file):
    return {name for name in imported(file) if name.split(".")[0] in {"audit", "benchmarks"}}


@pytest.mark.parametrize("file", FILES, ids=FILES.values())
def test_imports_go_down_or_stay_in_their_room(file):
    own = room(FILES[file].removesuffix(".__init__"))
    bad = {name for name in ours(file) if room(name) != own and FLOORS[room(name)] >= FLOORS[own]}
    assert bad == STILL.get(FILES[file], set())


@pytest.mark.parametrize("file", sorted((ROOT / "audit/checks").glob("*/*.py")), ids=str)
def test_no_check_knows_another(file):
    own = f"audit.checks.{file.parent.name}"
    assert not [
        n for n in ours(file) if n.startswith("audit.checks") and not f"{n}.".startswith(f"{own}.")
    ]


@pytest.mark.parametrize("module", LIGHT)
def test_nothing_heavy_is_imported_with_it(module):
    code = f"import sys, {module}; print(*{HEAVY} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.split() == []
