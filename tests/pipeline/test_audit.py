"""The whole path: one command on a tiny data set, and what it leaves behind."""

import csv
import gzip
import json
import re
from time import sleep

import numpy as np
import pytest
import torch

from audit.api import load_policy
from audit.inputs.data import load_data
from audit.runs.report import load_report
from tests.samples.audits import CLASSES, make_folder, refused, tiny_flags


@pytest.fixture(scope="module")
def report(finished):
    return load_report(finished[0])


def test_leaves_every_file(finished):
    out, _ = finished
    names = {p.name for p in out.iterdir()}
    reports = {
        "report.yaml",
        "report.html",
        "report.md",
        "model-card.md",
        "junit.xml",
        "report.sarif",
    }
    evidence = {"predictions.csv.gz", "evidence", "config.yaml", "environment.json", "log.txt"}
    assert names == reports | evidence
    assert "torch" in json.loads((out / "environment.json").read_text())


def test_nothing_is_left_beside_the_run(finished):
    assert [p.name for p in finished[0].parent.iterdir()] == ["first"]


def test_report_has_the_schema(report):
    assert report.schema_version == 2
    for m in report.measurements:
        assert m.unit
        assert np.isnan(m.value) or m.n > 0, f"{m.name} has no n"
    assert {f.limit for f in report.findings} == {g.name for g in report.document.gates}


def test_exit_code_is_the_verdict(finished, report):
    codes = {"pass": 0, "fail": 1, "inconclusive": 3}
    assert report.document.exit_code == codes[report.document.verdict]


def test_no_check_crashed(report):
    assert [m.name for m in report.measurements if m.name.endswith(".crashed")] == []


def test_every_rung_was_measured(report):
    measured = {m.name: m for m in report.measurements}
    for null in ("prior", "colour", "moments", "pixels", "bagnet-5", "coordconv-5", "stack"):
        assert measured[f"accuracy_gap.gain.{null}"].detail["claim"] == 1.0
        assert 0 <= measured[f"accuracy_gap.accuracy.{null}"].value <= 1
    assert measured["accuracy_gap.gain.sighted-5"].detail["claim"] == 0.0
    assert measured["accuracy_gap.accuracy.prior"].value == pytest.approx(1 / 3, abs=0.02)


def test_small_data_never_pass(report):
    """240 evaluation images and easy classes: nothing can be shown, so nothing passes."""
    assert report.document.verdict != "pass"


