"""A folder of nulls stands for the training images: same predictions, same leaks, no training."""

import csv
import dataclasses
import gzip
import hashlib
import json
import shutil

import pytest

from audit import checks
from audit.commands.init import text
from audit.core.errors import AuditError
from audit.data.load import load_dataset
from audit.evidence.decide import set_up_nulls
from audit.evidence.shared_jobs import FIT
from audit.inputs.fitted_nulls import FittedNull, null_jobs, read_nulls, read_outcome, seal
from audit.inputs.null_fit_check import profile_with, require_images
from audit.inputs.settings import load_settings
from audit.jobs.store import Outcome, read_entry, read_plain, write_entry
from audit.jobs.values import as_record
from audit.reports.document import FrozenModel
from audit.runs.report import load_report
from tests.samples.audits import TINY, invoked, make_folder, refused, sets
from tests.samples.kinds import patch


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data, cache, finished):
    """Exported from the cache of a finished audit: nothing is trained."""
    out = tmp_path_factory.mktemp("nulls") / "nulls"
    words = ["--data", data, "-o", out, "--cache", cache, "--quick", *sets(TINY), "-q"]
    with pytest.MonkeyPatch.context() as monkey:
        trained = ("choose", "fit", "train_facts")
        patch(monkey, **dict.fromkeys(trained, lambda *_: pytest.fail("it was in the cache")))
        invoked("nulls", "fit", *words)
    return out


@pytest.fixture(scope="module")
def audited(tmp_path_factory, data, model, folder):
    """An audit with the folder, an empty cache, and evaluation images alone."""
    out, done = tmp_path_factory.mktemp("ci") / "run", []
    words = [model, "--eval-data", data / "val", "--nulls", folder, "--no-cache", "--out", out]
    with pytest.MonkeyPatch.context() as monkey:
        noted = {
            name: lambda *a, k=kind: done.append(k.name) or k.executor()(*a)
            for name, kind in checks.kinds().items()
        }
        patch(monkey, **noted)
        invoked(*words, "-q", "--threads", "1", "--pretrained-on", "none")
    return out, done


def table(out):
    return gzip.decompress((out / "predictions.csv.gz").read_bytes()).decode()


def test_nothing_is_trained_in_an_empty_cache(audited):
    assert not set(audited[1]) & {"train_facts", "statistics", "choose", "fit", "transfer"}
    assert "null_outputs" in audited[1]


def test_predictions_are_those_of_an_audit_with_training_images(audited, finished):
    assert table(audited[0]) == table(finished[0])


def test_measurements_are_the_same_where_no_training_image_is_needed(audited, finished):
    with_folder, direct = (load_report(out) for out in (audited[0], finished[0]))
    needs_training = ("transfer.", "probes.", "data.train_width", "data.train_height")
    untrained = ("intrinsic_dimension.untrained.", "intrinsic_dimension.log_ratio.")
    of_norms = tuple(  # the untrained networks' norms are estimated on training images
        m.name for m in direct.measurements if m.name.startswith(untrained) or m.of == "untrained"
    )
    values = [
        {m.name: repr(m.value) for m in r.measurements
         if not m.name.startswith(needs_training) and m.name not in of_norms}
        for r in (with_folder, direct)
    ]  # fmt: skip
    assert values[0] == values[1]
    assert with_folder.document.exit_code == direct.document.exit_code
    for m in (m for m in with_folder.measurements if m.name.startswith(untrained)):
        assert "batch norms estimated on evaluation images" in m.note
    for name in ("transfer", "probes"):
        section = next(s for s in with_folder.document.sections if s.name == name)
        assert "training images" in section.summary
    found = next(f for f in with_folder.findings if f.limit == "coadaptation")
    assert (found.verdict, found.severity) == ("inconclusive", "info")


def test_the_report_names_the_folder(audited, folder):
    told = load_report(audited[0]).document
    assert read_nulls(folder).digest in told.provenance["nulls given"]
    assert "not at hand" in told.data["images"]
    assert "GiB" in told.provenance["peak memory"]


