"""Negative controls: what a careless reader or writer would do with the same input."""

import contextlib
import functools
import hashlib
import io
import json
import math
import os
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import yaml as careless
from markdown_it import MarkdownIt
from PIL import Image, PngImagePlugin

from audit.core.errors import AuditError
from audit.data import decode, images
from audit.data.dataset import Split
from audit.data.images import ImageProblemError, decode_bytes
from audit.data.load import load_dataset
from audit.jobs.folders import new_folder
from audit.jobs.store import Outcome, Store
from audit.model import weights
from audit.model.checkpoint import load_subject
from audit.model.files import sandbox as holes
from audit.model.files import sandbox as parsing
from audit.model.files import zip_archive as zips
from audit.model.files.content import read_content
from audit.pipeline.run_folder import png
from audit.reports import files, markdown, pictures, text, yaml
from tests.hostile.test_negative_controls import parsed, refused
from tests.samples.checkpoints import X, saved
from tests.samples.hostile_checkpoints import CODE_CASES
from tests.samples.hostile_folders import CASES as FOLDERS
from tests.samples.hostile_policies import TEXTS
from tests.samples.hostile_tools import (
    ARCH,
    SAMPLE_INPUTS,
    archive,
    canary,
    network,
    records,
    safetensors,
    saved_bytes,
    state,
)
from tests.samples.hostile_tools import twice as doubled
from tests.samples.images import cats_and_dogs, noise
from tests.samples.outcomes import Noted

# Checkpoints


@pytest.mark.filterwarnings("ignore")
def test_loading_an_exported_program_would_run_its_code(tmp_path):
    torch.export.save(torch.export.export(network(), (X,)), tmp_path / "m.pt2")
    parts = records((tmp_path / "m.pt2").read_bytes())
    (sample,) = [name for name in parts if name.endswith(SAMPLE_INPUTS)]
    parts[sample] = saved_bytes(canary(tmp_path))
    (tmp_path / "m.pt2").write_bytes(archive(parts))
    with pytest.raises(AssertionError):  # not what it wants, but it was run
        torch.export.load(tmp_path / "m.pt2")
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "name", [f"raw pickle {n}" for n in (0, 2, 4, 5)] + ["pickle before a zip"]
)
def test_pickle_would_run_the_call(name, tmp_path):
    with CODE_CASES[name].build(tmp_path).open("rb") as file:
        pickle.load(file).close()
    assert (tmp_path / "canary").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["old tar format", "legacy with a call"])
def test_torch_unrestricted_would_run_the_call(name, tmp_path):
    path = CODE_CASES[name].build(tmp_path)
    with contextlib.suppress(TypeError):  # behind the call
        torch.load(path, weights_only=False)
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["bytes behind a zip", "comment of a zip", "two data.pkl"])
def test_torch_alone_would_read_it(name, tmp_path):
    assert "fc.bias" in torch.load(CODE_CASES[name].build(tmp_path), weights_only=True)


def test_the_size_that_an_archive_unpacks_to_is_what_is_refused(monkeypatch):
    raw = archive({"m/data.pkl": b"\x80\x02}.", "m/data/0": bytes(2**20)}, method=8)
    assert parsed(raw).value == {}
    monkeypatch.setattr(zips, "MAX_INFLATION", 2**19)
    assert "GiB in" in refused(raw)


def test_without_distinct_keys_the_last_one_counts(tmp_path):
    raw = doubled(tmp_path)
    assert "contradicts itself" in refused(raw)
    assert json.loads(raw[8:-4])["a"]["shape"] == [1]


