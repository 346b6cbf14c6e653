"""A model that answers to no image is flagged."""

from types import SimpleNamespace

import numpy as np
import pytest

from audit.evidence import shared_jobs as requests
from audit.evidence.case import NotMeasured
from audit.pipeline.facts import constant
from audit.pipeline.first_screen import marks
from audit.record.facts import AuditFacts, Facts, ModelFacts


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

    assert constant(case_of(alike))
    assert constant(case_of(np.zeros((9, 2), np.float32)))
    facts = Facts(model=ModelFacts(same_outputs=True), audit=AuditFacts(left_out="no probes"))
    profile = SimpleNamespace(seeds=2, name="quick")
    assert marks(facts, SimpleNamespace(profile=profile, n_eval=50)) == (
        "this model gives the same outputs for all 50 images; quick profile; no probes"
    )


def test_one_image_that_differs_is_enough():
    logits = np.tile(np.float32([3.0, -1.0]), (50, 1))
    logits[7, 0] += 0.01

    assert constant(case_of(logits)) is False
    assert constant(case_of(None)) is None
