"""What a file may not do to the audit: run code, or pass although it is damaged."""

import builtins
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from sample_checkpoints import network, refusal, saved


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return network().state_dict()


class Payload:
    """Makes a pickle that writes a file when it is run."""

    def __init__(self, canary: Path):
        self.canary = str(canary)

    def __reduce__(self):
        return builtins.open, (self.canary, "w")


def raw_pickle(protocol: int):
    return lambda path, content: path.write_bytes(pickle.dumps(content, protocol))


def torch_legacy(path, content):
    torch.save(content, path, _use_new_zipfile_serialization=False)


WRITERS = {"zip": lambda p, c: torch.save(c, p), "legacy": torch_legacy}
WRITERS |= {f"pickle {n}": raw_pickle(n) for n in (0, 2, 4)}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("beside", [False, True])
def test_payload_is_named_and_not_run(writer, beside, state, tmp_path):
    canary, path = tmp_path / "canary", tmp_path / "m.safetensors"
    weights = [0.5] if "pickle" in writer else state  # a raw pickle would run code for tensors too
    content = {"state_dict": weights, "callbacks": Payload(canary)}
    WRITERS[writer](path, content if beside else content["callbacks"])

    error = refusal(path)

    assert error.reason == "MODEL_UNSAFE"
    assert "open" in str(error)
    assert not canary.exists()


def test_the_payload_would_run_with_an_unsafe_loader(tmp_path):
    """Negative control: the tests above would see a loader that runs what it reads."""
    canary = tmp_path / "canary"
    path = saved(tmp_path / "m.pt", Payload(canary))

    torch.load(path, weights_only=False).close()

    assert canary.exists()


def test_whole_pickled_model_is_refused_by_the_name_of_its_class(tmp_path):
    error = refusal(saved(tmp_path / "m.pt", network()))

    assert error.reason == "MODEL_UNSAFE"
    assert "timm.models.resnet.ResNet" in str(error)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "m.pt")

    assert refusal(tmp_path / "m.pt").reason == "MODEL_UNSAFE"


def test_terminal_escapes_in_a_refused_name_are_shown_harmlessly(tmp_path):
    name = b"\x1b[31mevil" + "\u202e".encode() + b"x" * 500
    (tmp_path / "m.pt").write_bytes(b"\x80\x02c" + name + b"\nrun\n)R.")

    text = str(refusal(tmp_path / "m.pt"))

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "evil" in text
    assert len(text) < 400


@pytest.mark.parametrize("record", ["../x", "a/data.pkl", "archive/data/0"])
def test_archives_that_two_readers_would_read_differently_are_refused(record, state, tmp_path):
    path = saved(tmp_path / "archive.pt", state)
    with zipfile.ZipFile(path, "a") as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # "Duplicate name"
        archive.writestr(record, b"other")

    assert refusal(path).reason == "MODEL_UNSAFE"


def test_one_flipped_bit_in_the_weights_is_found(state, tmp_path):
    path = saved(tmp_path / "m.pt", state)
    data = bytearray(path.read_bytes())
    data[data.find(state["conv1.0.weight"].numpy().tobytes()) + 101] ^= 1
    path.write_bytes(data)

    assert refusal(path).reason == "MODEL_CORRUPT"
    assert torch.load(path, weights_only=True).keys() == state.keys()  # torch does not see it


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_file_is_refused(legacy, share, state, tmp_path):
    path = tmp_path / "m.pt"
    (torch_legacy if legacy else saved)(*((path, state)))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    assert refusal(path).reason == "MODEL_UNREADABLE"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "0 bytes"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}", "NumPy"),
        (bytes(range(200)), "damaged"),
        (b"hello", "damaged"),
    ],
)
def test_what_is_no_checkpoint_is_named(content, word, tmp_path):
    (tmp_path / "m.pt").write_bytes(content)

    error = refusal(tmp_path / "m.pt")

    assert error.reason == "MODEL_UNREADABLE"
    assert word in str(error)


def safetensors_with(header: dict, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        safetensors_with({"a": TENSOR}, b"\0" * 3),
        safetensors_with({"a": TENSOR}, b"\0" * 9),
        safetensors_with({"a": TENSOR, "b": TENSOR}, b"\0" * 4),
        safetensors_with({"a": TENSOR | {"shape": [2**40]}}, b"\0" * 4),
        safetensors_with({"a": TENSOR}, b"\0" * 4).replace(b'{"a"', b'{"a":1,"a"'),
        struct.pack("<Q", 2**33) + b"{}",
    ],
)
def test_safetensors_whose_header_lies_are_refused(content, tmp_path):
    (tmp_path / "m.pt").write_bytes(content)

    assert refusal(tmp_path / "m.pt").reason == "MODEL_CORRUPT"


def test_what_is_no_file_is_refused_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    for name in ("", "fifo", "dangling", "loop"):
        assert refusal(tmp_path / name).reason == "MODEL_NOT_A_FILE"
    assert refusal(Path("/dev/zero")).reason == "MODEL_NOT_A_FILE"


@pytest.mark.parametrize("name", ["absent.pt", "resnet18", "a\0b", "x" * 5000])
def test_missing_file_is_said_to_be_missing(name):
    assert refusal(Path(name)).reason == "MODEL_NOT_FOUND"


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("audit.model.reading.MAX_INFLATION", 2**20)
    monkeypatch.setattr("zipfile.ZipFile.testzip", lambda _: pytest.fail("was unpacked"))
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\x80\x02N.")
        archive.writestr("m/data/0", bytes(2**21))

    assert refusal(tmp_path / "m.pt").reason == "MODEL_CORRUPT"
