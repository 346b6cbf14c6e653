"""With one protection taken away, the input that it stops is accepted, or the harm is done.

Each test shows first that the protection holds, so that the two sides differ by it alone.
"""

import contextlib
import io
import json
import os
import tempfile

import pytest
import torch
import yaml as careless
from PIL import Image, PngImagePlugin

from audit import checks
from audit.core.errors import AuditError
from audit.data import idx, scan
from audit.data.images import ImageProblemError, decode_bytes
from audit.data.load import load_dataset
from audit.model import recorded
from audit.model.files import formats
from audit.model.files import pickle_machine as opcodes
from audit.model.files import sandbox_child as child
from audit.model.files import zip_archive as zips
from audit.model.files.errors import CheckpointError
from audit.model.guard import TooLongError, limited
from audit.model.spec import ModelSpec
from audit.pipeline import run_folder as folder
from audit.policy import limits
from audit.policy.limits import parse_policy
from audit.reports import text, yaml
from tests.samples.hostile_folders import CASES as FOLDERS
from tests.samples.hostile_folders import commented, idx_bomb
from tests.samples.hostile_policies import CASES as POLICIES
from tests.samples.hostile_policies import LIMIT, TEXTS
from tests.samples.hostile_tools import TENSOR, archive, nested_records, with_pickle
from tests.samples.hostile_tools import safetensors as safetensors_file
from tests.samples.images import noise, refusal


def parsed(raw):
    """What the parser of model files makes of some bytes, in this process."""
    return formats.parse(io.BytesIO(raw), len(raw), io.BytesIO())


def refused(raw):
    with pytest.raises(CheckpointError) as caught:
        parsed(raw)
    return caught.value.what


# Image folders


def test_without_the_boundary_a_picture_outside_is_read(tmp_path, monkeypatch):
    data = FOLDERS["link to another place"].build(tmp_path)
    assert refusal(data)[0] == "DATA_LINK_OUTSIDE"
    monkeypatch.setattr(scan, "within", lambda path, boundary: True)
    assert len(load_dataset(data).eval) == 53


def test_without_pillows_limit_a_comment_unpacks_to_twenty_megabytes(monkeypatch):
    packed = io.BytesIO()
    noise(8, 8, 3).save(packed, "PNG")
    raw = commented(packed.getvalue())
    with pytest.raises(ImageProblemError, match="unpacks to megabytes"):
        decode_bytes(raw)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 2**30)
    assert decode_bytes(raw).size == (8, 8)
    with Image.open(io.BytesIO(raw)) as image:
        image.load()
        assert len(image.text["Comment"]) == 20_000_000 > 500 * len(raw)


def test_without_its_limit_a_small_idx_file_fills_the_memory(tmp_path, monkeypatch):
    path = idx_bomb(tmp_path, 20 * 2**20)
    with pytest.raises(AuditError, match="DATA_IMAGE_TOO_LARGE"):
        idx.read_idx(path, 3)
    monkeypatch.setattr(idx, "MAX_INFLATION", 10_000)
    assert idx.read_idx(path, 3).nbytes == 20 * 2**20 > 500 * path.stat().st_size


# Policies and names


def test_a_reader_that_follows_aliases_unpacks_the_bomb():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(12))
    for each in (bomb, TEXTS["billion laughs"]):
        with pytest.raises(ValueError, match="aliases"):
            yaml.load(each)
    assert len(json.dumps(careless.safe_load(bomb))) > 100 * len(bomb)


def test_without_the_check_of_its_fields_a_limit_may_be_nan(monkeypatch):
    raw = {"limits": {"gain": {"measure": "accuracy_gap.gain.*", "severity": "gate"}}}
    raw["limits"]["gain"] |= yaml.load(LIMIT.format(".nan"))["limits"]["gain"]
    with pytest.raises(AuditError, match="needs a finite number"):
        parse_policy(raw, checks.vocabulary(), base=None)
    monkeypatch.setattr(limits, "_problem", lambda key, value: "")
    (limit,) = parse_policy(raw, checks.vocabulary(), base=None).limits
    assert limit.bound != limit.bound