def test_predictions_agree_with_the_report(finished, report):
    with gzip.open(finished[0] / "predictions.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["subject"] == row["label"] for row in rows])
    measured = {m.name: m.value for m in report.measurements}
    assert measured["accuracy_gap.accuracy.subject"] == pytest.approx(right)
    assert len(rows) == 240
    assert {"path", "group", "bagnet-5.0", "stack.0"} <= set(rows[0])


def test_html_has_no_script_and_says_what_is_not_shown(finished):
    html = (finished[0] / "report.html").read_text()
    assert "<script" not in html
    assert "does not establish" in html.lower()
    assert "receptive field proved" in html


def test_second_audit_trains_nothing(data, model, cache, tmp_path, command, finished, capsys):
    code = command(model, *tiny_flags(data, cache, tmp_path / "again"), "--json", "-q")
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == code == finished[1].return_value
    log = (tmp_path / "again" / "log.txt").read_text()
    assert "training" not in log.split("evaluation images", 1)[1]


def test_the_time_counts_from_the_start_of_the_command(
    data, model, cache, tmp_path, command, finished, monkeypatch
):
    monkeypatch.setattr(
        "audit.inputs.data.load_data", lambda *a, **k: sleep(1) or load_data(*a, **k)
    )
    command(model, *tiny_flags(data, cache, tmp_path / "slow"), "-q")
    text = load_report(tmp_path / "slow").document.provenance["time"]
    total, measured = map(float, re.findall(r"([\d.]+) s of (?:wall time|it)", text))
    assert total - measured > 1


def test_another_model_on_the_same_data_trains_no_null(data, cache, tmp_path, command, finished):
    import timm
    import torch

    kwargs = {"channels": [8, 8, 8, 8], "stem_width": 8}
    net = timm.create_model("resnet10t", in_chans=1, num_classes=3, **kwargs)
    torch.save(net.state_dict(), tmp_path / "other.pt")
    words = ["--model", "resnet10t", "--img-size", "16", "--model-kwargs", "stem_width=8",
             "--model-kwargs", "channels=[8,8,8,8]", "--crop-pct", "1", "--interpolation",
             "bicubic"]  # fmt: skip
    out = tmp_path / "other"
    assert command(tmp_path / "other.pt", *tiny_flags(data, cache, out), *words) in (1, 3)
    log = (out / "log.txt").read_text()
    assert "transfer: frozen" in log
    assert "training BagNet" not in log
    assert "choosing the recipe" not in log


def test_models_with_opposite_class_orders_share_nulls_and_are_comparable(
    data, model, cache, tmp_path, command, finished
):
    """Labels follow the names of the folders: the digest of the data is nobody's class order."""
    stored = torch.load(model, weights_only=False)
    for name in ("fc.weight", "fc.bias"):
        stored["state_dict"][name] = stored["state_dict"][name].flip(0)
    turned = {"class_to_idx": {name: 2 - i for i, name in enumerate(CLASSES)}}
    torch.save(stored | turned, tmp_path / "turned.pt")
    out = tmp_path / "turned"
    assert command(tmp_path / "turned.pt", *tiny_flags(data, cache, out)) in (0, 1, 3)
    log = (out / "log.txt").read_text()
    assert not re.findall("training BagNet|choosing the recipe|running BagNet", log)
    assert command("compare", finished[0], out, "--paired") == 0
    ours, theirs = (load_report(run).document for run in (finished[0], out))
    assert ours.numbers[0].value == theirs.numbers[0].value
    assert ours.data == theirs.data


def test_exit_zero_for_adoption(data, model, cache, tmp_path, command, finished):
    assert command(model, *tiny_flags(data, cache, tmp_path / "zero"), "--exit-zero", "-q") == 0


def test_a_policy_without_gates_is_undecided(data, model, cache, tmp_path, command, finished):
    gates = [limit.name for limit in load_policy().limits if limit.severity == "gate"]
    text = "version: 1\nlimits:\n" + "".join(f"  {k}: {{severity: info}}\n" for k in gates)
    (tmp_path / "policy.yaml").write_text(text)
    flags = tiny_flags(data, cache, tmp_path / "out")
    assert command(model, *flags, "--policy", tmp_path / "policy.yaml", "-q") == 3


def test_bad_input_is_one_sentence(data, model, cache, tmp_path, command, capsys):
    flags = tiny_flags(data, cache, tmp_path / "out")
    refused(command, capsys, "MODEL_NOT_FOUND", tmp_path / "none.pt", *flags)
    refused(command, capsys, "DATA_NOT_GIVEN", model)
    refused(command, capsys, "DATA_NOT_FOUND", model, "--data", tmp_path / "nowhere")
    (tmp_path / "empty" / "train").mkdir(parents=True)
    (tmp_path / "empty" / "val").mkdir()
    refused(command, capsys, "DATA_NO_IMAGES", model, "--data", tmp_path / "empty")
    (tmp_path / "out").mkdir()
    refused(command, capsys, "OUT_EXISTS", model, *flags)
    assert not list((tmp_path / "out").iterdir())


def test_wrong_classes(model, cache, tmp_path, command, capsys):
    root = make_folder(tmp_path / "two", {"train": 30, "val": 30}, CLASSES[:2])
    refused(command, capsys, "MODEL_CLASS_MISMATCH", model, "--data", root, "--cache", cache)
    root = make_folder(tmp_path / "one", {"train": 60, "val": 60}, CLASSES[:1])
    refused(command, capsys, "DATA_ONE_CLASS", model, "--data", root, "--cache", cache)
    (tmp_path / "two" / "val" / "left" / "000.png").write_bytes(b"not a picture")
    refused(command, capsys, "DATA_UNREADABLE", model, "--data", tmp_path / "two")
    assert not (tmp_path / "audit-runs").exists()


def test_images_below_every_receptive_field(model, data, tmp_path, command, capsys):
    import timm
    import torch

    net = timm.create_model("resnet10t", in_chans=1, num_classes=3)
    torch.save(net.state_dict(), tmp_path / "small.pt")
    words = [tmp_path / "small.pt", "--model", "resnet10t", "--img-size", "4", "--data", data]
    refused(command, capsys, "DATA_IMAGES_TOO_SMALL", *words)


def test_outputs_that_are_no_numbers(model, data, cache, tmp_path, command, capsys):
    import timm
    import torch

    net = timm.create_model("resnet10t", in_chans=1, num_classes=3)
    net.fc.weight.data.fill_(3e38)  # finite weights that overflow
    torch.save(net.state_dict(), tmp_path / "big.pt")
    words = ["--model", "resnet10t", "--img-size", "16", *tiny_flags(data, cache, tmp_path / "o")]
    refused(command, capsys, "MODEL_NOT_FINITE", tmp_path / "big.pt", *words)
    assert not (tmp_path / "o").exists()


def test_class_order_is_asked_for_where_it_is_unclear(model, tmp_path, command, capsys):
    """timm numbers 9 before 10, letter by letter 10 comes first."""
    import timm
    import torch

    root = make_folder(tmp_path / "numbers", {"train": 20, "val": 20}, ("9", "10", "11"))
    net = timm.create_model("resnet10t", in_chans=1, num_classes=3)
    torch.save(net.state_dict(), tmp_path / "plain.pt")
    words = [tmp_path / "plain.pt", "--model", "resnet10t", "--img-size", "16", "--data", root]
    refused(command, capsys, "DATA_CLASS_ORDER", *words)
    (tmp_path / "order.txt").write_text("9\n10\n12\n")
    refused(command, capsys, "DATA_CLASS_MISMATCH", *words, "--class-map", tmp_path / "order.txt")
    (tmp_path / "order.txt").write_text("9\n9\n10\n")
    refused(command, capsys, "DATA_CLASS_MAP", *words, "--class-map", tmp_path / "order.txt")


@pytest.mark.parametrize("change", ["gating=0", "seeds=0", "images_seen=5", "drawn=3", "rates=1"])
def test_profile_fields_that_measure_nothing(data, model, command, capsys, change):
    refused(command, capsys, "CONFIG_INVALID", model, "--data", data, "--set", change)


def test_unknown_configuration_names_the_nearest_key(data, model, tmp_path, command, capsys):
    (tmp_path / "audit.yaml").write_text("sead: 3\n")
    assert command(model, "--data", data) == 2
    assert "Did you mean 'seed'?" in capsys.readouterr().err


def test_usage(command, capsys):
    assert command("--no-such-flag") == 2
    assert command("run", "--help") == 0
    assert "--profile" in capsys.readouterr().out
    assert command("--version") == 0
