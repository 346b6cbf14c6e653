"""The words of a report of version 1 as facts: what cannot be read stays unknown."""

from pathlib import Path

import pytest

from audit.comparison.facts import agreement, different
from audit.record.facts import Facts
from audit.runs.finished import load_run
from audit.runs.upgrade_facts import facts_of

STORED = Path(__file__).parents[1] / "samples/report-v1"
NOW = Path(__file__).parents[1] / "samples/report-v2"


def facts(classes=(), **parts):
    return Facts.model_validate(facts_of(parts, classes))


def test_the_stored_report_gives_what_it_states():
    found = load_run(STORED).report.facts
    model, data, made = found.model, found.data, found.audit
    assert (model.architecture, model.parameters) == ("resnet10t", 13557)
    assert model.arguments == {"channels": "[8, 8, 16, 16]", "stem_width": "8"}
    assert (model.pretrained, model.pretrained_by) == ("no", "user")
    assert data.classes == ("left", "right", "striped")
    assert (data.n_train, data.n_eval, data.null_side, data.left_out) == (180, 240, 16, 0)
    assert (data.grey, data.training_images, data.nulls_reduced) == (True, True, False)
    assert (made.seed, made.profile["seeds"], made.tool_version) == (0, 1, "0.1.0")
    assert made.versions["torch"] == "2.15.0"
    assert not {"time", "jobs", "SHA-256 of the data"} & set(found.stated)


def test_an_old_and_a_new_run_on_the_same_data_are_known_to_be():
    before, after = load_run(STORED), load_run(NOW)
    assert before.report.facts.data.digest == after.report.facts.data.digest
    assert "The same in both: data, evaluation data" in agreement(before, after)
    assert "classes" not in {row["what"] for row in different(before, after)}


@pytest.mark.parametrize(("text", "expected"), [
    ("no", ("no", "", "user")),
    ("noise", ("yes", "noise", "user")),
    ("unknown", ("unknown", "", "")),
    ("yes, says the checkpoint", ("yes", "", "checkpoint")),
    ("no, says the checkpoint", ("no", "", "checkpoint")),
])  # fmt: skip
def test_what_was_pre_trained(text, expected):
    model = facts(subject={"pre-trained on other data": text}).model
    assert (model.pretrained, model.pretrained_on, model.pretrained_by) == expected


@pytest.mark.parametrize(("text", "side", "sides", "frame", "reduced"), [
    ("32 x 32 pixels of the central square", 32, None, "1:1", False),
    ("64 x 64 pixels of the whole image, squeezed to a square (the model sees 128x64: finer "
     "texture was lost to the nulls)", 64, (128, 64), "whole", True),
    ("64 x 64 pixels of the central part, 3 high to 2 wide, squeezed to a square (the model sees "
     "96: finer texture was lost to the nulls)", 64, (96, 96), "3:2", True),
    ("", None, None, "", None),
])  # fmt: skip
def test_what_the_nulls_saw(text, side, sides, frame, reduced):
    data = facts(data={"nulls see": text}).data
    assert (data.null_side, data.model_size, data.frame) == (side, sides, frame)
    assert data.nulls_reduced is reduced


@pytest.mark.parametrize(("text", "measured", "expected"), [
    ("2: a.b, c", ("a.b", "c"), ("a.b", "c")),
    ("2: a, b, c", ("a, b", "c"), ("a, b", "c")),  # a class with a comma
    ("2: a, b", (), ("a", "b")),
    ("13: a, b, …", (), ()),  # not all of them are listed
    ("2: a, b, c", (), ()),
    ("", (), ()),
])  # fmt: skip
def test_classes_are_those_measured_or_all_that_are_listed(text, measured, expected):
    assert facts(measured, data={"classes": text}).data.classes == expected


@pytest.mark.parametrize("text", ["{'a': [1}", "{" * 9999, "no mapping", "{1: __import__('os')}"])
def test_a_profile_that_cannot_be_read_is_not_known(text):
    assert facts(provenance={"profile": text, "seed": "many"}).audit == Facts().audit


@pytest.mark.parametrize("document", [None, [], {"data": 3}, {"subject": {"parameters": "?"}}])
def test_a_damaged_document_gives_no_facts(document):
    found = Facts.model_validate(facts_of(document, ()))
    assert (found.model.parameters, found.data.digest, found.audit.seed) == (None, "", None)


def test_what_has_no_field_keeps_its_words():
    found = facts(provenance={"nulls given": "from the folder x", "time": "9 s"})
    assert found.stated == {"nulls given": "from the folder x"}
