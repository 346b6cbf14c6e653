"""Two runs, or many, beside each other: intervals by hand, refusals, every format."""

import gzip
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy import stats

from audit.comparison.change import change
from audit.comparison.leaderboard import leaderboard
from audit.comparison.significance import more_than_noise, p_value
from audit.comparison.two import compare_two
from audit.core.errors import AuditError
from audit.pipeline.schema import compare_schema
from audit.reports import yaml as plain_yaml
from audit.reports.charts.svg import svg
from audit.reports.comparison import html as comparison_html
from audit.reports.comparison import markdown as comparison_markdown
from audit.reports.comparison import text as comparison_text
from audit.reports.document import Chart, Series
from audit.runs.finished import load_run
from audit.stats.rank_correlation import spearman
from tests.samples.measurements import of
from tests.samples.runs import GAP, N, make_run, wrong

STORED = Path(__file__).parents[1] / "samples/report-v1"
ACCURACY, GAIN, NULL = (f"{GAP}.{q}" for q in ("accuracy.subject", "gain.bagnet-9", "gap.bagnet-9"))


@pytest.fixture
def runs(tmp_path):
    """B mends 30 of A's 100 errors and makes 6 of its own; the null is wrong on 200 images."""
    better = wrong(70, 30) + wrong(6, 300)
    a = make_run(tmp_path / "a", wrong(100), wrong(200), verdict="fail")
    return a, make_run(tmp_path / "b", better, wrong(200), title="other")


def both(runs):
    return load_run(runs[0]), load_run(runs[1])


def test_equal_runs_differ_by_nothing(runs):
    a = load_run(runs[0])
    found = compare_two(a, a)
    assert {c.value for c in found.changes} == {0.0}
    assert {more_than_noise(c) for c in found.changes} == {"no"}
    assert found.facts == ()


def test_a_paired_interval_is_that_of_the_discordant_images(runs):
    """30 mended, 6 spoilt: d = 24 / n, var = (36 - 24^2 / n) / n / (n - 1), Student's t with 60."""
    c = change(of(ACCURACY), *both(runs))
    half = stats.t.ppf(0.975, 60) * math.sqrt((36 - 24**2 / N) / N / (N - 1))
    assert c.paired
    assert (c.value, c.low, c.high) == pytest.approx((24 / N, 24 / N - half, 24 / N + half))


def test_a_gain_over_the_same_null_changes_by_the_accuracy_over_its_error(runs):
    """The influence of the null's errors is almost none: both models beat the same null."""
    gain, accuracy = change(of(GAIN), *both(runs)), change(of(ACCURACY), *both(runs))
    assert gain.paired
    assert gain.value == pytest.approx(accuracy.value / 0.5)
    assert gain.high - gain.low == pytest.approx((accuracy.high - accuracy.low) / 0.5, rel=0.05)
    assert change(of(NULL), *both(runs)).value == pytest.approx(accuracy.value)


def test_another_null_adds_the_spread_of_its_seeds(tmp_path):
    """tau^2 of either null; where both runs hold the same null its spread cancels."""
    nulls = wrong(200), wrong(200, 20), wrong(200)
    a, b, c = (load_run(make_run(tmp_path / str(i), wrong(100), null, seed_variance=0.02**2))
               for i, null in enumerate(nulls))  # fmt: skip
    found, same = (change(of("accuracy_gap.accuracy.bagnet-9"), a, run) for run in (b, c))
    variance = 40 / N / (N - 1) + 2 * 0.02**2
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 60) * variance**0.5)
    assert (same.high - same.low) / 2 < 0.011
    assert "the null is the same in both" in same.note


def test_a_class_is_paired_over_its_own_images(runs):
    """15 of the 30 mended images and 3 of the 6 spoilt are odd; two classes hold together."""
    c = change(of(f"{GAP}.class_accuracy.odd"), *both(runs))
    n = N // 2
    half = stats.t.ppf(1 - 0.025 / 2, 60) * math.sqrt((18 - 12**2 / n) / n / (n - 1))
    assert c.n == n
    assert (c.value, c.low) == pytest.approx((12 / n, 12 / n - half))


