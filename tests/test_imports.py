"""Imports flow one way, and what must be light stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORDS = {"audit.record", "audit.case", "audit.work", "audit.config"}
CHECKS = WORDS | {
    "audit.gap_parts",
    "audit.gap_words",
    "audit.data_words",
    "audit.stats",
    "audit.predictions",
    "audit.requests",
    "audit.probe_requests",
    "audit.probe_words",
    "audit.id_requests",
    "audit.id_shape",
    "audit.id_words",
    "audit.transfer_requests",
    "audit.controls",
    "audit.curves",
    "audit.split_words",
    "audit.kernels",
}
ALLOWED = {  # importer -> prefixes of what it may import of this project, beside itself
    "reports": set(),
    "baselines": set(),
    "audit/kernels": set(),
    "audit/data": {"audit.parent", "audit.record", "audit.sizes", "reports.text"},
    "audit/model": {"audit.parent", "audit.record", "audit.sizes", "reports.text"},
    "audit/checks": CHECKS | {"reports"},
    "audit/jobs": WORDS
    | {"baselines", "audit.kernels", "audit.model", "audit.data", "audit.store", "audit.stats"}
    | {
        "audit.crew",
        "audit.device",
        "audit.drawer",
        "audit.progress",
        "audit.sizes",
        "reports.text",
    },
}
LIGHT = (
    "audit",
    "audit.cli",
    "audit.config",
    "audit.settings",
    "audit.policy",
    "audit.record",
    "audit.document",
    "audit.checks",
    "audit.commands.run",
    "audit.commands.plan",
    "audit.commands.nulls",
    "audit.commands.judge",
    "audit.commands.render",
    "audit.commands.compare",
    "reports",
)
HEAVY = {"torch", "sklearn", "scipy", "pandas"}  # they wait for what needs them


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in ("audit", "audit.checks"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def is_in(name, package):
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_flow_one_way(package):
    own = package.replace("/", ".")
    for file in sorted((ROOT / package).glob("*.py")):
        ours = {n for n in imported(file) if n.split(".")[0] in {"audit", "baselines", "reports"}}
        bad = {n for n in ours if not any(is_in(n, p) for p in (own, *ALLOWED[package]))}
        assert not bad, f"{file.name} must not import {sorted(bad)}"


@pytest.mark.parametrize("check", sorted((ROOT / "audit/checks").glob("[a-z]*.py")))
def test_checks_do_not_know_each_other(check):
    assert not [name for name in imported(check) if name.startswith("audit.checks")]


@pytest.mark.parametrize("module", LIGHT)
def test_nothing_heavy_is_imported_with_it(module):
    code = f"import sys, {module}; print(*{HEAVY} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.split() == []
