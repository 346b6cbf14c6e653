"""The house stays small: one class per name, few files flat in `audit/`, no long file."""

import ast
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.contract.house import (
    PRODUCT,
    ROOT,
    circles,
    goes_up,
    imports,
    longest_chain,
    modules,
    python_files,
    room,
)

FILES = [path for folder in PRODUCT for path in python_files(ROOT, folder)]
MOST_FLAT, MOST_LINES = 6, 400


def test_no_two_classes_have_one_name():
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_few_files_lie_flat_in_audit():
    assert len(list((ROOT / "audit").glob("*.py"))) <= MOST_FLAT


def test_no_file_is_long():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > MOST_LINES} == {}


def test_every_file_is_seen_once():
    seen = modules()
    assert set(FILES) <= set(seen)
    assert len(set(seen.values())) == len(seen)
    assert {path.resolve() for path in seen} == set(seen)


def test_every_folder_is_a_room():
    outside = [name for name in modules().values() if room(name) == "audit"]
    assert all(name.count(".") == 1 for name in outside), outside


@pytest.mark.parametrize(("module", "target", "expected"), [
    ("audit.model.spec", "audit.core.sizes", False),  # down
    ("audit.model.spec", "audit.model.sets", False),  # in its room
    ("audit.model.spec", "audit.data.load", True),  # a room on the same floor
    ("audit.core.sizes", "audit.pipeline.audit", True),
])  # fmt: skip
def test_an_import_that_goes_up_is_seen(module, target, expected):
    assert goes_up(module, target) is expected


def test_chains_and_circles():
    graph = {"a": {"b", "x"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"e"}}
    assert circles(graph) == [["b", "c"], ["e"]]
    assert longest_chain(graph) == ["a", "b", "d"]


def figures(*words):
    command = [sys.executable, "-m", "benchmarks.house", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line[:1] == "|"]
    return dict(row for row in rows if len(row) == 2)


def test_the_figures_of_this_checkout_are_printed():
    found = figures()
    assert int(found["files flat in audit/"]) <= MOST_FLAT
    assert int(found["lines of the longest of these files"]) <= MOST_LINES


def test_the_figures_of_a_checkout_without_rooms_are_printed(tmp_path):
    for name, text in {
        "audit/__init__.py": "from audit.stored import load\n",
        "audit/stored.py": "def load():\n    import audit.folder\n    import baselines.x\n",
        "audit/folder.py": "import audit\n",
        "baselines/x.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = figures("--tree", tmp_path)
    assert found["rooms"] == "not counted, since 3 files lie in no room"
    assert found["circles of imports"] == "1"
    assert found["longest chain of imports, modules"] == "2"  # the circle, baselines.x
    assert found["lines of audit/, baselines/ and reports/"] == "5"


def test_no_modules_import_each_other_in_a_circle():
    graph = {name.removesuffix(".__init__"): found for name, found in imports(modules()).items()}
    assert circles(graph) == []
