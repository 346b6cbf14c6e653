"""The dimension of the last layer within each class."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from audit.checks.dimension import last_layer as check
from audit.checks.dimension.run_last_layer import dimension
from audit.evidence.case import Case
from audit.jobs.store import Outcome
from audit.jobs.values import Failed
from tests.checks.test_probes import setup_of
from tests.samples.kinds import job_of

N = 400
CLASSES = ("line", "cube", "few")


def found(labels, features, **params):
    after = tuple(job_of("subject_outputs", label=name) for name in ("trained", "fresh"))
    after = (after[0], after[1].model_copy(update={"params": {"untrained": True}}))
    outcome = Outcome(arrays={"features": features.astype(np.float32)})
    job = job_of("dimension", label="of the model", after=after, params=params)
    context = SimpleNamespace(split=lambda _: SimpleNamespace(labels=labels))
    return dimension(job, context, {j.key: outcome for j in after}, lambda _: None).values


@pytest.fixture(scope="module")
def values():
    """One class on a line, one in a cube of 5 dimensions far off, one of 20 images."""
    rng = np.random.default_rng(0)
    line = np.outer(rng.random(N), np.ones(5))
    rows = np.concatenate([line, 9 + rng.random((N, 5)), 99 + rng.random((20, 5))])
    labels = np.repeat([0, 1, 2], [N, N, 20])
    order = rng.permutation(len(rows))
    return found(labels[order], rows[order], classes=3)


def within_classes(values):
    setup = setup_of(classes=CLASSES)
    outcomes = {check.jobs(setup)["subject"].key: Outcome(values)}
    made = check.measure(Case(setup, np.zeros(1), np.zeros(1), outcomes, {}))
    return [m for m in made if m.quantity == "class"]


def test_each_class_has_the_dimension_of_its_own_images(values):
    line, cube, few = within_classes(values)

    assert line.name == "intrinsic_dimension.class.line"
    assert line.low <= 1 <= line.high
    assert cube.n == N
    assert 4 < cube.value < 5.5
    assert math.isnan(few.value)
    assert "50" in few.note


def test_classes_are_told_apart_from_the_whole(values):
    section = check.section([*check.of_model("subject", values), *within_classes(values)], [])
    chart = section.charts[-1]

    assert "(2 classes of 399 to 400 images)" in section.summary
    assert [series.name for series in chart.series] == ["cube", "line"]


def test_without_features_no_class_has_a_number():
    rows = within_classes(Failed(reason="the layer is constant"))

    assert len(rows) == len(CLASSES)
    assert all(math.isnan(m.value) and "constant" in m.note for m in rows)


def test_nulls_are_not_looked_at_class_by_class():
    rng = np.random.default_rng(1)

    assert found(np.zeros(100, dtype=np.int64), rng.random((100, 4))).by_class == ()