def test_without_quoting_a_file_name_is_a_formula(monkeypatch):
    assert folder.quoted("=HYPERLINK(1).png") == "'=HYPERLINK(1).png"
    monkeypatch.setattr(folder, "FORMULA", ())
    assert folder.quoted("=HYPERLINK(1).png").startswith("=")


def test_without_escaping_the_terminal_gets_the_colour(tmp_path, command, capsys, monkeypatch):
    path = POLICIES["escape as a name"].build(tmp_path)
    words = ("m.pt", "--data", "nowhere", "--policy", path, "-q")
    assert command(*words) == 2
    assert "\\x1b[31m" in (shown := capsys.readouterr().err)
    assert "\x1b" not in shown
    monkeypatch.setattr(text, "is_hidden", lambda character: False)
    assert command(*words) == 2
    assert "\x1b[31m" in capsys.readouterr().err


# Model files


@pytest.mark.parametrize("offsets", [[8, 12], [0, 4]])
def test_without_the_order_of_its_tensors_safetensors_may_have_gaps(offsets, tmp_path, monkeypatch):
    table = {"a": TENSOR, "b": TENSOR | {"data_offsets": offsets}}
    raw = safetensors_file(table, bytes(offsets[1]))(tmp_path).read_bytes()
    assert "contradicts itself" in refused(raw)
    real = formats._located

    def anywhere(entry, base, at):
        return real(entry, base, entry["data_offsets"][0])

    monkeypatch.setattr(formats, "_located", anywhere)
    assert set(parsed(raw).value) == {"a", "b"}


def test_without_the_end_of_each_record_one_may_lie_in_another(tmp_path, monkeypatch):
    raw = nested_records(tmp_path)
    assert "records that overlap" in refused(raw)
    assert torch.load(io.BytesIO(raw), weights_only=True)["w"].tolist() == [1, 1]  # unnoticed

    def endless(infos, ends, strict):
        return ((info, len(raw)) for info in infos)

    monkeypatch.setattr(zips, "zip", endless, raising=False)
    assert set(parsed(raw).value) == {"w"}


def test_without_the_check_of_names_a_record_may_point_outside(monkeypatch):
    raw = archive({"m/data.pkl": b"\x80\x02}.", "m/../../canary": b"x"})
    assert "point outside it" in refused(raw)
    monkeypatch.setattr(zips, "_check_names", lambda names: None)
    assert parsed(raw).value == {}


def answer(path):
    handle, target = os.open(path, os.O_RDONLY), tempfile.TemporaryFile()  # noqa: SIM115
    with target:
        return child.answer(handle, os.dup(target.fileno()), path.stat().st_size)


def test_the_number_of_keys_is_what_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    torch.save(dict.fromkeys(map(str, range(3_000)), torch.ones(1)), path)
    assert len(answer(path)["value"][1]) == 3_000
    monkeypatch.setattr(child, "MOST_PARTS", child.MOST_PARTS // 100)  # as 300,000 keys are to it
    assert "hundreds of thousands of values" in answer(path)["refused"][1]


def test_the_number_of_opcodes_is_what_is_refused(monkeypatch):
    raw = with_pickle(b"\x80\x02" + b"N0" * 15_000 + b"N.")
    assert parsed(raw).value is None
    monkeypatch.setattr(opcodes, "MOST_OPCODES", opcodes.MOST_OPCODES // 100)
    assert "millions of parts" in refused(raw)


def test_without_its_limit_a_deep_network_takes_what_it_takes(monkeypatch):
    spec = ModelSpec("vit_tiny_patch16_224", {"depth": 60}, 10, 3, 224)
    monkeypatch.setattr(recorded, "limited", lambda: limited(seconds=0.01))
    with pytest.raises(AuditError, match="MODEL_ARCH_MISMATCH"):
        recorded.outlined(spec)
    monkeypatch.setattr(recorded, "limited", contextlib.nullcontext)
    assert len(recorded.outlined(spec).blocks) == 60


def endless():
    while True:
        pass


def test_time_and_memory_end_what_is_inside():
    with pytest.raises(TooLongError), limited(seconds=0.05):
        endless()
    with pytest.raises(MemoryError), limited(memory=2**26):
        bytes(2**29)
    assert len(bytes(2**29)) == 2**29  # without it: reserved, never touched
