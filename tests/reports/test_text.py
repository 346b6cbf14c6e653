"""What every format shares: numbers and names in words, YAML, and writing whole files."""

import math
import os
import re
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml as pyyaml

from audit.reports.document import Document
from audit.reports.files import write_atomic
from audit.reports.text import interval, is_hidden, number, visible
from audit.reports.yaml import dump, load
from tests.samples.report import HOSTILE, NAN, sample_document

# Words and numbers


def test_numbers_are_printed_by_their_unit():
    assert number(0.7342, "fraction") == "73.4 %"
    assert number(-0.0199, "points") == "−2.0 points"
    assert number(0.3051, "gain") == "0.31"
    assert number(NAN, "gain") == "not measured"
    assert number(0.0001, "fraction") == "<0.1 %"
    assert number(0.9999, "fraction") == ">99.9 %"
    assert number(-0.0001, "points") == "0.0 points"
    assert number(12345, "images") == "12,345 images"
    assert interval(0.712, 0.756, "fraction") == "71.2 to 75.6 %"
    assert interval(NAN, NAN, "gain") == "no interval"
    assert interval(-math.inf, 2.0, "ratio") == "−∞ to 2.00"


def test_hidden_characters_become_visible():
    assert visible("a\u202eb\x1b\x00\n\U000e0041") == r"a\u202eb\x1b\x00\n\U000e0041"
    assert visible("Ångström חתול 🐈 日本") == "Ångström חתול 🐈 日本"
    assert visible(r"C:\data") == r"C:\data"
    assert all(visible(visible(name)) == visible(name) for name in HOSTILE)


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7, 8, 20])
def test_a_cut_splits_neither_an_escape_nor_an_accent(limit):
    text = visible("ab\u202ec" + "e\u0301" * 10, limit)
    assert len(text) <= limit
    assert text.endswith("…")
    assert re.fullmatch(r"a?b?(\\u202e)?c?(e\u0301)*…", text)


# YAML

TRAPS = (
    *("1e3", "no", "Yes", "null", "~", "0o7", "0x1f", "1_000", "12:30", "2024-01-01", "", "="),
    *("<<", ".nan", "nan", "-", "a: b", "# c", " x ", "'", '"', "é", "x\ny", "true", "010"),
    *HOSTILE,
)


@pytest.mark.parametrize("text", TRAPS)
def test_a_string_stays_a_string_for_both_versions_of_yaml(text):
    written = dump({"a": text, text or "k": [text]})
    assert load(written) == {"a": text, text or "k": [text]}  # by the rules of 1.2
    assert pyyaml.safe_load(written) == load(written)  # by the rules of 1.1


@pytest.mark.parametrize("word", ["no", "Y", "on", "true", "Null", "none", "nan", "inf"])
def test_a_word_that_some_reader_takes_for_more_is_quoted(word):
    assert dump({word: word, "plain": "BagNet-9"}) == f'"{word}": "{word}"\nplain: BagNet-9\n'


def test_nothing_hidden_stands_in_yaml():
    written = dump({name: name for name in (*HOSTILE, "a\u2066b\u00ad\u3164\ufe0f")})
    assert not any(is_hidden(character) for character in written.replace("\n", ""))


def test_a_whole_document_comes_back():
    written = dump(sample_document().model_dump())
    back = Document.model_validate(load(written))
    assert repr(back) == repr(sample_document())
    assert dump(back.model_dump()) == written
    assert repr(Document.model_validate(pyyaml.safe_load(written))) == repr(back)


def test_numbers_come_back_exactly():
    numbers = [1e-5, 0.1 + 0.2, 1e22, -0.0, 3.0, 3, -(10**30), math.inf, True, None]
    assert repr(load(dump({"n": numbers}))["n"]) == repr(numbers)
    assert math.isnan(load(dump({"n": NAN}))["n"])


def test_a_hand_written_file_means_what_it_says():
    text = "rate: 1e-3\ncountry: no\ntime: 12:30\nday: 2024-01-01\nsize: 010\nflag: true\nnone:\n"
    data = {"rate": 1e-3, "country": "no", "time": "12:30", "day": "2024-01-01", "size": 10}
    assert load(text) == data | {"flag": True, "none": None}
    assert load("# nothing\n") == {}


REFUSED = {
    "a: &x 1\nb: *x": "line 1",
    "a: 1\nb:\n  c: 1\n  c: 2": "line 4: the key",
    "a: !!python/object/apply:os.system [ls]": "line 1: tags",
    "a: 1\n---\nb: 1": "line 2: a second document",
    "- 1": "line 1: the file must hold a mapping",
    "a: 1\nb: [1,\n": "line 3: not valid YAML",
    "a: " + "[" * 100_000: "line 1: nested deeper",
    "a: 1\nb: \x07": "line 2: a character",
    "a: 1e999": "line 1: a number too large",
    "1: a": "line 1: the file must hold a mapping of names",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:12])
def test_yaml_refuses_with_the_line(text):
    with pytest.raises(ValueError, match=REFUSED[text]):
        load(text)


def test_yaml_refuses_what_is_too_large(monkeypatch):
    monkeypatch.setattr("audit.reports.yaml.MOST_BYTES", 10)
    with pytest.raises(ValueError, match="11 bytes are more than the 10 allowed"):
        load("a: 12345678")


def test_yaml_writes_plain_data_only():
    with pytest.raises(ValueError, match="plain data only, got"):
        dump({"a": Path()})
    assert load(dump({"a": "not utf-8: \udc80"})) == {"a": r"not utf-8: \udc80"}


# Files


@contextmanager
def files_at_most(size):
    """Let the system refuse to write more than `size` bytes to any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_refused_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "report.html"
    write_atomic(path, b"old")
    with files_at_most(100), pytest.raises(OSError, match="5,000 bytes failed") as caught:
        write_atomic(path, b"x" * 5000)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_plain_write_would_have_destroyed_it(tmp_path):
    """The control of the test above."""
    path = tmp_path / "report.html"
    path.write_bytes(b"old")
    with files_at_most(100), pytest.raises(OSError, match="too large"):
        path.write_bytes(b"x" * 5000)
    assert path.read_bytes() != b"old"


def test_bytes_are_on_disk_before_the_name_moves(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, r=real: (calls.append(n), r(*a)))
    write_atomic(tmp_path / "a", b"new")
    assert calls == ["fsync", "replace", "fsync"]