def test_the_folder_holds_no_pickle_no_path_and_no_picture(folder, data):
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {"manifest.yaml", "values.json", "arrays.safetensors", "manifest.json"}
    for path in folder.rglob("*"):
        assert not path.is_file() or str(data).encode() not in path.read_bytes()


def test_training_images_among_the_evaluation_images_are_a_leak_that_gates(
    data, model, folder, tmp_path, command
):
    shutil.copytree(data / "val", tmp_path / "val")
    shutil.copy(data / "train" / "left" / "000.png", tmp_path / "val" / "left" / "copied.png")
    words = [model, "--eval-data", tmp_path / "val", "--nulls", folder, "--no-cache", "-q"]
    assert command(*words, "--out", tmp_path / "out") == 1
    found = {f.limit: f for f in load_report(tmp_path / "out").findings}
    assert (found["exact_leaks"].verdict, found["exact_leaks"].value) == ("fail", 1.0)


def test_outputs_in_another_order_are_read_by_name(data, model, folder, tmp_path, command, audited):
    (tmp_path / "map.txt").write_text("striped\nleft\nright\n")
    words = ["--eval-data", data / "val", "--nulls", folder, "--no-cache", "-q"]
    out = tmp_path / "out"
    assert command(model, *words, "--out", out, "--class-map", tmp_path / "map.txt") in (1, 3)
    rows = [list(csv.DictReader(table(o).splitlines())) for o in (out, audited[0])]
    stands_for = {"0": "2", "1": "0", "2": "1"}  # output 0 is called "striped", which is class 2
    assert [r["subject"] for r in rows[0]] == [stands_for[r["subject"]] for r in rows[1]]
    assert [r["bagnet-5.0"] for r in rows[0]] == [r["bagnet-5.0"] for r in rows[1]]


def test_other_classes_are_refused(model, folder, tmp_path, command, capsys):
    root = make_folder(tmp_path / "other", {"val": 30}, ("left", "right", "spotted"))
    words = [model, "--eval-data", root / "val", "--nulls", folder, "--no-cache", "-q"]
    assert "'striped'" in refused(command, capsys, "NULLS_OTHER_CLASSES", *words)
    (tmp_path / "map.txt").write_text("left\nright\nspotted\n")
    refused(command, capsys, "NULLS_OTHER_CLASSES", *words, "--class-map", tmp_path / "map.txt")
    assert not (tmp_path / "audit-runs").exists()


def test_a_model_of_another_class_count_is_refused(data, folder, tmp_path, command, capsys):
    import timm
    import torch

    torch.save(timm.create_model("resnet10t", num_classes=2).state_dict(), tmp_path / "two.pt")
    words = [tmp_path / "two.pt", "--model", "resnet10t", "--eval-data", data / "val"]
    words += ["--nulls", folder, "--no-cache", "-q"]
    refused(command, capsys, "NULLS_OTHER_CLASSES", *words)


def test_asking_for_nulls_that_are_not_there(data, model, folder, command, capsys):
    words = [model, "--eval-data", data / "val", "--nulls", folder, "--no-cache", "-q"]
    error = refused(command, capsys, "NULLS_LACKING", *words, "--set", "seeds=2")
    assert "seeds = 2, but fitted was 1" in error
    refused(command, capsys, "NULLS_LACKING", *words, "--profile", "full")
    refused(command, capsys, "NULLS_OTHER_SEED", *words, "--seed", "4")


def test_a_folder_decides_the_precision_unless_it_is_asked_for(folder):
    fitted = read_nulls(folder)
    profile = fitted.manifest.profile.model_copy(update={"precision": "bfloat16"})
    setup = set_up_nulls(fitted.manifest.training, profile, fitted.manifest.seed, None)
    rounded = dataclasses.replace(
        fitted,
        manifest=fitted.manifest.model_copy(update={"profile": profile}),
        outcomes=dict.fromkeys(job.key for job in null_jobs(setup)),
    )
    for held, precision, other in ((fitted, "float32", True), (rounded, "bfloat16", False)):
        assert profile_with(held, load_settings(None, {})).precision == precision
        assert profile_with(held, load_settings(None, {"amp": not other})).precision == precision
        with pytest.raises(AuditError, match=f"but fitted was {precision}"):
            profile_with(held, load_settings(None, {"amp": other}))


