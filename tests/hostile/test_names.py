"""Classes and files with hostile names go through a whole audit: every output is harmless."""

import csv
import gzip
import io
import os
import xml.etree.ElementTree as ElementTree

import pytest
import yaml as older_yaml
from lxml import html

from audit.data.scan import displayable
from audit.reports import yaml
from audit.reports.text import visible
from tests.samples.audits import invoked, make_folder, tiny_flags

CLASSES = {  # three at a time: the model has as many outputs
    "live": ("\x1b[31mred\r\n::error::stop\u202e", '"><img src=x onerror=alert(1)>',
             "=1+cmd|' !A0"),
    "YAML words": ("no", "null", "1e3"),
    "more": (os.fsdecode(b"\xff\xfe"), "x" * 200, "__proto__"),
    "templates": ("!!python/object/apply:os.system", "{{7*7}}{% raw %}", "a\\b`|`c"),
    "unseen": ("\U0001f600\ufe0f", "zero\u200bwidth", "-rf"),
}  # fmt: skip
FILES = ("=HYPERLINK(1).png", "-rf.png", "##vso[task.complete].png", "{{7*7}}.png", "__proto__.png",
         "x" * 200 + ".png", os.fsdecode(b"\xff\xfe.png"), "no.png", "a\\b`|`c.png")  # fmt: skip
LIVE = ("\x1b", "\u202e", "\u200b", "\ufe0f", "\n::error::")
MARKUP = (".html", ".xml", ".md")


@pytest.fixture(scope="module", params=CLASSES)
def hostile_run(request, tmp_path_factory, model, cache):
    """The run folder, all that was printed, and the names of the classes."""
    root, classes = tmp_path_factory.mktemp("hostile"), sorted(CLASSES[request.param])
    data = make_folder(root / "data", {"train": 60, "val": 80}, classes)
    for label in classes:
        for i, name in enumerate(FILES):
            (data / "val" / label / f"{i:03d}.png").rename(data / "val" / label / name)
    return root / "run", invoked(model, *tiny_flags(data, cache, root / "run")), classes


def strings(value):
    """All strings in nested data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


@pytest.mark.slow
def test_no_name_does_anything_in_any_output(hostile_run):
    run, result, _ = hostile_run
    texts = {
        file.name: file.read_text() for file in run.iterdir() if file.suffix not in (".gz", "")
    }
    texts |= {"terminal": result.output + result.stderr}
    for name, text in texts.items():
        assert not [mark for mark in LIVE if mark in text], name
        assert not name.endswith(MARKUP) or "<img src=x" not in text, name
        assert all(line.isprintable() for line in text.replace("\t", "").splitlines()), name


@pytest.mark.slow
def test_names_are_whole_where_they_are_stored(hostile_run):
    run, _, classes = hostile_run
    text = (run / "report.yaml").read_text()
    stored = {visible(each, 10**6) for each in strings(yaml.load(text))}
    page = html.fromstring((run / "report.html").read_text()).text_content()
    for name in map(visible, map(displayable, classes)):
        assert any(name in each for each in stored)
        assert name in page
    assert list(strings(yaml.load(text))) == list(strings(older_yaml.safe_load(text)))
    ElementTree.parse(run / "junit.xml")


@pytest.mark.slow
def test_no_cell_of_the_table_is_a_formula(hostile_run):
    run, _, _ = hostile_run
    text = gzip.decompress((run / "predictions.csv.gz").read_bytes()).decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 241
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
