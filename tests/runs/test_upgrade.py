"""Reports of version 1 as ones of version 2: names and words are taken apart here, once."""

from pathlib import Path

import pytest

from audit.api import load_policy
from audit.pipeline.rejudge import judged_again
from audit.reports import model_card
from audit.reports import yaml as plain_yaml
from audit.runs.report import load_report
from audit.runs.upgrade import completed, quantity, upgraded, with_sides
from tests.samples.measurements import as_version_1, measurement
from tests.samples.runs import report, wrong


@pytest.mark.parametrize(("name", "check", "kind", "of", "layer", "minus"), [
    ("accuracy_gap.gain.bagnet-9", "accuracy_gap", "gain", "bagnet-9", "", False),
    ("accuracy_gap.class_gap.v1.2 (old)", "accuracy_gap", "class_gap", "v1.2 (old)", "", False),
    ("accuracy_gap.class_accuracy..hidden", "accuracy_gap", "class_accuracy", ".hidden", "", False),
    ("transfer.frozen.blocks.3.mlp", "transfer", "frozen", "blocks.3.mlp", "", False),
    ("id_profile.dimension.subject.layer1.0", "id_profile", "dimension", "subject", "layer1.0",
     False),
    ("id_profile.pca.bagnet-9.stem", "id_profile", "pca", "bagnet-9", "stem", False),
    ("id_profile.hunchback.subject", "id_profile", "hunchback", "subject", "", False),
    ("reference.accuracy_gap.class_accuracy.a.b", "accuracy_gap", "class_accuracy", "a.b", "",
     True),
    ("reference.data.groups", "data", "groups", "", "", True),
    ("transfer.crashed", "transfer", "crashed", "", "", False),
    ("accuracy_gap.class_gap.crashed", "accuracy_gap", "class_gap", "crashed", "", False),
])  # fmt: skip
def test_a_name_is_taken_apart_once_and_made_again(name, check, kind, of, layer, minus):
    made = measurement(name, 0.0)
    assert (made.check, made.quantity, made.of) == (check, kind, of)
    assert (made.layer, made.minus_reference) == (layer, minus)
    assert made.name == name


def test_only_a_crash_is_one():
    assert measurement("transfer.crashed", 0).crashed
    assert not measurement("accuracy_gap.class_gap.crashed", 0).crashed
    assert not measurement("reference.transfer.crashed", 0).crashed


def test_an_old_report_has_the_same_names_and_numbers():
    made = report(wrong(20), wrong(120))
    old = upgraded(as_version_1(made))
    assert old["schema_version"] == 2
    assert [quantity(m.name) for m in made.measurements] == [
        {key: m[key] for key in quantity("x")} for m in old["measurements"]
    ]


@pytest.mark.parametrize(("detail", "reduced", "expected"), [
    ({"q": 9.0, "q_subject": 9.0, "q_share": 9 / 32}, False, (32, 32)),
    ({"q": 9.0, "q_subject": 20.25, "q_share": 9 / 64}, False, (64, 144)),
    ({"q": 9.0, "q_subject": 9.0, "q_share": 9 / 64}, True, (64, 65)),  # a reduced longer side
    ({"q": 9.0, "side": 64, "subject_side": 64}, True, (64, 64)),  # stored by a later version
    ({"q": 9.0}, False, None),
    ({"q": 9.0, "q_subject": 9.0, "q_share": 0.0}, False, None),
    ({"q": float("nan"), "q_subject": 9.0, "q_share": 0.3}, False, None),
    ({"q": "nine", "q_subject": 9.0, "q_share": 0.3}, False, None),
])  # fmt: skip
def test_sides_follow_from_q_or_are_not_known(detail, reduced, expected):
    found = with_sides(detail, reduced)
    sides = (found["side"], found["subject_side"]) if "subject_side" in found else None
    assert sides == expected