def test_without_the_look_at_its_holes_an_empty_file_is_read(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    size = 2**23
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    safetensors({"w": entry}, b"")(tmp_path)
    os.truncate(path, path.stat().st_size + size)
    monkeypatch.setattr(holes, "SMALL", 0)
    with (
        pytest.raises(AuditError, match=r"MODEL_CORRUPT: .*never written"),
        read_content(path),
    ):
        pytest.fail("it was read")
    monkeypatch.setattr(parsing, "is_sparse", lambda _: False)
    with read_content(path) as content:
        assert content.value["w"].shape == (size // 4,)


def test_the_memory_that_shared_weights_take_is_what_is_refused(tmp_path, monkeypatch):
    one = torch.zeros(max(v.numel() for v in state().values()))
    shared = {k: one[: v.numel()].view(v.shape) if v.dim() else v for k, v in state().items()}
    path = saved(tmp_path / "m.pt", shared)
    monkeypatch.setattr(weights, "MOST_READ", 1)
    load_subject(path, model=ARCH)
    monkeypatch.setattr(weights, "ROOM", 0)
    with pytest.raises(AuditError, match=r"MODEL_CORRUPT: .*share"):
        load_subject(path, model=ARCH)


def test_without_the_look_at_its_values_a_broken_network_answers(tmp_path):
    broken = state() | {"fc.bias": torch.full((5,), math.nan)}
    net = timm.create_model(ARCH, num_classes=5).eval()
    net.load_state_dict(broken)
    assert net(X).argmax(1).tolist() == [0, 0]
    with pytest.raises(AuditError, match="MODEL_NOT_FINITE"):
        load_subject(saved(tmp_path / "m.pt", broken), model=ARCH)


def test_timm_alone_would_follow_a_name_into_a_folder(tmp_path):
    timm.models.save_for_hf(timm.create_model("test_vit", num_classes=7), tmp_path / "m")
    assert timm.create_model(f"local-dir:{tmp_path / 'm'}").num_classes == 7


def test_timm_alone_would_follow_a_path_among_the_arguments(tmp_path):
    path = saved(tmp_path / "m.pt", state() | {"fc.bias": torch.full((5,), 3.0)})
    net = timm.create_model(ARCH, num_classes=5, checkpoint_path=str(path))
    assert net.fc.bias.tolist() == [3] * 5


DEEP = "key = ()\nfor _ in range({}): key = (key,)\nhash(key)"


def test_a_deep_key_would_end_the_process():
    for depth, ends in ((10, True), (10**6, False)):
        words = [sys.executable, "-c", DEEP.format(depth)]
        done = subprocess.run(words, check=False, capture_output=True)
        assert (done.returncode == 0) == ends


# Image folders


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("read", [Path.read_bytes, Image.open, torch.load])
def test_a_careless_reader_would_wait_at_a_pipe(read, tmp_path):
    os.mkfifo(tmp_path / "x.png")

    def reading():
        with contextlib.suppress(Exception):
            read(tmp_path / "x.png")

    reader = threading.Thread(target=reading, daemon=True)
    reader.start()
    reader.join(0.5)
    assert reader.is_alive()
    (tmp_path / "x.png").write_bytes(b"")  # lets it go
    reader.join(10)


def test_a_device_has_no_size_and_no_end():
    zero = Path("/dev/zero")
    with zero.open("rb") as file:
        assert len(file.read(2**24)) == 2**24 > zero.stat().st_size


def test_without_the_limit_on_its_shape_a_line_takes_megapixels(monkeypatch):
    packed = io.BytesIO()
    noise(1, 300, 3).save(packed, "PNG")
    with pytest.raises(ImageProblemError, match="times as long"):
        decode_bytes(packed.getvalue())
    monkeypatch.setattr(images, "MAX_RATIO", 1000)
    image = decode_bytes(packed.getvalue())
    whole = timm.data.create_transform(224, crop_pct=1.0).transforms[0](image)
    assert whole.width * whole.height == 224 * 67_200 > 200 * 224 * 224


@pytest.mark.filterwarnings("ignore")
def test_timm_alone_would_show_another_image_with_another_label(tmp_path):
    data = FOLDERS["cut short"].build(tmp_path)
    for file in sorted((data / "val" / "cat").iterdir())[1:]:
        file.unlink()
    dataset = timm.data.ImageDataset(str(data / "val"))
    assert dataset.reader.samples[0][1] == 0
    assert dataset[0][1] == 1  # a dog


def test_torchvision_alone_would_number_the_classes_anew(tmp_path):
    from torchvision.datasets import ImageFolder

    data = FOLDERS["class missing in val"].build(tmp_path)
    numbers = [ImageFolder(data / split).class_to_idx["dog"] for split in ("train", "val")]
    assert numbers == [1, 0]


def test_without_its_digest_a_picture_that_changed_is_taken(tmp_path, monkeypatch):
    data = load_dataset(cats_and_dogs(tmp_path / "data"))
    noise(8, 8, 3).save(tmp_path / "data" / "val" / "cat" / "0.png")
    with pytest.raises(AuditError, match="DATA_CHANGED"):
        decode(data.eval, 8, 3)
    monkeypatch.setattr(Split, "_require_same", lambda *_: None)
    assert len(decode(data.eval, 8, 3)) == 52


# Pictures of a report


def test_no_metadata_of_an_image_travels(tmp_path):
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", "taken at home")
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    noise(8, 8, 3).save(tmp_path / "a.png", pnginfo=note, exif=exif)
    raw = (tmp_path / "a.png").read_bytes()
    assert raw.count(b"taken at home") == 2  # the control
    again = png(np.asarray(decode_bytes(raw)))
    assert b"taken" not in again
    with Image.open(io.BytesIO(again)) as image:
        assert image.info == {}


def test_without_the_boundary_a_report_shows_any_picture(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    noise(8, 8, 3).save(tmp_path / "secret.png")
    assert not pictures.show(tmp_path / "run", "../secret.png").source
    monkeypatch.setattr(Path, "is_relative_to", lambda *_: True)
    assert pictures.show(tmp_path / "run", "../secret.png").source


# Policies and names


def test_a_careless_reader_takes_the_last_of_two_keys():
    assert careless.safe_load(TEXTS["duplicate key"])["limits"]["gain"]["at_least"] == 0.2


def test_without_the_limit_on_depth_a_policy_ends_the_reader(monkeypatch):
    with pytest.raises(ValueError, match="nested deeper"):
        yaml.load(TEXTS["deep nesting"])
    monkeypatch.setattr(yaml, "_DEEPEST", 10**6)
    with pytest.raises(RecursionError):
        yaml.load(TEXTS["deep nesting"])


@pytest.mark.parametrize(("word", "taken"), [("no", False), ("null", None), ("on", True)])
def test_without_quotes_a_name_is_no_name(word, taken, monkeypatch):
    assert careless.safe_load(yaml.dump({"name": word}))["name"] == word
    monkeypatch.setattr(yaml, "_TRAPS", ())
    assert careless.safe_load(yaml.dump({"name": word}).replace("'", ""))["name"] is taken


NEVER = re.compile(r"(?!)()")  # a group, as the real ones have


@pytest.mark.parametrize("name", ["##vso[task.complete]x", "::error::stop", "##[error]x"])
def test_without_escaping_a_name_commands_the_build_server(name, monkeypatch):
    assert text.visible(name) != name
    monkeypatch.setattr(text, "_COMMAND", NEVER)
    assert text.visible(name) == name


def kinds(words):
    (inline,) = [token for token in MarkdownIt().parse(words) if token.type == "inline"]
    return {token.type for token in inline.children}


@pytest.mark.parametrize(("name", "kind"), [("[e](https://x.y)", "link_open"), ("*d*", "em_open"),
                                            ("`c`", "code_inline")])  # fmt: skip
def test_without_escaping_a_name_is_markup(name, kind, monkeypatch):
    assert kind not in kinds(markdown.plain(name))
    for pattern in ("_MARKUP", "_ADDRESS"):
        monkeypatch.setattr(markdown, pattern, NEVER)
    assert kind in kinds(markdown.plain(name))


# Writing


def hasty(work, monkeypatch):
    """Files that were renamed before they were on the disk, and folders whose renames are not."""
    flushed, early, open_ = set(), [], {}
    real = {name: getattr(os, name) for name in ("fsync", "replace", "rename")}

    def fsync(handle):
        real["fsync"](handle)
        flushed.add(os.fstat(handle).st_ino)
        open_.pop(os.fstat(handle).st_ino, None)

    def move(name, source, target):
        held = [Path(source), *Path(source).rglob("*")]
        early.extend(p.name for p in held if p.is_file() and p.stat().st_ino not in flushed)
        real[name](source, target)
        open_[Path(target).parent.stat().st_ino] = Path(target).name

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, functools.partial(move, name))
    work()
    monkeypatch.undo()
    return early, [*open_.values()]


def careless_write(path, data):
    temporary = path.with_name("temporary")
    temporary.write_bytes(data)
    temporary.replace(path)


def a_report(folder, write=files.write_atomic):
    with new_folder(folder / "run") as run:
        write(run / "report.yaml", b"x")


WORKS = {
    "file": lambda folder: files.write_atomic(folder / "a", b"x"),
    "entry": lambda folder: Store(folder).put("fit", "k", Outcome(arrays={"x": np.zeros(9)})),
    "report": a_report,
}


@pytest.mark.parametrize("kind", WORKS)
def test_what_is_named_is_on_the_disk(kind, tmp_path, monkeypatch):
    assert hasty(lambda: WORKS[kind](tmp_path), monkeypatch) == ([], [])


def test_a_writer_without_fsync_is_caught(tmp_path, monkeypatch):
    found = hasty(lambda: careless_write(tmp_path / "a", b"x"), monkeypatch)
    assert found == (["temporary"], ["a"])
    found = hasty(lambda: a_report(tmp_path, careless_write), monkeypatch)
    assert "temporary" in found[0]


def test_without_its_digest_a_damaged_entry_is_read(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def damaged():
        store.put("fit", "k", Outcome(Noted(number=1)))
        (tmp_path / "fit" / "k" / "values.json").write_text('{"number": 2}')
        return store.get("fit", "k", (Noted,))

    assert damaged() is None
    same = SimpleNamespace(sha256=lambda _: hashlib.sha256(b""))
    monkeypatch.setattr("audit.jobs.store.hashlib", same)
    assert damaged().values == Noted(number=2)