def test_the_order_of_the_images_changes_nothing(runs, tmp_path):
    order = np.random.default_rng(0).permutation(N)
    shuffled = make_run(tmp_path / "c", wrong(70, 30) + wrong(6, 300), wrong(200), order=order)
    assert change(of(ACCURACY), load_run(runs[0]), load_run(shuffled)) == change(
        of(ACCURACY), *both(runs)
    )


@pytest.mark.parametrize(("words", "reason"), [
    ({"predictions": False}, "holds no predictions"),
    ({"names": [f"other/{i}.png" for i in range(N)]}, "other names"),
    ({"classes": "ba"}, "classes differ"),
])  # fmt: skip
def test_what_cannot_be_paired_says_so(runs, tmp_path, words, reason):
    """Zou and Donner: the distances 0.03 below and 0.04 above, in quadrature."""
    other = make_run(tmp_path / "c", wrong(76), wrong(200), **words)
    c = change(of(ACCURACY), load_run(runs[0]), load_run(other))
    assert not c.paired
    assert reason in c.note
    assert (c.low, c.high) == pytest.approx((0.06 - 0.05, 0.06 + 0.05))


def test_images_that_are_left_out_of_the_count_are_not_compared(runs):
    """Three more images, on which either model errs at will: the runs still agree with reports."""
    expected = change(of(ACCURACY), *both(runs))
    for folder, said in zip(runs, (0, 1), strict=True):
        file = folder / "predictions.csv.gz"
        head, *rows = gzip.decompress(file.read_bytes()).decode().split()
        copies = [f"val/copy-{i}.png,{N + i},0,{said},1,0" for i in range(3)]
        lines = [f"{head},counted", *(f"{row},1" for row in rows), *copies]
        file.write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    a, b = both(runs)
    assert (len(a.predictions), len(a.counted_predictions)) == (N + 3, N)
    assert change(of(ACCURACY), a, b) == expected
    assert expected.paired


def test_predictions_of_another_run_are_not_believed(runs):
    (runs[1] / "predictions.csv.gz").write_bytes((runs[0] / "predictions.csv.gz").read_bytes())
    c = change(of(ACCURACY), *both(runs))
    assert not c.paired
    assert "does not give the value" in c.note


def test_what_is_missing_is_no_number(runs):
    c = change(of("accuracy_gap.accuracy.stack"), *both(runs))
    assert math.isnan(c.value)
    assert more_than_noise(c) == "cannot tell"
    assert math.isnan(p_value(c))


def test_p_and_interval_agree(runs):
    c = change(of(ACCURACY), *both(runs))
    edge = c.model_copy(update={"low": 0.0})
    assert p_value(edge) == pytest.approx(0.05)
    assert p_value(c) < 0.05
    assert p_value(c.model_copy(update={"value": 0.0, "low": -0.1})) == 1


def test_other_classes_leave_only_facts(runs, tmp_path):
    other = make_run(tmp_path / "c", wrong(76), wrong(200), classes="abc")
    found = compare_two(load_run(runs[0]), load_run(other))
    assert found.changes == ()
    assert [s.name for s in found.document.sections] == ["facts", "limits"]


def test_what_no_two_runs_share_is_no_difference(tmp_path):
    again = shutil.copytree(STORED, tmp_path / "again")
    text = (again / "report.yaml").read_text()
    for one in ('date: "', "110.7 s", "0.93 GiB", "42, of which"):
        assert text.count(one) == 1
        text = text.replace(one, f"{one}9 ")
    (again / "report.yaml").write_text(text)
    assert compare_two(load_run(STORED), load_run(again)).facts == ()


def test_a_report_of_an_earlier_version_differs_by_what_was_audited_alone(runs):
    early = load_run(STORED)
    facts = early.report.facts.model_copy(update={"stated": {}})  # as a later version stores them
    later = replace(early, report=early.report.model_copy(update={"facts": facts}))
    assert compare_two(early, later).facts == compare_two(later, early).facts == ()
    assert "nulls" in {row["what"] for row in compare_two(early, load_run(runs[0])).facts}


