"""The demo's folder is whole or not there; that a whole demo ends well is in test_slow.py."""

import errno

import pytest
import torch

from audit.selftest.demo_model import ARCHITECTURE, KWARGS, save


@pytest.mark.parametrize(("fault", "code", "told"), [
    (KeyboardInterrupt(), 130, "audit: stopped; "),
    (OSError(errno.ENOSPC, "No space left on device"), 2, "audit: OUT_UNUSABLE: "),
])  # fmt: skip
def test_a_demo_that_cannot_go_on_leaves_nothing(
    fault, code, told, command, capsys, tmp_path, monkeypatch
):
    def unfinished(path):
        path.mkdir()
        (path / "first.png").write_bytes(b"x")
        raise fault

    monkeypatch.setattr("audit.data.embedded.write_embedded_folder", unfinished)
    assert command("demo", "--out", tmp_path / "demo", "--threads", "1", "-q") == code
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_checkpoint_is_one_that_an_audit_takes(tmp_path):
    import timm

    from audit.model.checkpoint import load_subject

    net = timm.create_model(ARCHITECTURE, in_chans=1, num_classes=10, **KWARGS)
    save(net, tmp_path / "model.pt", torch.tensor([0.3]), torch.tensor([0.2]))
    subject = load_subject(tmp_path / "model.pt")
    assert subject.spec.architecture == ARCHITECTURE
    assert subject.preprocessing.mean == pytest.approx((0.3,))
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]
