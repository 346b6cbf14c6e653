"""Papers agree with the code: links lead somewhere, rooms are those of the tests, fragments fit."""

import re
import runpy

import pytest

from tests.contract.house import FLOORS, ROOT

PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("changelog/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
CODE = re.compile(r"`((?:audit|tests|baselines|benchmarks|docs|examples)/[\w./-]*\w)`")
LISTED = re.compile(r"^`(\S+)`\n\n```python", re.MULTILINE)  # files that a page tells to write
FRAGMENT = re.compile(r"(added|changed|fixed)-[a-z0-9-]+\.md")


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_that_a_paper_names_are_there(paper):
    text = paper.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link]
    files = CODE.findall(text) if paper.name != "CHANGELOG.md" else []  # which tells of the past
    files = [file for file in files if file not in LISTED.findall(text)]
    missing = [link for link in links if not (paper.parent / link).exists()]
    assert missing + [name for name in files if not (ROOT / name).exists()] == []


def test_the_rooms_of_the_paper_are_those_of_the_tests():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| `([\w.]+)` \| \S", text, re.MULTILINE)
    assert {room: int(floor) for floor, room in rows} == FLOORS


def test_modules_that_the_glossary_names_are_there():
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    names = re.findall(r"`(audit(?:\.\w+)+)`", text)
    assert names
    for name in names:
        parts = name.split(".")
        folder = ROOT.joinpath(*parts)
        if parts[-1][0].isupper():
            file = ROOT.joinpath(*parts[:-1])
            file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
            assert f"class {parts[-1]}" in file.read_text(encoding="utf-8"), name
        else:
            assert folder.is_dir() or folder.with_suffix(".py").is_file(), name


def test_fragments_are_named_by_kind_and_hold_one_entry():
    for path in sorted((ROOT / "changelog").glob("*.md")):
        if path.name != "README.md":
            assert FRAGMENT.fullmatch(path.name), path.name
            assert not path.read_text(encoding="utf-8").startswith(("-", "#", "*")), path.name


def test_fragments_are_put_under_their_headings(tmp_path):
    tool = runpy.run_path(str(ROOT / "changelog/assemble.py"))
    (tmp_path / "fixed-b.md").write_text("B is\nright.\n")
    (tmp_path / "added-a.md").write_text("A " + "long " * 30)
    (tmp_path / "README.md").write_text("# Not an entry\n")

    entries = tool["unreleased"](tmp_path)
    old = "# Changelog\n\n## Unreleased\n\n- old\n\n## 0.1.0\n\n- first\n"
    made = tool["assembled"](old, entries)

    assert entries.startswith("### Added\n\n- A long")
    assert entries.endswith("long\n\n### Fixed\n\n- B is right.\n")
    assert made == f"# Changelog\n\n## Unreleased\n\n{entries}\n## 0.1.0\n\n- first\n"
    assert tool["assembled"](made, entries) == made
