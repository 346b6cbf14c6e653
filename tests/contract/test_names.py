"""The list of names is what checks make: no more, no less."""

import re
from pathlib import Path

import pytest

from audit import checks
from audit.checks import ALL
from audit.policy import vocabulary as names
from audit.runs.report import load_report
from tests.samples.measurements import measurement

KNOWN = checks.vocabulary()
UNMEASURED = (  # by the tiny audit: no circular twin, even classes, right order, nothing to name
    "position.",
    "accuracy_gap.balanced_gain.",
    "labels.moved.",
    "probes.svm.",
    "probes.other_",
    "preprocessing.accuracy.",
    "split_transfer.",
    "preprocessing.gain.",
    "data.file.",
)


@pytest.fixture(scope="module")
def made(finished):
    return {m.name for m in load_report(finished[0]).measurements}


def test_every_measurement_is_in_the_list(made):
    assert [name for name in sorted(made) if not KNOWN.is_made(name)] == []


def test_every_name_in_the_list_is_measured(made):
    missing = []
    for name in KNOWN.quantities:
        stem, place, _ = name.partition("<")
        if not any(m.startswith(stem) if place else m == stem for m in made):
            missing.append(name)
    assert [name for name in missing if not name.startswith(UNMEASURED)] == []


def test_names_that_the_tiny_audit_lacks_stand_in_their_check():
    for name in KNOWN.quantities:
        if name.startswith(UNMEASURED):
            check, quantity = name.partition("<")[0].rstrip(".").split(".", 1)
            (module,) = [c for c in ALL if check == c.NAME]
            files = Path(module.__file__).parent.glob("*.py")
            text = "".join(file.read_text(encoding="utf-8") for file in files)
            text = re.sub(r"^NAMES = \{.*?^\}", "", text, flags=re.MULTILINE | re.DOTALL)
            words = [f'"{quantity.removeprefix("other_")}', f"{{split}}{quantity[4:]}"]
            assert any(word in text for word in words), name


@pytest.mark.parametrize(("pattern", "name", "expected"), [
    ("a.*", "a.b", True), ("a.*", "a.", True), ("a.*", "ab", False), ("*", "a", True),
    ("a*b*c", "a1b2b3c", True), ("ab*ba", "aba", False), ("a[b]", "a[b]", True),
    ("a[b]", "ab", False), ("a?", "ab", False), ("a.b", "a.b", True), ("a**c", "abc", True),
])  # fmt: skip
def test_only_a_star_is_special(pattern, name, expected):
    assert names.fits(pattern, name) is expected


@pytest.mark.parametrize(("pattern", "expected"), [
    ("*", True), ("data.*", True), ("*.subject", True), ("accuracy_gap.gain.bagnet-9", True),
    ("accuracy_gap.gain.bagnet-8", False), ("accuracy_gap.gain", False), ("dat.*", False),
    ("accuracy_gap.class_gap.[x].*'", True), ("accuracy_gap.class_gap.", False),
    ("transfer.*.layer1", True), ("*oadaptation.fc", True),
    ("reference.data.groups", True), ("reference.accuracy_gap.heldout.*", False),
    ("reference.reference.data.groups", False), ("accuracy_gap.crashed", False), ("", False),
])  # fmt: skip
def test_what_a_check_can_make(pattern, expected):
    assert KNOWN.is_made(pattern) is expected


def test_the_nearest_name():
    assert KNOWN.nearest_name("accuracy_gap.gian.*") == "accuracy_gap.gain.*"
    assert KNOWN.nearest_name("data.leaks") == "data.near_leaks"
    assert KNOWN.nearest_name("reference.data.group") == "reference.data.groups"
    assert KNOWN.nearest_name("reference.xyzzy") == ""


def test_a_class_may_be_called_crashed():
    assert measurement("transfer.crashed", 0).crashed
    assert not measurement("accuracy_gap.class_gap.crashed", 0).crashed