def test_what_differs_is_named(runs):
    found = compare_two(*both(runs))
    assert {row["what"] for row in found.facts} == {"architecture", "SHA-256 of the weights"}
    assert "The verdict goes from fail to pass." in found.document.headline
    assert "more than noise" in found.document.headline
    assert found.document.sections[1].rows[0]["limit"] == "gain"


@pytest.mark.parametrize(("sign", "value"), [(1, 1.0), (-1, -1.0)])
def test_ranks_that_agree_correlate_wholly(sign, value):
    found = spearman([1, 2, 5, 9, 40, 41], [sign * v for v in (0.1, 0.2, 0.3, 0.6, 0.7, 0.71)])
    assert found.value == value
    assert found.n == 6
    assert -1 <= found.low < found.high <= 1
    assert found.high - found.low > 0.2  # six models prove little


def test_a_rank_correlation_by_hand():
    """Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / 120 = 0.8; the ends as always published."""
    found = spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])
    assert found.value == 0.8
    assert (found.low, found.high) == pytest.approx((-0.4571243987405031, 0.9908429481067711))


def test_ties_share_their_mean_rank():
    """As the correlation of the ranks, with the ends of before scipy's own function was used."""
    found = spearman([1, 1, 2, 3, 3, 4], [6, 5, 5, 2, 3, 1])
    ranks = [1.5, 1.5, 3, 4.5, 4.5, 6], [6, 4.5, 4.5, 2, 3, 1]
    assert found.value == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert (found.low, found.high) == pytest.approx((-0.9959530366218464, -0.3649590767357749))


@pytest.mark.parametrize(("x", "y"), [([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4])])
def test_too_few_or_equal_models_have_no_rank_correlation(x, y):
    found = spearman(x, y)
    assert math.isnan(found.value)
    assert found.note.startswith("not measured: ")


@pytest.fixture
def many(tmp_path):
    """Six models of one family, the better the lower their dimension."""
    return [
        load_run(make_run(tmp_path / f"m{i}", wrong(160 - 20 * i), wrong(200), title=f"resnet{i}",
                          dimension=15.0 - i))
        for i in range(6)
    ]  # fmt: skip


def test_a_leaderboard_is_sorted_by_gain(many):
    found = leaderboard(many)
    assert [e.title for e in found.entries] == [f"resnet{i}" for i in (5, 4, 3, 2, 1, 0)]
    assert found.entries[1].behind is not None
    assert found.entries[1].behind.value == pytest.approx(-20 / N)
    assert found.entries[1].behind.paired
    assert len(found.points) == 7  # the null, which all share, once


def test_a_family_with_a_strong_correlation_may_warn(many):
    rhos = {rho.over: rho for rho in leaderboard(many).correlations}
    assert rhos["family resnet"].value == -1
    assert rhos["all models"].n == 7
    summary = leaderboard(many).document.sections[1].summary
    assert "may warn for family resnet" in summary
    assert "must not warn" in leaderboard(many[:5]).document.sections[1].summary


def test_other_data_are_refused_by_name(many, tmp_path):
    odd = make_run(tmp_path / "odd", wrong(9, n=50), wrong(20, n=50), data="e" * 64)
    with pytest.raises(AuditError, match=r"COMPARE_DATA.*odd was audited on other data"):
        leaderboard([*many, load_run(odd)])


def test_every_format_is_written_or_none(runs, command, tmp_path, capsys):
    assert command("compare", *runs, "-o", tmp_path / "out", "--yaml") == 0
    assert {f.name for f in (tmp_path / "out").iterdir()} == {f"compare.{e}" for e in
                                                              ("html", "md", "yaml")}  # fmt: skip
    read = plain_yaml.load((tmp_path / "out" / "compare.yaml").read_text())
    jsonschema.validate(read, compare_schema())
    assert read == plain_yaml.load(capsys.readouterr().out)
    assert read["changes"][0]["value"] == pytest.approx(24 / N)
    assert command("compare", *runs, "-o", tmp_path / "out") == 2
    assert "OUT_EXISTS" in capsys.readouterr().err


