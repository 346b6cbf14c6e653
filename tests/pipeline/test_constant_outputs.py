"""A model that answers to no image is flagged."""

from types import SimpleNamespace

import numpy as np
import pytest

from audit.evidence import shared_jobs as requests
from audit.evidence.case import NotMeasured
from audit.pipeline import first_screen as constant


def case_of(logits):
    def result(_):
        if logits is None:
            raise NotMeasured("it was not run")
        return SimpleNamespace(arrays={"logits": logits})

    return SimpleNamespace(setup=None, result=result)


@pytest.fixture(autouse=True)
def no_request(monkeypatch):
    monkeypatch.setattr(requests, "subject_outputs", lambda setup: None)


def test_equal_outputs_are_flagged_up_to_rounding():
    alike = np.tile(np.float32([3.0, -1.0]), (50, 1))
    alike[7] *= 1 + 2e-7

    assert constant.mark(case_of(alike)) == "this model gives the same outputs for all 50 images"
    assert constant.mark(case_of(np.zeros((9, 2), np.float32)))


def test_one_image_that_differs_is_enough():
    logits = np.tile(np.float32([3.0, -1.0]), (50, 1))
    logits[7, 0] += 0.01

    assert constant.mark(case_of(logits)) == ""
    assert constant.mark(case_of(None)) == ""
