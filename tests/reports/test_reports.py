"""The writers: what is drawn is what is stored, and no name from input can act."""

import math
import re
import statistics
import subprocess
import sys

import jinja2
import pytest
from jinja2 import Environment
from lxml import etree, html
from markdown_it import MarkdownIt
from PIL import Image

from audit.reports import FORMATS, pictures
from audit.reports.charts.axes import fit, spread, text_width, ticks
from audit.reports.charts.svg import svg
from audit.reports.document import Document, Series
from audit.reports.html import render
from audit.reports.junit import write_junit
from audit.reports.markdown import plain, write_markdown
from audit.reports.text import visible
from tests.samples.report import (
    DIMENSION,
    GATES,
    HOSTILE,
    LADDER,
    NAN,
    PROFILE,
    TRANSFER,
    gate,
    paint,
    sample_document,
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A whole report, and the folder with its pictures."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "evidence").mkdir()
    paint(folder)
    return sample_document(), folder


def parsed(page):
    return html.document_fromstring(page.encode(), parser=html.HTMLParser(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(sample):
    return render(*sample)


# Every format


@pytest.mark.parametrize("write", FORMATS)
def test_the_same_document_gives_the_same_bytes(write, sample):
    document, folder = sample
    first = write(document, folder).read_bytes()
    assert write(Document.model_validate(document.model_dump()), folder).read_bytes() == first
    assert document.verdict.encode() in first.lower()


@pytest.mark.parametrize("write", FORMATS)
def test_no_hidden_character_and_no_build_command_reaches_a_file(write, sample):
    text = write(*sample).read_text()
    assert not re.search("[\u202e\u200b\ufeff\x1b\x00\r]", text)
    assert "##vso[" not in text
    assert not re.search(r"(?<!\S)::error::", text)


@pytest.mark.parametrize("write", FORMATS)
def test_an_empty_document_can_be_written(write, tmp_path):
    empty = Document(title="m", verdict="inconclusive", headline="Nothing.", exit_code=3)
    assert "inconclusive" in write(empty, tmp_path).read_text().lower()


def test_importing_the_writers_is_cheap():
    code = "import audit.reports, sys; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "matplotlib", "jinja2", "pandas", "numpy", "PIL", "lxml", "audit.record"}
    assert heavy.isdisjoint(told.stdout.split())


# Charts


@pytest.mark.parametrize("width", [840, 360])
@pytest.mark.parametrize("chart", [LADDER, DIMENSION, TRANSFER], ids=lambda c: c.title[:9])
def test_a_chart_holds_every_value_and_interval_as_stored(chart, width):
    found = etree.fromstring(svg(chart, width)).xpath("//g[@data-y]")
    held = [[g.get(f"data-{k}") for k in ("series", "y", "low", "high")] for g in found]
    stored = [
        [s.name, *map(repr, point)]
        for s in chart.series
        for point in zip(s.y, s.low, s.high, strict=True)
    ]
    assert sorted(held) == sorted(stored)


def test_a_dot_stands_where_its_value_is():
    """The ladder's axis is linear: places and values are the same up to scale and offset."""
    root = etree.fromstring(svg(LADDER))
    dots = [g for g in root.xpath("//g[@data-y]") if g.find("path") is not None]
    values = [float(g.get("data-y")) for g in dots]
    places = [float(re.search(r"\(([\d.]+)", g.find("path").get("transform"))[1]) for g in dots]
    slope, offset = statistics.linear_regression(values, places)
    assert len(dots) == 10
    assert slope > 100
    assert places == pytest.approx([offset + slope * v for v in values], abs=0.02)


def test_what_was_not_measured_is_said_and_not_drawn():
    row = etree.fromstring(svg(LADDER)).xpath("//g[@data-series='CoordConv-9']")[0]
    assert row.findall("text")[1].text == "not measured"
    assert row.find("path") is None
    lines = etree.fromstring(svg(TRANSFER))
    assert "Not measured: BnB BagNet-9 at 0.51; untrained prefix" in lines.xpath("//text/text()")


@pytest.mark.parametrize("kind", ["interval", "line"])
@pytest.mark.parametrize("y", [(NAN, NAN), (), (math.inf, NAN)])
def test_a_chart_of_nothing_still_renders(kind, y):
    series = Series(name="m", role="null", x=tuple(range(len(y))), y=y)
    chart = LADDER.model_copy(update={"kind": kind, "series": (series,), "limits": ()})
    text = "".join(etree.fromstring(svg(chart)).itertext())
    assert "not measured" in text.lower()


def test_a_chart_is_text_with_a_title_and_unique_ids(page):
    root = etree.fromstring(svg(LADDER))
    assert root.find("title").text == LADDER.title
    assert root.find("desc").text == LADDER.description
    assert "BagNet-9" in root.xpath("//text/text()")
    ids = parsed(page).xpath("//@id")
    assert len(ids) == len(set(ids)) > 10


def test_a_role_has_one_colour_in_every_chart():
    styles = {
        (s.role, g.find("path").get("stroke"))
        for chart in (LADDER, PROFILE, TRANSFER)
        for s in chart.series
        for g in etree.fromstring(svg(chart)).xpath(f"//g[@data-series='{s.name}']")
        if g.find("path") is not None
    }
    assert len({colour for _, colour in styles}) == len(styles) == 4


def test_labels_move_apart_and_no_further_than_needed():
    assert spread([10, 50, 90], 17, 0, 100) == [10, 50, 90]
    assert spread([50, 50, 49], 10, 0, 100) == pytest.approx([49.67, 59.67, 39.67], abs=0.01)
    crowded = spread([100, 100, 0, 100], 20, 0, 100)
    assert sorted(crowded) == pytest.approx([0, 60, 80, 100])


def test_ticks_are_round_and_enclose_the_values():
    assert ticks([0.8, 0.9]) == pytest.approx([0.8, 0.82, 0.84, 0.86, 0.88, 0.9])
    assert ticks([]) == []
    assert len(ticks([3.0, 3.0])) > 2
    assert text_width(fit("a long label of a model", 60, 13), 13) <= 60


# HTML


def test_the_page_has_no_script_and_needs_nothing_from_outside(page):
    tree = parsed(page)
    assert not tree.xpath("//script | //link | //iframe | //object | //form | //base")
    assert not [name for e in tree.iter(etree.Element) for name in e.attrib if name[:2] == "on"]
    assert all(s.startswith("data:image/png;base64,") for s in tree.xpath("//@src"))
    assert all(link.startswith("#") for link in tree.xpath("//@href"))
    assert "http" not in page.replace("http-equiv", "")
    assert not re.search(r"url\(|@import", page)
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_a_hostile_caption_is_shown_and_not_live(page):
    captions = [e.text_content() for e in parsed(page).xpath("//li//figcaption")]
    assert any("<script>alert(1)</script>" in caption for caption in captions)
    assert any("{{ 7*7 }}{% raw %}" in caption for caption in captions)
    assert any("cat\\u202egpj.exe" in caption for caption in captions)


def test_without_autoescape_the_caption_would_be_live(sample, monkeypatch):
    """The control of the two tests above: they can fail."""
    monkeypatch.setattr(jinja2, "Environment", lambda **k: Environment(**k | {"autoescape": False}))
    tree = parsed(render(*sample))
    assert tree.xpath("//script")
    assert tree.xpath("//img[@onerror]")


def test_the_page_says_what_was_found(page):
    tree = parsed(page)
    assert tree.xpath("//h1")[0].text_content() == "resnet10t.fashion"
    assert tree.xpath("//p[starts-with(@class, 'verdict')]")[0].text_content() == "inconclusive"
    text = " ".join(tree.text_content().split())
    for words in ("88.5 %", "87.0 to 89.9 %", "n = 2,000", "FEW_IMAGES", "about 2,600 more",
                  "78.5 points", "76.2 to 80.7 points", "Not for a release decision", "--quick",
                  "sees objects as people do", "Exit code 3", "arXiv:1904.00760"):  # fmt: skip
        assert words in text


def test_every_table_has_a_caption_and_every_head_a_scope(page):
    tables = parsed(page).xpath("//table")
    sections = sample_document().sections
    assert len(tables) == 1 + sum(len(s.charts) + bool(s.rows) for s in sections)
    assert all(t.find("caption").text_content() for t in tables)
    assert all(th.get("scope") for t in tables for th in t.iter("th"))
    assert all(t.getparent().get("class") == "scroll" for t in tables)


def test_the_table_behind_a_chart_holds_its_numbers(page):
    tables = parsed(page).xpath("//figure[@class='chart']//table")
    rows = [[cell.text_content() for cell in row] for row in tables[0].xpath(".//tbody/tr")]
    assert ["BagNet-9", "84.9 %", "83.2 to 86.4 %"] in rows
    assert ["CoordConv-9", "not measured", "no interval"] in rows
    assert len(rows) == len(LADDER.series) + len(LADDER.limits)
    third = [cell.text for cell in tables[2].xpath(".//tbody/tr[3]/*")]
    assert third == ["BnB resnet10t", "0.51", "86.1 %", "84.9 to 87.3 %"]


def test_a_row_with_a_unit_is_printed_in_it(page):
    table = parsed(page).xpath("//table[contains(caption, 'all measurements')]")[0]
    rows = [[cell.text_content() for cell in row] for row in table.xpath(".//tbody/tr")]
    assert ["moments", "53.7 %", "51.5 to 55.9 %", "fraction", "2000", ""] in rows
    assert ["CoordConv-9", "not measured"] in [row[:2] for row in rows]


def test_the_page_is_small(sample, page):
    pixels = sum(f.stat().st_size for f in sample[1].rglob("*.png"))
    charts = sum(len(section.charts) for section in sample_document().sections)
    assert len(page.encode()) < 60_000 + 30_000 * charts + 4 / 3 * pixels


def test_the_sections_of_a_page_stay_in_order(page):
    headings = parsed(page).xpath("//main//h2 | //footer//h2")
    titles = [h.text_content().split(" \n")[0].strip() for h in headings]
    assert titles[0].startswith("What was required")
    assert [t.split()[0] for t in titles[1:4]] == ["Accuracy", "Last-layer", "Layers"]
    assert titles[4:-3] == [f"{s.title} informs" for s in sample_document().sections[3:]]
    assert titles[-3:] == [
        "What this audit does not establish",
        "Words and signs",
        "Where this comes from",
    ]


# Pictures


def test_a_picture_outside_the_run_folder_is_not_read(tmp_path):
    (tmp_path / "run").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    (tmp_path / "run" / "link.png").symlink_to(tmp_path / "secret.png")
    for file in ("../secret.png", str(tmp_path / "secret.png"), "link.png", "a\0b", "x" * 5000):
        shown = pictures.show(tmp_path / "run", file)
        assert not shown.source
        assert shown.lack.endswith(".")


def test_only_pictures_of_a_known_kind_and_size_are_embedded(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("<svg onload='alert(1)'/>")
    Image.new("RGB", (28, 28)).save(tmp_path / "b.png")
    assert "not a PNG" in pictures.show(tmp_path, "a.png").lack
    assert pictures.show(tmp_path, "b.png").small
    monkeypatch.setattr(pictures, "MOST_BYTES", 10)
    assert "larger" in pictures.show(tmp_path, "b.png").lack


# JUnit


def test_junit_has_one_case_a_limit_and_counts_them(sample):
    suite = etree.parse(write_junit(*sample)).getroot()[0]
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == [gate.name for gate in GATES]
    totals = {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")}
    assert totals == {"tests": "6", "failures": "0", "errors": "1", "skipped": "2"}
    assert cases["gain"].find("error").get("type") == "FEW_IMAGES"
    assert cases["coadaptation"].get("classname") == "audit.warn"
    assert len(cases["gap_prior"]) == 1  # its output alone


def test_junit_shows_a_failed_gate_and_a_hostile_name(tmp_path):
    gates = (gate("gain", "fail", explanation=HOSTILE[6]), gate(HOSTILE[0], "pass"))
    document = Document(title="m", verdict="fail", headline="h", exit_code=1, gates=gates)
    suite = etree.parse(write_junit(document, tmp_path)).getroot()[0]
    assert suite.get("failures") == "1"
    assert suite.find("testcase/failure").get("message").startswith("fail: \\x1b[31mred\\x00")
    assert suite.findall("testcase")[1].get("name") == HOSTILE[0]


def test_junit_is_never_green_without_a_pass(tmp_path):
    gates = (gate("gain", "pass"),)
    document = Document(title="m", verdict="inconclusive", headline="h", exit_code=3, gates=gates)
    suite = etree.parse(write_junit(document, tmp_path)).getroot()[0]
    assert (suite.get("tests"), suite.get("errors")) == ("2", "1")


# Markdown


def test_markdown_tables_hold_one_row_a_limit(sample):
    tokens = MarkdownIt().enable("table").parse(write_markdown(*sample).read_text())
    rows = sum(token.type == "tr_open" for token in tokens)
    cells = sum(token.type == "td_open" for token in tokens)
    numbers = len(sample[0].numbers)
    assert rows == len(GATES) + numbers + 2
    assert cells == 6 * len(GATES) + 4 * numbers


@pytest.mark.parametrize(
    "name", [*HOSTILE, "- x", "1. x", "# x", "/close", "$x$", "![a](b)", "<b>"]
)
def test_a_name_shows_as_itself_in_markdown(name):
    tokens = (
        MarkdownIt().enable("table").parse(f"| a | b |\n|---|---|\n| {plain(name)} | {name[:0]}c |")
    )
    inline = [token for token in tokens if token.type == "inline"][2]
    assert {t.type for t in inline.children} <= {"text", "text_special", "html_inline"}
    assert {t.content for t in inline.children if t.type == "html_inline"} <= {"<!-- -->"}
    shown = "".join(t.content for t in inline.children if t.type != "html_inline")
    assert shown == visible(name).strip()
    alone = MarkdownIt().parse(plain(name))
    assert [t.type for t in alone] == ["paragraph_open", "inline", "paragraph_close"]


def test_a_command_cannot_leave_its_fence(tmp_path):
    document = sample_document().model_copy(update={"command": "audit\n```\n# Pass\n```` x"})
    tokens = MarkdownIt().parse(write_markdown(document, tmp_path).read_text())
    fences = [token.content for token in tokens if token.type == "fence"]
    assert fences == ["audit\n```\n# Pass\n```` x\n"]
