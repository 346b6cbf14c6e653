"""What names a job: a null's training hangs on the training images alone."""

import dataclasses

import numpy as np
import pytest

from audit.data.dataset import evaluation_only
from audit.evidence import shared_jobs as requests
from audit.evidence.decide import Training, set_up_nulls
from audit.evidence.examine import agree
from audit.evidence.profile import PROFILES
from audit.evidence.setup import NullInput
from audit.inputs.fitted_nulls import null_jobs

KNOWN = Training(
    classes=("a", "b"), train_digest="t", n_train=100, channels=1, input=NullInput(size=28)
)


def setup(**changes):
    base = set_up_nulls(KNOWN, PROFILES["default"], 0, None)
    return base.model_copy(update={"eval_digest": "e"} | changes)


def keys(found, kinds=("train_facts", "statistics", "choose", "fit")):
    return {job.key for job in null_jobs(found) if job.kind in kinds}


def test_other_evaluation_images_train_no_null():
    assert keys(setup()) == keys(setup(eval_digest="other", n_eval=7, unreadable=1))
    null = setup().null("bagnet")
    outputs = [requests.null_outputs(setup(eval_digest=e), null).key for e in ("e", "other")]
    assert outputs[0] != outputs[1]


@pytest.mark.parametrize(
    "change", [{"train_digest": "u"}, {"channels": 3}, {"input": NullInput(size=28, crop_pct=0.9)}]
)
def test_other_training_images_train_all_nulls(change):
    assert not keys(setup(), "fit") & keys(setup(**change), "fit")


def test_precision_names_what_nulls_learn_and_32_bits_is_no_name():
    rounded = setup(profile=PROFILES["default"].model_copy(update={"precision": "bfloat16"}))
    assert not keys(setup(), ("choose", "fit")) & keys(rounded, ("choose", "fit")) - trivial()
    others = ("train_facts", "statistics")
    assert keys(setup(), others) == keys(rounded, others)
    assert not any("precision" in job.params for job in null_jobs(setup()))


def trivial():
    """Keys of the nulls that are no networks."""
    networks = {null.name for null in setup().nulls if null.trained}
    return {job.key for job in null_jobs(setup()) if job.params.get("null") not in networks}


def test_facts_are_of_both_splits():
    plain = requests.facts(setup()).key
    assert plain != requests.facts(setup(eval_digest="other")).key
    assert plain != requests.facts(setup(train_digest="other")).key


def test_training_images_are_asked_for_by_five_kinds_only():
    assert {job.kind for job in null_jobs(setup())} == {
        "train_facts",
        "statistics",
        "ridge",
        "choose",
        "fit",
    }
    for job in null_jobs(setup()):
        assert {needed.kind for needed in job.after} <= {"train_facts", "ridge", "choose"}


def test_digests_of_a_split_do_not_see_the_other(data):
    from audit.data.load import load_dataset

    whole = load_dataset(data)
    alone = load_dataset(data, training=False)
    assert alone.train is None
    assert alone.train_digest == ""
    assert alone.eval_digest == whole.eval_digest != whole.train_digest
    assert alone.digest == evaluation_only(whole).digest != whole.digest
    renamed = dataclasses.replace(whole, classes=("x", "y", "z"))
    assert renamed.train_digest != whole.train_digest


class FakeSubject:
    name = "m"
    class_names = ("c", "a", "b")

    class spec:
        num_classes = 3

    class preprocessing:
        in_chans = 3


def test_outputs_are_brought_into_the_order_of_the_data():
    class Data:
        classes = ("a", "b", "c")

    order = agree(FakeSubject, Data)
    logits = np.array([30, 10, 20])  # of c, a, b
    assert logits[list(order)].tolist() == [10, 20, 30]
    assert agree(FakeSubject, Data, ("a", "b", "c")) == ()