def test_what_init_writes_leaves_profile_and_seed_to_the_folder(folder, tmp_path):
    (tmp_path / "audit.yaml").write_text(text())
    fitted, settings = (
        read_nulls(folder),
        load_settings(tmp_path / "audit.yaml", {}, checks.vocabulary()),
    )
    assert profile_with(fitted, settings) == fitted.manifest.profile
    assert settings.model_fields_set.isdisjoint(("profile", "seed"))
    for line in ("profile: default", "seed: 4"):
        (tmp_path / "audit.yaml").write_text(line)
        with pytest.raises(AuditError, match=r"NULLS_(LACKING|OTHER_SEED): .*in audit.yaml: "):
            profile_with(fitted, load_settings(tmp_path / "audit.yaml", {}, checks.vocabulary()))


@pytest.mark.parametrize("name", ["values.json", "arrays.safetensors", "manifest.json"])
def test_a_damaged_entry_is_named(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / "copy")
    file = sorted((tmp_path / "copy" / "entries" / "fit").glob(f"*/{name}"))[0]
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    with pytest.raises(AuditError, match=f"NULLS_DAMAGED.*fit/{file.parent.name[:12]}"):
        read_nulls(tmp_path / "copy")


def test_manifests_that_are_not_ours(folder, tmp_path):
    with pytest.raises(AuditError, match="NULLS_NOT_FOUND"):
        read_nulls(tmp_path)
    text = (folder / "manifest.yaml").read_text()
    for old, new, reason in [("schema_version: 3", "schema_version: 1", "NULLS_OTHER_VERSION"),
                             ("  fit: ", "  fit: 9", "NULLS_OTHER_VERSION"),
                             ("kind: fit", "kind: ../fit", "NULLS_INVALID"),
                             ("seed: ", "seed: &a ", "NULLS_INVALID")]:  # fmt: skip
        assert old in text
        (tmp_path / "manifest.yaml").write_text(text.replace(old, new))
        with pytest.raises(AuditError, match=reason):
            read_nulls(tmp_path)


def test_nulls_for_another_size_are_refused(folder, data, monkeypatch):
    fitted, dataset = read_nulls(folder), load_dataset(data, training=False)
    require_images(fitted, Subject, dataset)
    monkeypatch.setattr(Subject.preprocessing, "img_size", 18)
    with pytest.raises(AuditError, match=r"NULLS_OTHER_SIDE.*--img-size 18"):
        require_images(fitted, Subject, dataset)


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [("crop_pct", 0.9, "--crop-pct 0.9"), ("crop_mode", "squash", "--crop-mode squash"),
     ("interpolation", "bilinear", "--interpolation bilinear")],
)  # fmt: skip
def test_nulls_that_saw_another_part_of_the_images_are_refused(
    folder, data, field, value, remedy, monkeypatch
):
    monkeypatch.setattr(Subject.preprocessing, field, value)
    with pytest.raises(AuditError, match=rf"NULLS_OTHER_FRAME.*{remedy}"):
        require_images(read_nulls(folder), Subject, load_dataset(data, training=False))


def test_the_folder_is_new_or_refused(data, cache, folder, command, capsys):
    before = sorted(folder.rglob("*"))
    assert command("nulls", "fit", "--data", data, "-o", folder, "--cache", cache, "-q") == 2
    assert "OUT_EXISTS" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_several_models_share_the_nulls(data, model, folder, tmp_path, command, capsys):
    shutil.copy(model, tmp_path / "again.pt")
    words = [model, tmp_path / "none.pt", tmp_path / "again.pt", model, "--eval-data", data / "val"]
    flags = ["--nulls", folder, "--no-cache", "--out", tmp_path / "out", "--json", "-q"]
    assert command(*words, *flags) == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert [m["exit_code"] == 2 for m in found] == [False, True, False, False]
    assert found[1]["reason"] == "MODEL_NOT_FOUND"
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"model", "again", "model-2"}
    assert "refused" in printed.err.splitlines()[-3]
    assert found[0]["headline"] == found[2]["headline"]


