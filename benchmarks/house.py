"""Figures of the house: rooms, floors, imports that go up, circles, chains and lines.

    python -m benchmarks.house               # of this checkout, from its root
    python -m benchmarks.house --tree OLDER  # of another one, whose rooms may be unknown

Rooms and floors are those of `tests/contract/house.py`. Imports inside functions count. The longest
chain and the circles are those of the product, without `benchmarks/`.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.contract.house import (
    FLOORS,
    PRODUCT,
    ROOT,
    Graph,
    circles,
    goes_up,
    imports,
    longest_chain,
    modules,
    python_files,
    room,
)

INTERFACE = (
    "audit",
    "audit.__main__",
    "audit.api",
)  # the files directly in audit/ that are the room `audit`


class Figure(NamedTuple):
    """One row of the table, and what it counts.

    Attributes:
        name: What is counted, and its unit.
        value: Number in words.
        counted: What was counted, if it is worth a list.
    """

    name: str
    value: str
    counted: Sequence[str] = ()


def figures(tree: Path) -> Iterator[Figure]:
    """Yield each figure of a checkout.

    Args:
        tree: Root of the checkout.
    """
    found = {name.removesuffix(".__init__"): to for name, to in imports(modules(tree)).items()}
    yield from _of_rooms(found)
    product = {name: to for name, to in found.items() if not name.startswith("benchmarks.")}
    chain = longest_chain(product)
    yield Figure("longest chain of imports, modules", str(len(chain)), [" > ".join(chain)])
    groups = circles(product)
    yield Figure("circles of imports", str(len(groups)), [" = ".join(names) for names in groups])
    yield Figure("files flat in audit/", str(len(list((tree / "audit").glob("*.py")))))
    lines = _lines(tree, *PRODUCT)
    yield Figure("files of audit/, baselines/ and reports/", str(len(lines)))
    yield Figure("lines of audit/, baselines/ and reports/", f"{sum(lines):,}")
    yield Figure("lines of the longest of these files", str(max(lines, default=0)))
    yield Figure("lines of tests/", f"{sum(_lines(tree, 'tests')):,}")


def _of_rooms(graph: Graph) -> Iterator[Figure]:
    """Yield what depends on rooms, unless some module lies in none of its own."""
    homeless = [name for name in graph if room(name) in ("", "audit") and name not in INTERFACE]
    if homeless:
        unknown = f"not counted, since {len(homeless)} files lie in no room"
        yield from (Figure(name, unknown) for name in ("rooms", "floors", "imports that go up"))
        return
    rooms = {room(name) for name in graph}
    yield Figure("rooms", str(len(rooms)))
    yield Figure("floors", str(len({FLOORS[name] for name in rooms})))
    up = [
        f"{name} > {to}" for name, targets in graph.items() for to in targets if goes_up(name, to)
    ]
    yield Figure("imports that go up", str(len(up)), sorted(up))


def _lines(tree: Path, *folders: str) -> list[int]:
    """Return the number of lines of every Python file in some folders."""
    files = [path for folder in folders for path in python_files(tree, folder)]
    return [len(path.read_text(encoding="utf-8").splitlines()) for path in files]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Print the figures of the house.")
    parser.add_argument(
        "--tree", type=Path, default=ROOT, metavar="DIR", help="Root of a checkout."
    )
    tree = parser.parse_args().tree.resolve()
    if not (tree / "audit").is_dir():
        parser.error(f"no folder 'audit' in {str(tree)!r}. Give the root of a checkout.")
    found = list(figures(tree))
    print("| figure | value |\n|---|---|")
    for figure in found:
        print(f"| {figure.name} | {figure.value} |")
    for figure in found:
        for line in figure.counted:
            print(f"\n{figure.name}: {line}")


if __name__ == "__main__":
    main()
