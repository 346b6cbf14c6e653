"""Outputs of models: the last hidden layer is kept where it is read, and nowhere else."""

import numpy as np
import pytest
import torch

from audit.baselines.patch_net import PatchSampling
from audit.checks.dimension import jobs as id_requests
from audit.checks.dimension.run_profile import id_profile
from audit.data.load import load_dataset
from audit.evidence import shared_jobs as requests
from audit.evidence.context import JobContext
from audit.evidence.examine import Experiment, examine, set_up
from audit.evidence.fit_null import build, restore
from audit.evidence.outputs import null_outputs, subject_outputs
from audit.evidence.profile import PROFILES
from audit.jobs.store import Outcome
from audit.model.checkpoint import load_subject
from tests.samples.outcomes import chosen, trained


@pytest.fixture(scope="module")
def context(model, data):
    dataset, subject = load_dataset(data), load_subject(model)
    examined = examine(subject, Experiment(dataset))
    setup, cuts = set_up(examined, PROFILES["quick"]), examined.cuts
    return JobContext(dataset, subject, setup, cuts)


def names(found):
    assert all(np.isfinite(values).all() for values in found.arrays.values())
    return sorted(found.arrays)


@pytest.mark.parametrize(("relocated", "kept"), [(False, ["features", "logits"]),
                                                 (True, ["logits"])])  # fmt: skip
def test_of_relocated_images_only_the_logits_are_kept(context, relocated, kept):
    torch.manual_seed(0)
    null = context.setup.null("bagnet")
    job = requests.null_outputs(context.setup, null, untrained=True, relocated=relocated)
    scale = {"mean": np.full(1, 0.4, "f4"), "std": np.full(1, 0.2, "f4")}
    results = {
        requests.statistics(context.setup, null).key: Outcome(arrays=scale),
        requests.choose(context.setup, null).key: Outcome(chosen(vote=(2, True))),
    }
    assert names(null_outputs(job, context, results, lambda _: None)) == kept
    job = requests.subject_outputs(context.setup, relocated=relocated)
    assert names(subject_outputs(job, context, {}, lambda _: None)) == kept


def test_a_null_votes_by_the_patches_that_it_was_judged_by(context):
    null = context.setup.null("bagnet")
    weights = {name: t.numpy() for name, t in build(null, context, 0).state_dict().items()}
    job = requests.fit(context.setup, null)
    for vote in (PatchSampling(2), PatchSampling(4, mirrored=True)):
        assert restore(job, Outcome(trained(vote=vote), weights), context).vote == vote


def test_a_second_seed_without_its_features_is_no_first_seed_of_another_audit(context):
    null, other = context.setup.null("bagnet"), context.setup.model_copy(update={"seed": 1})
    second = requests.null_outputs(context.setup, null, seed=1)
    first = requests.null_outputs(other, null)
    assert (second.params["seed"], first.params["seed"]) == (1, 1)
    assert (second.params["features"], first.params["features"]) == (False, True)
    assert second.key != first.key


def test_a_null_is_looked_into_without_its_mirror_images(context):
    """Its layers run once: the depths of another vote, and of the images as they are."""
    null = context.setup.null("bagnet")
    weights = {name: t.numpy() for name, t in build(null, context, 0).state_dict().items()}
    scale = {"mean": np.full(1, 0.4, "f4"), "std": np.full(1, 0.2, "f4")}
    job, seen = id_requests.of_null(context.setup, null), []
    for vote in (PatchSampling(), PatchSampling(mirrored=True)):
        results = {
            requests.statistics(context.setup, null).key: Outcome(arrays=scale),
            requests.fit(context.setup, null).key: Outcome(trained(vote=vote), weights),
        }
        seen.append(id_profile(job, context, results, lambda _: None).values.points)
    assert seen[0] == seen[1]
