"""A small network and its checkpoints, for tests; `refusal` is what every bad file must give."""

import argparse
from pathlib import Path

import pytest
import torch

from audit.core.errors import AuditError
from audit.model.checkpoint import Subject, load_subject
from tests.samples.hostile_tools import ARCH, network

X = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)

__all__ = ["ARCH", "X", "logits", "network", "refusal", "saved", "training_args"]


def logits(subject: Subject) -> torch.Tensor:
    with torch.no_grad():
        return subject.model(X)


def training_args() -> argparse.Namespace:
    return argparse.Namespace(
        model=ARCH, num_classes=5, img_size=32, in_chans=3, mean=[0.5, 0.4, 0.3], std=[0.2] * 3,
        crop_pct=1.0, interpolation="bilinear", model_kwargs={}, pretrained=False, lr=0.1,
    )  # fmt: skip


def saved(path: Path, content: object, **options) -> Path:
    torch.save(content, path, **options)
    return path


def refusal(path: Path, **flags) -> AuditError:
    with pytest.raises(AuditError) as caught:
        load_subject(path, **{"model": ARCH, "img_size": 32} | flags)
    text = str(caught.value)
    assert text.startswith(caught.value.reason + ": ")
    assert "weights_only" not in text
    assert "Traceback" not in text
    return caught.value
