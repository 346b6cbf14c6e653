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
    return of_clouds(features, features, labels=labels, **params)


def of_clouds(*clouds, labels=None, **params):
    """What the job finds in the features of a trained network, then of untrained ones."""
    after = [job_of("subject_outputs", label="l", params={"seed": i}) for i in range(len(clouds))]
    job = job_of("dimension", label="of the model", after=after, params=params)
    split = SimpleNamespace(labels=np.zeros(N, dtype=np.int64) if labels is None else labels)
    given = {
        j.key: Outcome(arrays={"features": cloud.astype(np.float32)})
        for j, cloud in zip(after, clouds, strict=True)
    }
    return dimension(job, SimpleNamespace(split=lambda _: split), given, lambda _: None).values


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


def test_the_untrained_control_is_the_mean_of_its_networks_and_says_how_many():
    rng = np.random.default_rng(2)
    clouds = [rng.normal(size=(N, d)) for d in (5, 4, 6, 9)]
    many = of_clouds(*clouds)
    found = {m.quantity: m for m in check.of_model("subject", many)}
    twin, ratio = found["untrained"], found["log_ratio"]

    assert twin.value == pytest.approx(np.prod(many.drawn) ** (1 / 3))
    assert ratio.value == pytest.approx(math.log(found["last_layer"].value / twin.value))
    assert twin.note.startswith("mean of 3 untrained networks (")
    assert ratio.detail == {"draws": 3}
    one = of_clouds(*clouds[:2]).log_ratio
    assert ratio.high - ratio.low > 2 * (one[2] - one[1])
    section = check.section([*found.values()], [])
    assert "; mean of 3 untrained networks" in section.summary
    assert "mean of 3 untrained" in section.rows[0]["note"]


def test_one_untrained_network_is_said_to_be_one():
    rng = np.random.default_rng(2)
    found = check.of_model("subject", of_clouds(*(rng.normal(size=(N, 4)) for _ in range(2))))
    assert check.ONE_DRAW in found[-1].note


def test_without_a_dimension_of_an_untrained_network_there_is_no_ratio():
    rng = np.random.default_rng(2)
    clouds = [rng.normal(size=(N, 4)), np.zeros((N, 4)), rng.normal(size=(N, 4))]
    ratio = check.of_model("subject", of_clouds(*clouds))[-1]

    assert math.isnan(ratio.value)
    assert "One of 2 networks: All points are equal" in ratio.note
