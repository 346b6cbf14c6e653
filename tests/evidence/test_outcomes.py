"""Values of jobs: whatever is unknown, missing, misspelt or of another type fits no record."""

import dataclasses

import numpy as np
import pytest

from audit import checks
from audit.baselines.patch_net import PatchSampling
from audit.baselines.receptive_field import Proof
from audit.baselines.train import Recipe
from audit.checks.accuracy_gap import check as accuracy_gap
from audit.evidence import shared_jobs as requests
from audit.evidence.case import NotMeasured
from audit.evidence.null_errors import read_ladder
from audit.evidence.outcomes import NotTrained, ProofValues, RecipeValues
from audit.jobs.store import Outcome, decoded, encoded
from audit.jobs.values import Failed, Ran, Status, as_record
from tests.evidence.test_ladder import case, setup
from tests.samples.outcomes import chosen, found_in_data, retrained, trained

SAMPLES = {
    "choose": chosen(),
    "fit": trained(),
    "facts": found_in_data(),
    "transfer": retrained(),
    "split_base": retrained(chance=0.5),
    "null_outputs": Ran(status="ok"),
}


def stored(values):
    """Values as they come back from a file."""
    return dict(decoded(encoded(values.model_dump())))


def fits(kind, values):
    try:
        return as_record(values, checks.kinds()[kind].values) is not None
    except ValueError:
        return False


@pytest.mark.parametrize("kind", SAMPLES)
def test_values_come_back_as_they_were(kind):
    values = SAMPLES[kind]
    assert as_record(stored(values), checks.kinds()[kind].values) == values


@pytest.mark.parametrize(("kind", "name"), [
    (kind, name) for kind, values in SAMPLES.items() for name in type(values).model_fields
])  # fmt: skip
def test_a_missing_misspelt_or_other_value_fits_no_record(kind, name):
    values = stored(SAMPLES[kind])
    others = {other: value for other, value in values.items() if other != name}
    assert fits(kind, others) == (name == "reason")  # which is empty where nothing failed
    assert not fits(kind, others | {f"{name}_": values[name]})
    assert not fits(kind, values | {name: object()})
    assert not fits(kind, values | {"planted": 1})


@pytest.mark.parametrize("kind", sorted(checks.kinds()))
def test_no_kind_reads_values_that_it_does_not_know(kind):
    assert not fits(kind, {"planted": 1})
    for record in checks.kinds()[kind].values:
        assert record.model_config["extra"] == "forbid"


@pytest.mark.parametrize("values", [
    {"status": "failed", "reason": ""}, {"status": "failed"}, {"status": "ok", "reason": "x"},
    {"status": "broken", "reason": "x"}, {"reason": "x"}, {},
])  # fmt: skip
def test_a_failure_has_a_reason_and_nothing_else_has(values):
    with pytest.raises(ValueError, match="fit none of Status"):
        as_record(values, (Status,))


def test_fields_that_stand_for_those_of_torch_code_are_the_same():
    assert set(RecipeValues.model_fields) == {f.name for f in dataclasses.fields(Recipe)}
    assert set(ProofValues.model_fields) == {f.name for f in dataclasses.fields(Proof)}
    assert PatchSampling(*chosen().vote) == PatchSampling()


def test_what_failed_is_not_measured_and_says_why():
    planted, null = case(), setup().null("bagnet")
    job = requests.null_outputs(setup(), null)
    planted.outcomes[job.key] = Outcome(Failed(reason="it diverged"))
    for read in (planted.result, planted.errors, lambda job: planted.values(job, Status)):
        with pytest.raises(NotMeasured, match="it diverged"):
            read(job)
    assert read_ladder(planted).unusable["bagnet-9"] == "it diverged"


@pytest.mark.parametrize("found", [None, Outcome(NotTrained(reason="it diverged"))])
def test_a_null_whose_held_out_accuracy_is_not_known_is_not_believed(found):
    planted, null = case(), setup().null("bagnet")
    key = requests.choose(setup(), null).key
    assert read_ladder(planted).unusable == {}
    del planted.outcomes[key]
    if found is not None:
        planted.outcomes[key] = found
    why = read_ladder(planted).unusable["bagnet-9"]
    assert why.startswith("its accuracy on held-out training images is not known: ")
    assert ("it diverged" in why) == (found is not None)
    assert np.isinf(read_ladder(planted).adequacy["bagnet-9"].allowance)


def test_values_of_another_kind_are_a_mistake_and_never_a_number():
    planted, null = case(), setup().null("bagnet")
    planted.outcomes[requests.choose(setup(), null).key] = Outcome(
        trained(), {"heldout": np.arange(9)}
    )
    with pytest.raises(TypeError, match="TrainedNetwork instead of ChosenNetwork"):
        accuracy_gap.measure(planted)
