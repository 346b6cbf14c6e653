"""Jobs that children do: networks of the model's kind, where each child has one and room for it."""

import numpy as np
import pytest
import torch

from audit.checks.transfer import jobs as transfer_requests
from audit.checks.transfer import memory as aside
from audit.checks.transfer import split as split_transfer
from audit.core.progress import Progress
from audit.core.workers import WorkerPool
from audit.jobs.execute import execute
from audit.jobs.job import BASELINE_KINDS, RETRAINING_KINDS, merged
from audit.jobs.store import Store
from audit.model.spec import ModelSpec
from tests.checks.test_split_transfer import SPEC, drawn, opened

VIT = ModelSpec("vit_tiny_patch16_224", {"depth": 1, "embed_dim": 24, "num_heads": 3}, 5, 3, 224)


@pytest.fixture(scope="module")
def dataset():
    return drawn()


def copies(setup):
    found = [job for job in merged(split_transfer.needs(setup)) if job.kind in RETRAINING_KINDS]
    return [*found, transfer_requests.own_network(setup, setup.cuts[0], "tuned")]


@pytest.mark.parametrize(("size", "free", "kinds"), [
    (1, 2**40, ()), (2, 2**40, BASELINE_KINDS + RETRAINING_KINDS),
    (2, 2**30, BASELINE_KINDS), (99, 2**40, BASELINE_KINDS),
])  # fmt: skip
def test_copies_go_aside_where_every_child_has_one_and_room(
    dataset, size, free, kinds, monkeypatch
):
    setup, context = opened(dataset, transfer_classes=("upper", "bright"))
    monkeypatch.setattr(aside, "free_memory", lambda: free)
    assert aside.worker_kinds(copies(setup), context, size) == kinds


def test_copies_learn_in_children_what_they_learn_here(dataset, monkeypatch):
    monkeypatch.setattr(aside, "SEVERAL", 1)
    begun = []
    monkeypatch.setattr(
        WorkerPool, "start", lambda *a, start=WorkerPool.start: begun.append(a[1]) or start(*a)
    )
    setup, context = opened(dataset, transfer_classes=("upper", "bright"))
    cut, (of_a, *_) = setup.cuts[0], copies(setup)
    own = [transfer_requests.own_network(setup, cut, mode) for mode in ("tuned", "frozen")]
    jobs = merged((of_a, transfer_requests.network(setup, cut, "anb"), *own))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = execute(jobs, context, Store(None), Progress(quiet=True))
        done = execute(jobs, context, Store(None), Progress(quiet=True), size=2)
    finally:
        torch.set_num_threads(threads)
    assert not done.failures
    assert set(begun) == {job.key for job in jobs if job.kind in RETRAINING_KINDS}
    for job in jobs:
        found, expected = done.outcomes[job.key].arrays, alone.outcomes[job.key].arrays
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_a_step_keeps_what_grows_with_the_batch_and_four_times_the_weights():
    weights = 4 * sum(p.numel() for p in SPEC.build(0).parameters())
    none, one, two = (aside.bytes_learning(SPEC, batch) for batch in (0, 1, 2))
    assert 4 * weights <= none < 4.05 * weights  # and statistics of the channels
    assert two - one == one - none
    assert one - none > 1.5 * 4 * 8 * 16 * 16  # at least the first map, of 8 channels


def test_weights_count_four_times_whatever_the_batch():
    """A linear layer keeps its weight for the way back: that is no copy for every image."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1000, device="meta"))
    assert aside.bytes_kept(network, (3, 2, 2), 5) == 4 * 12 * 5  # its input, and no more


def test_a_larger_image_needs_more_room():
    small = ModelSpec(VIT.architecture, VIT.kwargs, 5, 3, 112)
    assert aside.bytes_learning(VIT, 8) > 2 * aside.bytes_learning(small, 8)


def test_a_network_that_cannot_be_counted_has_no_room():
    assert aside.bytes_learning(ModelSpec("no_such_network", {}, 5, 3, 32), 8) == float("inf")
