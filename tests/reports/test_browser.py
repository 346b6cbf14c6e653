"""The page as people meet it: in a browser, light and dark, wide, narrow and on paper.

Uses the Chromium of the system; AUDIT_SCREENSHOTS names a folder that keeps the pictures.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from audit.comparison.leaderboard import leaderboard
from audit.comparison.two import compare_two
from audit.pipeline.rejudge import write_formats
from audit.reports.comparison import html as comparison_html
from audit.reports.html import write_html
from audit.runs.finished import load_run
from audit.runs.report import load_report
from tests.samples.report import crowded_document, paint, sample_document
from tests.samples.runs import make_run, wrong

pytestmark = pytest.mark.slow
STORED = Path(__file__).parents[1] / "samples/report-v1"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
PAGES = ("stored", "hostile", "crowded", "compared", "ranked")


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="needs `pip install .[browser]`")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium on the path")
    with driver.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A real report, hostile names, 1,000 classes, and two kinds of comparison."""
    root = tmp_path_factory.mktemp("pages")
    shutil.copytree(STORED, root / "stored")
    write_formats(load_report(root / "stored"), root / "stored")
    for name, document in (("hostile", sample_document()), ("crowded", crowded_document())):
        (root / name / "evidence").mkdir(parents=True)
        paint(root / name)
        write_html(document, root / name)
    runs = [load_run(make_run(root / f"run-{n}", wrong(n), wrong(150), title=f"net{n}",
                              dimension=10 + n / 20)) for n in (30, 40, 80)]  # fmt: skip
    for name, result in (("compared", compare_two(*runs[:2])), ("ranked", leaderboard(runs))):
        (root / name).mkdir()
        (root / name / "report.html").write_text(comparison_html.render(result.document))
    return root


@pytest.fixture
def visit(browser, pages):
    """Opens one of the pages; returns it and all that it said or asked for."""
    contexts = []

    def opened(name, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page, heard = context.new_page(), []
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url))
        page.goto(f"file://{pages / name}/report.html")
        page.wait_for_load_state("networkidle")
        return page, [one for one in heard if not one.startswith(("file:", "data:"))]

    yield opened
    for context in contexts:
        context.close()


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def keep(name, data):
    folder = os.environ.get("AUDIT_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_bytes(data)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_says_nothing_and_asks_for_nothing(visit, name):
    page, heard = visit(name)
    assert heard == []
    pictures = page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
    assert pictures == 0


def test_the_policy_of_the_page_stops_a_script_and_a_request(visit, pages):
    """The control of the test above: a page that tries is heard, and nothing comes of it."""
    text = (pages / "stored/report.html").read_text()
    tries = "<script>document.title = 'live'</script><img src='http://127.0.0.1:9/x.png'>"
    (pages / "tries").mkdir()
    (pages / "tries/report.html").write_text(text.replace("<body>", f"<body>{tries}"))
    page, heard = visit("tries")
    assert page.title() != "live"
    assert sum("violates" in one and "Content Security Policy" in one for one in heard) == 2


def test_a_build_server_that_forbids_styles_still_shows_it(browser, pages):
    """As Jenkins serves artifacts: no style, no picture, yet colours, words and no repetition."""
    policy = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self'"
    body, context = (pages / "stored/report.html").read_text(), browser.new_context()
    page = context.new_page()
    headers = {"content-security-policy": policy, "content-type": "text/html"}
    page.route("**/*", lambda route: route.fulfill(body=body, headers=headers))
    page.goto("http://127.0.0.1/report.html")
    keep("jenkins.png", page.screenshot(full_page=True))
    assert page.evaluate("document.styleSheets.length") == 0
    dot = "getComputedStyle(document.querySelector('.wide g[data-y] path')).fill"
    assert page.evaluate(dot) not in ("rgb(0, 0, 0)", "none")
    tall = "[...document.querySelectorAll('.sign')].map(s => s.getBoundingClientRect().height)"
    assert max(page.evaluate(tall)) < 30
    shown = "[...document.querySelectorAll('.narrow')].filter(d => d.offsetHeight).length"
    assert page.evaluate(shown) == 0
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(visit, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page, _ = visit(name, scheme=scheme)
    unfold(page)
    found = axe.run(page).response
    bad = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    told = [f"{v['id']}: {n['html'][:120]} {n['failureSummary']}" for v in bad for n in v["nodes"]]
    assert told == []
    assert len(found["passes"]) > 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_hangs_out_of_the_page(visit, name, width, scheme):
    page, _ = visit(name, width, scheme)
    keep(f"{name}-{width}-{scheme}.png", page.screenshot(full_page=True))
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    shades = [int(shade) for shade in re.findall(r"\d+", paper)[:3]]
    assert (max(shades) < 60) if scheme == "dark" else (min(shades) > 200)


@pytest.mark.parametrize("name", PAGES)
def test_it_prints_on_a4(visit, name):
    page, _ = visit(name)
    paper = page.pdf(prefer_css_page_size=True)
    keep(f"{name}.pdf", paper)
    boxes = {tuple(map(round, map(float, box.split()))) for box in
             re.findall(r"/MediaBox \[([^]]*)\]", paper.decode("latin-1"))}  # fmt: skip
    assert boxes == {(0, 0, 595, 842)}
