"""Data sets beside the audited one: both splits are needed, names and digests are shown."""

import json

import pytest

from audit import checks
from audit.core.errors import AuditError
from audit.evidence.examine import others
from audit.inputs.data import load_others, names_of
from audit.inputs.settings import Settings
from audit.pipeline.provenance import about_extra
from audit.record.facts import ExtraFacts
from audit.runs.report import load_report
from tests.samples.audits import make_folder, tiny_flags

PLAN = ("--no-cache", "--quick", "-q")


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """Other data, smaller than the audited ones, with two classes."""
    place = tmp_path_factory.mktemp("beside") / "others"
    return make_folder(place, {"train": 30, "val": 40}, classes=("one", "two"), seed=5)


def described(found):
    """The words that a plan and a report have for a data set."""
    return about_extra(ExtraFacts(**found.model_dump()))


def refused(path):
    with pytest.raises(AuditError) as raised:
        load_others(Settings(probe_data=path))
    return str(raised.value)


def test_it_is_described_by_name_counts_and_digests(beside):
    data = load_others(Settings(probe_data=beside))["probe"]
    found = others({"probe": data}, data, names_of(Settings(probe_data=beside)))["probe"]
    assert (found.name, found.n_train, found.n_eval) == ("others", 60, 80)
    assert found.classes == ("one", "two")
    assert data.train_digest in described(found)
    assert data.eval_digest in described(found)


def test_images_that_the_model_may_have_learned_are_counted(beside):
    data = load_others(Settings(probe_data=beside))["probe"]
    from dataclasses import replace

    swapped = replace(data, train=data.eval)
    assert others({"probe": data}, data, {})["probe"].seen == 0
    found = others({"probe": data}, swapped, {})["probe"]
    assert found.seen == 80
    assert "80 evaluation images, of which 80 are training images" in described(found)


def test_without_training_images_it_is_refused(tmp_path):
    said = refused(make_folder(tmp_path / "d", {"val": 30}))
    assert said.startswith("DATA_NO_TRAINING: --probe-data needs training images")


def test_without_evaluation_images_it_is_refused(tmp_path):
    said = refused(make_folder(tmp_path / "d", {"train": 5}))
    assert said.startswith("DATA_NOT_FOUND: --probe-data ")
    assert "--eval-data" not in said


def test_one_class_is_refused(tmp_path):
    said = refused(make_folder(tmp_path / "d", {"train": 60, "val": 60}, classes=("a",)))
    assert said.startswith("DATA_ONE_CLASS: --probe-data ")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    assert refused(tmp_path / "gone").startswith("DATA_NOT_FOUND: --probe-data ")


def test_a_command_with_unusable_other_data_ends_with_2(model, data, command, capsys, tmp_path):
    for option in ("--probe-data", "--transfer-data"):
        assert command("plan", model, "--data", data, option, tmp_path / "gone", *PLAN) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith(f"audit: DATA_NOT_FOUND: {option} ")


def test_a_plan_shows_it(model, data, beside, command, capsys, monkeypatch):
    monkeypatch.setattr("audit.pipeline.speed.MOMENT", 0.01)
    flags = ["--data", data, "--transfer-data", beside, *PLAN]
    assert command("plan", model, *flags, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["transfer_data"]["name"] == "others"
    assert made["transfer_data"]["n_train"] == 60
    monkeypatch.setenv("AUDIT_PROBE_DATA", str(beside))
    assert command("plan", model, *flags) == 0
    printed = capsys.readouterr().out
    assert "transfer data, others: 60 training and 80 evaluation" in printed
    assert "probe data, others: 60 training and 80 evaluation" in printed


def test_a_whole_audit_reads_it_out(finished, model, data, beside, cache, tmp_path, command):
    out = tmp_path / "out"
    flags = [*tiny_flags(data, cache, out), "--probe-data", beside, "-q"]
    assert command(model, *flags) == finished[1].return_value
    report = load_report(out)
    found = {m.name: m for m in report.measurements}
    assert found["probes.last_minus_middle"].n == 240
    assert found["probes.other_last_minus_middle"].n == 80
    assert report.document.provenance["--probe-data"].startswith("others: 60 training and 80")
    assert str(beside) in (out / "config.yaml").read_text()


def test_the_configuration_name_it(beside, monkeypatch, tmp_path):
    from audit.inputs.call import Call
    from audit.inputs.repeat import repeat_words
    from audit.inputs.settings import load_settings

    (tmp_path / "audit.yaml").write_text(f"probe_data: {beside}")
    settings = load_settings(tmp_path / "audit.yaml", {}, checks.vocabulary())
    words = " ".join(repeat_words(settings, Call()))
    assert words == f"--probe-data {beside}"


def test_the_workshop_hands_out_its_images_as_the_model_sees_them(model, data, beside):
    from audit.data.load import load_dataset
    from audit.evidence.context import JobContext
    from audit.evidence.profile import profile
    from audit.evidence.setup import NullInput, Setup
    from audit.model.checkpoint import load_subject

    subject, audited = load_subject(model), load_dataset(data)
    other = load_dataset(beside)
    setup = Setup(
        profile=profile("quick"), seed=0, subject="m", architecture="a", subject_digest="",
        subject_size=16, view="", train_digest="", eval_digest="", classes=audited.classes,
        n_train=1, n_eval=1, channels=1, input=NullInput(size=16), nulls=(),
    )  # fmt: skip
    context = JobContext(audited, subject, setup, others={"probe": other})
    assert len(context.subject_images("eval")) == 240
    images = context.subject_images("train", context.some("train", 10, 0, of="probe"), of="probe")
    assert images.labels.tolist() == [0] * 5 + [1] * 5
    assert images.pixels.shape == (10, 1, 16, 16)
