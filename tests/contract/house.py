"""The rooms of the code, the floor that each is on, and the imports between the files.

Needs only the standard library, and reads files without importing them, so that it can look at any
checkout: `tests/contract/test_imports.py` and `benchmarks/house.py` both use it.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

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
    "audit": 6,  # the Python interface
    "audit.commands": 6,
    "audit.cli": 6,
    "benchmarks": 6,
}
PRODUCT = ("audit", "baselines", "reports")
Graph = Mapping[str, set[str]]  # module -> modules of this project that it imports


def python_files(tree: Path, folder: str) -> list[Path]:
    """List a folder's Python files, without those that lie behind links to other folders."""
    top = tree / folder
    links = [path for path in top.glob("*") if path.is_symlink()]
    return [
        path
        for path in sorted(top.rglob("*.py"))
        if not any(path.is_relative_to(link) for link in links)
    ]


def modules(tree: Path = ROOT) -> dict[Path, str]:
    """Map every file of the product and of `benchmarks/` to its name as a module.

    Args:
        tree: Checkout. In older ones `baselines` and `reports` are packages of their own.
    """
    return {
        path: _inside_audit(tree, folder) + ".".join(path.relative_to(tree).with_suffix("").parts)
        for folder in (*PRODUCT, "benchmarks")
        for path in python_files(tree, folder)
    }


def _inside_audit(tree: Path, folder: str) -> str:
    return "audit." if (tree / "audit" / folder).exists() else ""


def room(module: str) -> str:
    """Return the longest name of a room that a module lies in, or "" if it lies in none."""
    rooms = [name for name in FLOORS if module == name or module.startswith(f"{name}.")]
    return max(rooms, key=len, default="")


def imported(file: Path, known: set[str]) -> Iterator[str]:
    """Yield the modules that a file names in any import, those inside functions included.

    Args:
        file: Python file.
        known: Modules of this project, without ".__init__".
    """
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in whole)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imports(files: Mapping[Path, str]) -> dict[str, set[str]]:
    """Map every module to the modules of this project that it imports.

    Args:
        files: Names of modules by file, as `modules` returns them.
    """
    known = {name.removesuffix(".__init__") for name in files.values()}
    tops = {name.split(".")[0] for name in known}
    return {
        name: {target for target in imported(path, known) if target.split(".")[0] in tops}
        for path, name in files.items()
    }


def goes_up(module: str, target: str) -> bool:
    """Tell whether an import leads from one room into another that is not on a lower floor."""
    own, other = room(module), room(target)
    return own != other and FLOORS[other] >= FLOORS[own]


def circles(graph: Graph) -> list[list[str]]:
    """List the groups of modules that import each other in a circle.

    Args:
        graph: Modules without ".__init__"; targets that are not keys are left out.
    """
    reached = {module: _reachable(graph, module) for module in graph}
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in graph
        if module in reached[module]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(graph: Graph, start: str) -> set[str]:
    """Return the modules that a module loads in the end; itself only if it is in a circle."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module in graph and module not in found:
            found.add(module)
            waiting += graph[module]
    return found


def longest_chain(graph: Graph) -> list[str]:
    """Return the longest chain of modules, each of which imports the next.

    A circle counts as one link of the chain and is named by its first module.

    Args:
        graph: As in `circles`.
    """
    name_of = {module: group[0] for group in circles(graph) for module in group}
    joined: dict[str, set[str]] = {}
    for module, targets in graph.items():
        own = name_of.get(module, module)
        others = {name_of.get(target, target) for target in targets if target in graph}
        joined.setdefault(own, set()).update(others - {own})
    chains: dict[str, list[str]] = {}
    for module in joined:
        _chain(joined, module, chains)
    return max(chains.values(), key=len, default=[])


def _chain(graph: Graph, module: str, chains: dict[str, list[str]]) -> list[str]:
    """Return the longest chain that begins with a module; the graph has no circles."""
    if module not in chains:
        rest = [_chain(graph, target, chains) for target in sorted(graph[module])]
        chains[module] = [module, *max(rest, key=len, default=[])]
    return chains[module]
