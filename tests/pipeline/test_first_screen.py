"""The first screen, and the picture of what subject and null get right together."""

from types import SimpleNamespace

import numpy as np
import pytest

from audit.checks.accuracy_gap.breakdown import together
from audit.checks.accuracy_gap.report import section
from audit.commands.showing import show
from audit.pipeline.first_screen import audited, key_numbers, ripeness
from audit.record.facts import AuditFacts, DataFacts, Facts, ModelFacts
from tests.samples.measurements import measurement
from tests.samples.report import sample_document


def measured(name, value, unit="fraction", **more):
    return measurement(f"accuracy_gap.{name}", value, unit, n=100, **more)


def ladder(gain, allowance):
    claim = {"detail": {"claim": 1.0}}
    return [
        measured("accuracy.subject", 0.9, low=0.88, high=0.92),
        measured("accuracy.bagnet-9", 0.8),
        measured("gain.bagnet-9", gain, "gain", low=gain - 0.1, high=gain + 0.2, **claim),
        measured("allowance.bagnet-9", allowance, "points"),
        measured("allowance.bagnet-17", 0.5, "points"),  # gates nothing
    ]


def test_the_numbers_that_matter_come_with_their_intervals():
    accuracy, blind, gain = key_numbers(ladder(0.5, 0.0))
    assert (accuracy.value, accuracy.interval, accuracy.n) == ("90.0 %", "88.0 to 92.0 %", 100)
    assert blind.label == "Accuracy of BagNet-9, the strongest blind model"
    assert (gain.value, gain.interval, gain.metric) == (
        "50.0 %",
        "40.0 to 70.0 %",
        "gain_over_blind",
    )


def test_a_null_that_is_better_is_said_so():
    worse = key_numbers(ladder(-0.5, 0.0))[2]
    assert (worse.label, worse.value) == ("More errors than BagNet-9, by", "50.0 %")
    assert worse.interval == "30.0 to 60.0 %"
    assert worse.metric == ""


def test_a_null_without_errors_is_the_strongest_and_leaves_none_to_remove():
    perfect = [
        measured("accuracy.pixels", 1.0),
        measured("gain.pixels", np.nan, "gain", detail={"claim": 1.0}),
    ]
    _, blind, gain = key_numbers([*ladder(-0.5, 0.0), *perfect])
    assert blind.label == "Accuracy of pixels, the strongest blind model"
    assert (gain.value, gain.interval) == ("it makes none", "")
    said = section([*ladder(-0.5, 0.0), *perfect], ()).summary
    assert "pixels, reaches 100.0 %: it makes no error that the model could remove." in said


def test_a_number_without_an_interval_is_printed_so(capsys):
    perfect = [measured("accuracy.pixels", 1.0),
               measured("gain.pixels", np.nan, "gain", detail={"claim": 1.0})]  # fmt: skip
    numbers = key_numbers([*ladder(0.5, 0.0), *perfect])
    document = sample_document().model_copy(update={"numbers": numbers})
    show(SimpleNamespace(document=document), None, as_json=False)
    told = capsys.readouterr().err
    assert "removed: it makes none (no interval, n = 100)" in told
    assert "(," not in told


@pytest.mark.parametrize(("allowance", "words"), [
    (0.021, "by up to 2.1 points (BagNet-9)"), (np.inf, "is not known"), (np.nan, "is not known"),
])  # fmt: skip
def test_how_sure_it_is_rests_on_the_ripeness_of_claim_nulls(allowance, words):
    assert words in ripeness(ladder(0.5, allowance))
    assert ripeness(ladder(0.5, allowance)[:3]) == ""


def test_which_audit_it_is_is_shown_first():
    model = ModelFacts(file="m.pt", architecture="resnet10t", arguments={"stem": "8"})
    names = tuple(f"c{i}" for i in range(13))
    data = DataFacts(n_train=4000, n_eval=30, training_images=False, classes=names)
    facts = audited(Facts(model=model, data=data, audit=AuditFacts(tool_version="9")))
    assert facts["Architecture"] == "resnet10t ({'stem': 8})"
    assert facts["Images"] == "4,000 training (not at hand), 30 evaluation"
    assert facts["Classes"] == "13: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11 …"
    assert facts["Tool"] == "null-audit 9"


SUBJECT = np.array([0.0, 0, 0, 1, 1])
NULL = np.array([[0.0, 0, 1, 0, 1], [0.0, 1, 1, 0, 1]])


def test_what_both_get_right_is_counted_over_seeds():
    case = SimpleNamespace(groups=np.arange(5))
    found = {m.name.split(".")[1]: m for m in together(case, NULL, SUBJECT, "bagnet-9")}
    assert [m.value for m in found.values()] == pytest.approx([0.3, 0.3, 0.2, 0.2])
    assert all(0 <= m.low <= m.value <= m.high <= 1 for m in found.values())
    assert "images' part" in found["both_right"].note


def test_the_picture_shows_what_was_counted():
    case = SimpleNamespace(groups=np.arange(5))
    charts = section(together(case, NULL, SUBJECT, "bagnet-9"), ()).charts
    (grid,) = [chart for chart in charts if chart.kind == "grid"]
    assert [series.y for series in grid.series] == [(0.3, 0.3), (0.2, 0.2)]
    assert grid.series[0].x == ("BagNet-9 right", "BagNet-9 wrong")
