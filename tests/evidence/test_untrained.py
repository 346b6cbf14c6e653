"""The untrained control of an audit: which images, which seeds, which jobs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from audit.data.load import load_dataset
from audit.evidence import shared_jobs as requests
from audit.evidence import untrained
from audit.evidence.context import JobContext
from audit.evidence.examine import Experiment, examine, set_up
from audit.evidence.outputs import subject_outputs
from audit.evidence.profile import PROFILES
from audit.jobs.store import Outcome
from audit.model.checkpoint import load_subject
from audit.model.network.untrained import batch_norms

SCALE = Outcome(arrays={"mean": np.full(1, 0.4, "f4"), "std": np.full(1, 0.2, "f4")})


@pytest.fixture
def context(model, data):
    dataset, subject = load_dataset(data), load_subject(model)
    examined = examine(subject, Experiment(dataset))
    return JobContext(dataset, subject, set_up(examined, PROFILES["default"]), examined.cuts)


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_seed_decides_the_network(context):
    state = torch.get_rng_state()
    first, again, other = (untrained.of_subject(context, seed) for seed in (3, 3, 4))
    assert same(first, again)
    assert not same(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_norms_are_estimated_on_training_images_where_there_are_any(context):
    alone = replace(context, dataset=replace(context.dataset, train=None), few=[])
    assert untrained.chosen(context)[0] == "train"
    assert untrained.chosen(alone)[0] == "eval"
    with_train, without = (untrained.of_subject(c, 0) for c in (context, alone))
    assert not same(with_train, without)
    assert all((norm.running_mean != 0).any() for norm in batch_norms(without))


def test_images_that_do_not_fit_are_decoded_in_parts(context, monkeypatch):
    whole = list(untrained.subject_images(context))
    monkeypatch.setattr("audit.evidence.context.MEMORY", 16 * 16 * 50)
    parts = list(untrained.subject_images(replace(context, few=[])))
    assert [len(part) for part in parts] == [50, 50, 50, 30]
    assert torch.equal(torch.cat([part.pixels for part in parts]), whole[0].pixels)


def test_a_baseline_is_run_on_the_same_images_whether_they_are_decoded_or_not(context):
    null = context.setup.null("bagnet")
    few = untrained.null_images(context, null, SCALE)
    context.pixels("train", null.scale)
    assert torch.equal(untrained.null_images(context, null, SCALE).pixels, few.pixels)


def test_an_architecture_has_one_untrained_network_a_seed_for_every_use(context):
    """Layers that are transferred come from what the dimension is compared with."""
    images = context.subject_images("train")
    spec, device = context.subject.spec, context.device
    first = untrained.of_spec(spec, images, device, 2)
    assert same(first, untrained.of_spec(spec, images, device, 2))
    names = [name for name, _ in first.named_parameters()]
    other = untrained.of_subject(context, 2).state_dict()
    assert all(torch.equal(first.state_dict()[name], other[name]) for name in names)


def test_three_untrained_networks_have_jobs_of_their_own(context):
    setup = context.setup
    assert [*requests.draws(setup)] == [0, 1, 2]
    jobs = [requests.subject_outputs(setup, untrained=True, draw=d) for d in (0, 1, 2)]
    found = [subject_outputs(job, context, {}, lambda _: None).arrays["features"] for job in jobs]
    assert len({job.key for job in jobs}) == 3
    assert not np.allclose(found[0], found[1])
    null = setup.null("bagnet")
    of_null = [requests.null_outputs(setup, null, d, untrained=True) for d in (0, 1, 2)]
    assert [job.params["features"] for job in of_null] == [True] * 3


def test_other_images_for_the_norms_are_other_work(context):
    setup, job = context.setup, requests.subject_outputs
    other = setup.model_copy(update={"train_digest": "other"})
    without = setup.model_copy(update={"training_images": False})
    keys = {job(given, untrained=True).key for given in (setup, other, without)}
    assert len(keys) == 3
    assert job(other).key == job(setup).key


def test_the_quick_profile_has_one_and_says_what_it_leaves_out():
    from audit import checks

    assert PROFILES["quick"].untrained_draws == 1
    assert "untrained" in checks.left_out()["untrained_draws"]
