"""Nothing takes more than seven parameters: what belongs together is one record."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = 7
FILES = [
    path
    for folder in ("audit", "baselines", "reports")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if folder != "audit" or path.relative_to(ROOT).parts[1] not in ("baselines", "reports")
]


def count(function):
    """Parameters of a function, those that collect the rest included, `self` and `cls` not."""
    given = function.args
    named = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    rest = [a for a in (given.vararg, given.kwarg) if a is not None]
    return len([name for name in named if name not in ("self", "cls")]) + len(rest)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_at_most_seven_parameters(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    many = {
        getattr(node, "name", "lambda")
        for node in ast.walk(tree)
        if isinstance(node, functions) and count(node) > MOST
    }
    assert many == set()


def test_files_are_found():
    assert len(FILES) > 200
