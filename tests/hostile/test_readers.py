"""What torch reads otherwise than the audit does is refused: else other weights are audited."""

import io

import pytest
import torch

from audit.model.files.content import read_content
from tests.samples.checkpoints import refusal
from tests.samples.hostile_readers import READ_TWICE, in_capitals


@pytest.mark.parametrize("name", READ_TWICE)
def test_what_torch_reads_otherwise_is_refused(name, tmp_path):
    raw = READ_TWICE[name]()
    (tmp_path / "m.pt").write_bytes(raw)
    loaded = torch.load(io.BytesIO(raw), weights_only=True)["w"]
    assert loaded.tolist() == [7, 7]  # the control: nothing warns a user of torch

    assert refusal(tmp_path / "m.pt").reason == "MODEL_UNSAFE"


def test_a_byte_order_in_capitals_is_refused(tmp_path):
    """Some versions of torch swap bytes by it, 2.6 does not."""
    (tmp_path / "m.pt").write_bytes(in_capitals("byteorder", b"big"))
    assert refusal(tmp_path / "m.pt").reason in ("MODEL_UNSAFE", "MODEL_UNREADABLE")


def test_honest_names_may_have_capitals(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "Net.pt")

    with read_content(tmp_path / "Net.pt") as content:
        assert content.tensor(content.value["w"]).tolist() == [1, 1]