@pytest.mark.parametrize("raw", [
    {}, {"measurements": None}, {"measurements": ["x"]}, {"measurements": [{"value": 1}]},
    {"measurements": [{"name": 3}]}, {"measurements": "text"},
])  # fmt: skip
def test_what_is_damaged_is_left_for_the_record_to_refuse(raw):
    assert upgraded(raw).get("measurements") == raw.get("measurements")


def test_what_is_a_word_becomes_a_field():
    rows = [
        measurement("id_profile.hunchback.subject", 0, "count", note="falling: it ends below"),
        measurement("id_profile.flat.subject", float("nan"), "count", note="not measured: few"),
        measurement("accuracy_gap.twin_minus_null", 0, note="Sighted-17 against BagNet-9"),
        measurement("preprocessing.better", 1, "count", note="clearly better on 9 images: bgr, a"),
        measurement("preprocessing.gain.bgr", 0.1, note="bgr, a"),
        measurement("preprocessing.gain.none", 0.1, note="no normalisation"),
    ]
    made = report(wrong(20), wrong(120)).model_copy(update={"measurements": tuple(rows)})
    shape, flat, twin, _, bgr, none = upgraded(as_version_1(made))["measurements"]
    assert (shape["category"], flat.get("category", "")) == ("falling", "")
    assert twin["detail"] == {"q": 17.0}
    assert (bgr["detail"]["clearly_better"], none["detail"]["clearly_better"]) == (1.0, 0.0)


@pytest.mark.parametrize(("name", "value", "note", "clause"), [
    ("id_profile.hunchback.subject", float("nan"), "not measured: it has no stages.",
     "it has no stages"),
    ("id_profile.hunchback.subject", 0, "falling: it ends below", ""),
    ("id_profile.crashed", float("nan"), "out of memory", ""),
    ("reference.id_profile.hunchback.subject", float("nan"), "not measured: few", ""),
    ("split_transfer.base", 0.9, "A: a; b; B: c; 60 training images", "A: a; b; B: c"),
    ("split_transfer.base", float("nan"), "its training diverged", ""),
])  # fmt: skip
def test_what_a_summary_says_is_taken_from_a_note_once(name, value, note, clause):
    made = report(wrong(20), wrong(120))
    early = made.model_copy(update={"measurements": (measurement(name, value, note=note),)})
    (upgrade,) = upgraded(as_version_1(early))["measurements"]
    assert upgrade["clause"] == clause
    stored = {"name": name, "value": value, "note": note}
    assert completed({"measurements": [stored]})["measurements"] == [stored | {"clause": clause}]
    kept = {"measurements": [stored | {"clause": "as it was stored"}]}
    assert completed(kept) == kept


@pytest.mark.parametrize("version", ["report-v1", "report-v2"])
def test_a_card_of_an_early_report_names_the_data(version):
    stored = load_report(Path(__file__).parents[1] / "samples" / version)
    known = stored.facts.data
    for found in (stored, judged_again(stored, load_policy())):
        card = plain_yaml.load(model_card.render(found.document).split("---\n")[1])
        (result,) = card["model-index"][0]["results"]
        assert result["dataset"]["name"] == known.source
        assert result["dataset"]["args"] == {"sha256": known.digest}
        assert len(known.digest) == 64


def test_a_name_that_its_fields_do_not_make_is_refused():
    stored = measurement("accuracy_gap.gain.bagnet-9", 0.5).model_dump()
    assert type(measurement("data.groups", 1)).model_validate(stored).name == stored["name"]
    with pytest.raises(ValueError, match="name"):
        type(measurement("data.groups", 1)).model_validate(stored | {"of": "prior"})


def test_the_stored_report_of_version_1_keeps_its_names():
    folder = Path(__file__).parents[1] / "samples/report-v1"
    stored = plain_yaml.load((folder / "report.yaml").read_text())["measurements"]
    assert [m.name for m in load_report(folder).measurements] == [m["name"] for m in stored]
