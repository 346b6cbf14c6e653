"""1,000 classes, hostile names and 200-character file names: shown whole or cut, never live."""

import itertools

import html5lib
import numpy as np
import pytest
from lxml import etree, html
from markdown_it import MarkdownIt
from PIL import Image

from audit.reports import FORMATS, model_card
from audit.reports import yaml as plain_yaml
from audit.reports.charts.svg import svg
from audit.reports.document import Picture
from audit.reports.html import render
from audit.reports.markdown import render as markdown
from audit.reports.model_card import write_model_card
from audit.reports.text import visible
from tests.samples.report import GRID, HOSTILE, TRANSFER, crowded_document, paint, sample_document


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """The document, and its page."""
    folder = tmp_path_factory.mktemp("crowded")
    (folder / "evidence").mkdir()
    paint(folder)
    return crowded_document(), render(crowded_document(), folder)


def parsed(page):
    return html.document_fromstring(page.encode(), parser=html.HTMLParser(encoding="utf-8"))


def test_nothing_in_a_crowded_page_is_live(crowded):
    tree = parsed(crowded[1])
    assert not tree.xpath("//script | //link | //iframe | //object | //form | //base")
    assert not [name for e in tree.iter(etree.Element) for name in e.attrib if name[:2] == "on"]
    assert not tree.xpath("//img[not(starts-with(@src, 'data:image/'))]")


@pytest.mark.parametrize("make", [sample_document, crowded_document])
def test_the_page_is_html_5_to_the_letter(make, tmp_path):
    parser = html5lib.HTMLParser(strict=True)  # raises at the first fault
    assert parser.parse(render(make(), tmp_path)) is not None
    headings = [int(h.tag[1]) for h in parsed(render(make(), tmp_path)).iter("h1", "h2", "h3")]
    assert headings[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(headings))


def test_every_class_is_in_the_table_and_the_page_stays_small(crowded):
    document, page = crowded
    table = parsed(page).xpath("//table[contains(caption, 'all measurements')]")[0]
    named = [row[0].text_content() for row in table.xpath(".//tbody/tr")]
    wanted = [visible(str(row["class"]), 600) for row in document.sections[0].rows]
    assert named == wanted
    assert len(page.encode()) < 1_000_000


def test_a_label_is_cut_to_its_place_and_whole_in_the_table(crowded):
    drawn = parsed(crowded[1]).xpath("//svg//text/text()")
    assert max(map(len, drawn)) < 120
    assert any(text.endswith("…") for text in drawn)
    assert visible(HOSTILE[3]) in parsed(crowded[1]).xpath("//figure//th/text()")


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_takes_a_crowded_document(write, crowded, tmp_path):
    text = write(crowded[0], tmp_path).read_text()
    assert "<script>" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_the_pictures_of_a_page_have_a_budget(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    pictures = tuple(Picture(file="noise.png", caption=f"{i}") for i in range(60))
    document = sample_document()
    section = document.sections[0].model_copy(update={"pictures": pictures})
    page = render(document.model_copy(update={"sections": (section,)}), tmp_path)
    assert page.count("Left out to keep this page small") == 58
    assert len(page.encode()) < 5_000_000


# The first screen


def test_the_first_screen_says_what_was_audited_and_how_sure_it_is(tmp_path):
    facts = {"Model": "m", "Date": "2026-01-02", "Tool": "null-audit 0.1.0"}
    document = sample_document().model_copy(update={"audited": facts, "certainty": "Very."})
    header = parsed(render(document, tmp_path)).xpath("//header")[0]
    text = " ".join(header.text_content().split())
    words = ("inconclusive", "not certain", "88.5 %", "How sure. Very.", "2026-01-02")
    places = [text.index(word) for word in words]
    assert places == sorted(places)
    assert "Container" not in text


def test_a_section_is_picture_then_meaning_then_doubt_then_images(tmp_path):
    section = parsed(render(sample_document(), tmp_path)).xpath("//section[@id='section-1']")[0]
    kinds = [child.get("class") or child.tag for child in section]
    order = ["h2", "chart", "summary", "details", "caveats", "album", "album", "references"]
    assert kinds == order


# Charts


@pytest.mark.parametrize("width", [840, 360])
def test_a_grid_holds_every_share_as_stored(width):
    root = etree.fromstring(svg(GRID, width))
    held = {(g.get("data-series"), g.get("data-x")): g.get("data-y")
            for g in root.xpath("//g[@data-y]")}  # fmt: skip
    stored = {(s.name, x): repr(y) for s in GRID.series for x, y in zip(s.x, s.y, strict=True)}
    assert held == stored
    texts = root.xpath("//text/text()")
    assert {"61.0 %", "60.0 to 62.0 %", "not measured"} <= set(texts)
    edge = [float(r.get("x")) + float(r.get("width")) for r in root.iter("rect")]
    assert max(edge) <= width


def test_the_deeper_the_colour_the_larger_the_share():
    fields = etree.fromstring(svg(GRID)).xpath("//g[@data-y]")
    depth = {float(g.get("data-y")): float(g.find("rect").get("fill-opacity")) for g in fields}
    assert sorted(depth, key=depth.get)[-3:] == [0.06, 0.17, 0.61]


def test_points_are_printed_in_points(crowded):
    root = etree.fromstring(svg(crowded[0].sections[0].charts[0]))
    texts = root.xpath("//text/text()")
    assert "1.0 (−10.0 to 10.0)" in texts
    assert {"−10", "0", "10"} <= set(texts)
    assert not [text for text in texts if text.endswith(" %")]


def test_a_long_name_of_a_curve_takes_two_lines():
    series = TRANSFER.series[0].model_copy(update={"name": "frozen, and all the rest learned anew"})
    chart = TRANSFER.model_copy(update={"series": (series,), "limits": ()})
    texts = etree.fromstring(svg(chart, 360)).xpath("//text/text()")
    assert "frozen, and all" in texts
    assert "the rest learned" in " ".join(texts)


# The model's card


def test_a_hub_reads_the_card(tmp_path):
    from huggingface_hub import ModelCard

    document = sample_document()
    numbers = (
        document.numbers[0].model_copy(update={"metric": "accuracy", "estimate": 0.885}),
        *document.numbers[1:],
    )
    document = document.model_copy(update={"numbers": numbers, "data_source": HOSTILE[1]})
    card = ModelCard(write_model_card(document, tmp_path).read_text())
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.885)
    assert result.task_type == "image-classification"
    assert result.dataset_name == HOSTILE[1]
    assert "**Inconclusive.**" in card.text


def test_a_card_without_a_number_has_no_front_matter():
    assert model_card.render(sample_document()).startswith("## Audit")


def test_a_hostile_title_stays_one_string_in_the_front_matter():
    number = sample_document().numbers[0].model_copy(update={"metric": "accuracy", "estimate": 0.5})
    for name in HOSTILE:
        update = {"title": name, "numbers": (number,)}
        text = model_card.render(sample_document().model_copy(update=update))
        front = plain_yaml.load(text.split("---\n")[1])
        assert front["model-index"][0]["name"] == visible(name)


def test_the_summary_of_a_crowded_report_has_one_row_a_limit(crowded):
    tokens = MarkdownIt().enable("table").parse(markdown(crowded[0]))
    rows = sum(token.type == "tr_open" for token in tokens)
    assert rows == len(crowded[0].gates) + len(crowded[0].numbers) + 2
