"""A child that reads untrusted files starts bare, and what it gives up it cannot take back."""

from pathlib import Path

import pytest

from audit.core.child_limits import NOTHING_OF, limit_process, start_isolated

HEAD = (
    "import os, resource, sys; sys.path.append(sys.argv[1]); "
    "from audit.core.child_limits import limit_process, NOTHING_OF\n"
)
LIMIT = "limit_process(['utf_16'], memory=2**30, written=9)\n"


def said(code):
    child = start_isolated(HEAD + code, [Path(__file__).parents[2]], {"A": "1"})
    return child.communicate()[0].decode().split()


def test_it_starts_without_the_users_variables_and_folder(monkeypatch):
    monkeypatch.setenv("PYTHONSTARTUP", "x")

    assert said("print(os.getcwd(), *sorted(os.environ.keys() - {'LC_CTYPE'}))") == ["/", "A"]


@pytest.mark.parametrize("limited", [True, False])
def test_every_limit_is_for_good(limited):
    names = (*NOTHING_OF, "RLIMIT_AS", "RLIMIT_FSIZE")
    code = f"print(*(v for n in {names} for v in resource.getrlimit(getattr(resource, n))))"

    found = said((LIMIT if limited else "") + code)

    assert (found == ["0"] * 6 + [str(2**30)] * 2 + ["9"] * 2) == limited


def test_a_lower_limit_that_was_set_before_stays():
    before = "resource.setrlimit(resource.RLIMIT_FSIZE, (5, 5))\n"

    assert said(f"{before}{LIMIT}print(*resource.getrlimit(resource.RLIMIT_FSIZE))") == ["5", "5"]


def test_a_misspelt_limit_is_an_error():
    with pytest.raises(TypeError):
        limit_process([], memroy=1, written=0)