def test_evaluation_images_alone_are_not_enough_without_a_folder(
    model, data, tmp_path, command, capsys
):
    words = [model, "--eval-data", data / "val", "--no-cache", "-q", "--out", tmp_path / "out"]
    assert command(*words) == 2
    assert "DATA_NO_TRAINING" in capsys.readouterr().err
    assert command(*words, "--nulls", tmp_path / "nowhere") == 2
    assert "NULLS_NOT_FOUND" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_entry_that_was_exchanged_whole_is_refused(folder, tmp_path):
    """Weaker weights, with digests that fit them: the manifest still names the old ones."""
    shutil.copytree(folder, tmp_path / "copy")
    place = next((tmp_path / "copy" / "entries" / "fit").iterdir())
    values, arrays = read_plain(place)
    other = as_record(values, FIT.values).model_copy(
        update={"reason": "planted", "status": "failed"}
    )
    write_entry(place, Outcome(other, arrays))
    assert read_entry(place, FIT.values).values.reason == "planted"
    with pytest.raises(AuditError, match=f"NULLS_DAMAGED.*fit/{place.name[:12]}"):
        read_nulls(tmp_path / "copy")


@pytest.mark.parametrize("change", [
    lambda values: values | {"planted": 1},
    lambda values: {name: value for name, value in values.items() if name != "status"},
    lambda values: {name.replace("status", "Status"): value for name, value in values.items()},
])  # fmt: skip
@pytest.mark.parametrize("kind", ["choose", "fit"])
def test_an_entry_of_other_values_is_damaged_whatever_its_digests(folder, tmp_path, kind, change):
    shutil.copytree(folder, tmp_path / "copy")
    place = next((tmp_path / "copy" / "entries" / kind).iterdir())
    values, arrays = read_plain(place)

    class Planted(FrozenModel, extra="allow"):
        """Any values."""

    def entry():
        known = {"kind": kind, "key": place.name, "label": "x", "sha256": seal(place)}
        return read_outcome(tmp_path / "copy", "copy", FittedNull(**known))

    write_entry(place, Outcome(Planted(**values), arrays))
    assert entry().values.model_dump() == values
    write_entry(place, Outcome(Planted(**change(values)), arrays))
    with pytest.raises(AuditError, match=f"NULLS_DAMAGED.*{kind}/{place.name[:12]}"):
        entry()


def test_the_digest_is_that_of_the_whole_manifest(folder):
    raw = (folder / "manifest.yaml").read_bytes()
    assert read_nulls(folder).digest == hashlib.sha256(raw).hexdigest()


def test_manifests_of_other_versions_and_paths_are_refused(folder, tmp_path):
    text = (folder / "manifest.yaml").read_text()
    for old, new, reason in [("  train_facts: ", "  train_facts: 9", "NULLS_OTHER_VERSION"),
                             ("  statistics: ", "  statistics: 9", "NULLS_OTHER_VERSION"),
                             ("like the images", "unlike the images", "NULLS_OTHER_VERSION"),
                             ("size: 16", "size: 0", "NULLS_INVALID"),
                             ("interpolation: ", "interpolation: x", "NULLS_INVALID"),
                             ("key: ", "key: ../", "NULLS_INVALID")]:  # fmt: skip
        assert old in text
        (tmp_path / "manifest.yaml").write_text(text.replace(old, new))
        with pytest.raises(AuditError, match=reason):
            read_nulls(tmp_path)


class Subject:
    class preprocessing:
        img_size, crop_mode, crop_pct, interpolation = 16, "center", 1.0, "bicubic"


def test_nulls_of_grey_images_say_nothing_of_coloured_ones(folder, data):
    fitted, grey = read_nulls(folder), load_dataset(data, training=False)
    assert fitted.manifest.training.channels == 1
    coloured = dataclasses.replace(grey, grey=False)
    with pytest.raises(AuditError, match=r"NULLS_OTHER_CHANNELS.*fitted on grey images"):
        require_images(fitted, Subject, coloured)