def test_text_and_json_on_stdout(runs, command, capsys):
    assert command("compare", *runs) == 0
    assert "more than noise" in capsys.readouterr().out
    assert command("compare", *runs, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["document"]["kind"] == "two runs"


@pytest.mark.parametrize(("damage", "reason"), [
    (lambda r: (r / "predictions.csv.gz").write_bytes(b"no gzip"), "PREDICTIONS_INVALID"),
    (lambda r: (r / "predictions.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n")),
     "PREDICTIONS_INVALID"),
    (lambda r: (r / "predictions.csv.gz").write_bytes(gzip.compress(b"path,label\nx,cat\n")),
     "PREDICTIONS_INVALID"),
    (lambda r: (r / "predictions.csv.gz").write_bytes(
        (r / "predictions.csv.gz").read_bytes()[:200]), "PREDICTIONS_INVALID"),
    (lambda r: (r / "report.yaml").write_text("schema_version: 99"), "REPORT_SCHEMA"),
    (lambda r: (r / "report.yaml").write_text("a: ["), "REPORT_INVALID"),
    (lambda r: (r / "report.yaml").unlink(), "REPORT_NOT_FOUND"),
])  # fmt: skip
def test_a_damaged_run_is_one_sentence(runs, command, capsys, damage, reason):
    damage(runs[1])
    assert command("compare", *runs) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"audit: {reason}: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_pairs_that_were_asked_for_are_demanded(runs, command, capsys):
    (runs[1] / "predictions.csv.gz").unlink()
    assert command("compare", *runs) == 0
    assert "holds no predictions" in capsys.readouterr().out
    assert command("compare", *runs, "--paired") == 2
    assert "COMPARE_UNPAIRED" in capsys.readouterr().err


def test_one_run_is_no_comparison(runs, command, capsys):
    assert command("compare", runs[0]) == 2
    assert "USAGE" in capsys.readouterr().err
    assert command("compare", runs[0], "--leaderboard") == 0


def test_no_torch_is_needed(runs):
    code = (
        "import sys; from audit.commands.compare import compare\n"
        "assert 'pandas' not in sys.modules\n"
        f"compare([{str(runs[0])!r}, {str(runs[1])!r}], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_hostile_names_stay_text(tmp_path):
    from tests.samples.report import HOSTILE

    odd = [make_run(tmp_path / str(i), wrong(90), wrong(200), title=name)
           for i, name in enumerate(HOSTILE)]  # fmt: skip
    document = leaderboard([load_run(run) for run in odd]).document
    page = comparison_html.render(document)
    assert "<script" not in page
    assert "<img" not in page
    for render in (comparison_html.render, comparison_markdown.render, comparison_text.render):
        assert not {"\x1b", "\u202e", "\u200b"} & set(render(document))


def scatter(*series):
    return Chart(title="t", description="d", kind="scatter", x_label="x", y_label="y",
                 series=series)  # fmt: skip


@pytest.mark.parametrize("width", [840, 360])
def test_a_scatter_draws_what_is_stored(width):
    from xml.etree import ElementTree

    dots = [Series(name=f"m{i}", role="subject", x=(float(i),), y=(i * i / 7,), low=(0.0,),
                   high=(9.0,)) for i in range(7)]  # fmt: skip
    missing = Series(name="gone", role="null", x=(1.0,), y=(math.nan,))
    root = ElementTree.fromstring(svg(scatter(*dots, missing), width))
    drawn = {g.get("data-series"): g for g in root.iter() if g.get("data-series")}
    assert {name: float(g.get("data-y")) for name, g in drawn.items()} == {
        f"m{i}": i * i / 7 for i in range(7)
    }
    assert any("Not measured: gone" in (t.text or "") for t in root.iter())


def test_names_of_a_scatter_do_not_overlap_and_none_is_lost():
    """Thirty models in one place: those without room are listed below."""
    crowd = [Series(name=f"model{i}", role="null", x=(1.0,), y=(1.0,)) for i in range(30)]
    drawn = svg(scatter(*crowd))
    assert "No room for the name of" in drawn
    assert all(f"model{i}" in drawn for i in range(30))
