"""Weights that fit several architectures: the images decide, or nobody does."""

import copy
import dataclasses
from dataclasses import dataclass, replace

import pytest
import timm
import torch

from audit import checks
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.inputs import load as loading
from audit.inputs import model as deciding
from audit.inputs.call import Call
from audit.inputs.data import load_data
from audit.inputs.load import examine_model, examine_subject, load, load_decided
from audit.inputs.model import decide, load_model, right_answers
from audit.inputs.settings import Settings
from audit.model.files.content import Content
from audit.model.signatures import Candidate


@dataclass(frozen=True)
class FakeSubject:
    name: str
    preprocessing: None = None


@pytest.fixture(scope="module")
def settings(data):
    return Settings(data=data)


@pytest.fixture(scope="module")
def trained(model, settings):
    return load_model(model, settings)


@pytest.fixture(scope="module")
def dataset(settings):
    return load_data(settings)


def inputs(settings):
    return load(settings, Call(), Progress(True), checks.vocabulary())


def renamed(subject, name, network):
    return replace(subject, spec=replace(subject.spec, architecture=name), model=network)


def test_the_architecture_that_classifies_well_is_taken_and_named(trained, dataset):
    worse = renamed(trained, "resnet14t", trained.spec.build(seed=5))

    chosen = decide([worse, trained], dataset, None, 0)

    assert chosen.spec.architecture == "resnet10t"
    assert "clearly best of 2" in chosen.identified
    assert "training images" in chosen.identified


def test_equals_are_refused_with_their_scores(trained, dataset):
    twin = renamed(trained, "resnet14t", trained.model)

    with pytest.raises(AuditError, match=r"MODEL_ARCH_UNKNOWN: .*none of them is clearly best.*%"):
        decide([trained, twin], dataset, None, 0)


@pytest.mark.parametrize("given", [{"nulls": "somewhere"}, {"data": None, "eval_data": "here"}])
def test_without_training_images_nothing_is_decided(
    given, trained, settings, dataset, monkeypatch, tmp_path
):
    worse = renamed(trained, "resnet14t", trained.spec.build(seed=5))
    fits_several(monkeypatch, [worse, trained])
    named = dataclasses.replace(inputs(settings), _settings=settings.model_copy(update=given))
    with pytest.raises(AuditError, match=r"fit 2 \(resnet14t, resnet10t\), and only training"):
        load_decided(tmp_path, named, Progress(True))
    with pytest.raises(AuditError, match=r"fit 2 \(resnet14t, resnet10t\), and only training"):
        decide([worse, trained], replace(dataset, train=None), None, 0)


def test_images_are_prepared_and_ordered_as_the_subject_wants(trained, dataset):
    images = dataset.eval

    plain = right_answers(trained, images, [0, 1, 2])
    turned = right_answers(trained, images, [1, 2, 0])

    assert sum(plain) > 0.6 * len(images)
    assert sum(turned) < 0.4 * len(images)


def fits_several(monkeypatch, subjects, refusal=None):
    """The file alone does not say which of these it is."""

    def refuse(*_):
        raise refusal or AuditError("MODEL_ARCH_UNKNOWN", "its weights fit 2 alike.")

    monkeypatch.setattr(loading, "load_model", refuse)
    monkeypatch.setattr(loading, "matching_architectures", lambda *_: subjects)


def test_the_file_that_fits_several_goes_to_the_images(trained, settings, monkeypatch, tmp_path):
    worse = renamed(trained, "resnet14t", trained.spec.build(seed=5))
    refusal = AuditError("MODEL_ARCH_UNKNOWN", "its weights fit 2 alike.")
    fits_several(monkeypatch, [worse, trained], refusal)
    chosen = load_decided(tmp_path, inputs(settings), Progress(True))
    assert chosen.spec.architecture == "resnet10t"

    fits_several(monkeypatch, [trained], refusal)
    with pytest.raises(AuditError) as caught:
        load_decided(tmp_path, inputs(settings), Progress(True))
    assert caught.value is refusal


def test_the_images_that_decided_are_not_loaded_again(trained, settings, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(
        "audit.inputs.data.load_data", lambda *a, **k: calls.append(a) or load_data(*a, **k)
    )
    fits_several(monkeypatch, [renamed(trained, "resnet14t", trained.spec.build(seed=5)), trained])
    named = inputs(settings)
    for _ in range(2):
        assert examine_model(named, tmp_path, Progress(True)).subject.model is trained.model
    assert len(calls) == 1


def test_data_beside_the_audited_ones_are_not_forgotten_for_the_next_model(trained, settings, data):
    both = inputs(settings.model_copy(update={"probe_data": data / "train"}))

    for _ in range(2):
        with pytest.raises(AuditError, match="--probe-data"):
            examine_subject(both, trained, Progress(True))


def test_rivals_are_found_without_reading_a_value(settings, monkeypatch, tmp_path):
    torch.save(timm.create_model("resnet18", num_classes=3).state_dict(), tmp_path / "m.pt")
    monkeypatch.setattr(deciding, "load_model", lambda _, given: FakeSubject(given.model))
    monkeypatch.setattr(Content, "tensor", lambda *_: pytest.fail("a value was read"))

    found = deciding.matching_architectures(tmp_path / "m.pt", settings)

    assert [subject.name for subject in found] == ["resnet18", "resnetblur18"]


def test_only_training_images_are_shown(trained, dataset, monkeypatch):
    """As few as asked for, of every class, and none of the evaluation images."""
    shown, worse = [], renamed(trained, "resnet14t", trained.spec.build(seed=5))
    monkeypatch.setattr(deciding, "IMAGES", 90)
    real = deciding.right_answers
    monkeypatch.setattr(
        deciding, "right_answers", lambda s, part, order: shown.append(part) or real(s, part, order)
    )
    decide([worse, trained], dataset, None, 0)
    assert [part.name for part in shown] == ["train", "train"]
    assert len(shown[0]) == 90
    assert set(shown[0].labels.tolist()) == {0, 1, 2}


def test_outputs_in_another_order_are_read_by_name(trained, dataset):
    """Each output is a class by its name: in the order of the folders both would be wrong."""
    net = copy.deepcopy(trained.model)
    head = net.get_classifier()
    head.weight.data, head.bias.data = head.weight.data[[1, 2, 0]], head.bias.data[[1, 2, 0]]
    names = ("right", "striped", "left")
    subject = replace(trained, model=net, class_names=names)
    worse = replace(renamed(trained, "resnet14t", trained.spec.build(seed=5)), class_names=names)
    assert decide([worse, subject], dataset, None, 0).spec.architecture == "resnet10t"


def test_training_images_alone_decide(trained, settings, data):
    alone = settings.model_copy(update={"data": None, "train_data": data / "train",
                                        "eval_data": data / "val"})  # fmt: skip
    worse = renamed(trained, "resnet14t", trained.spec.build(seed=5))
    assert decide([worse, trained], load_data(alone), None, 0).spec.architecture == "resnet10t"


@pytest.mark.parametrize(("reason", "given", "count"), [
    ("MODEL_UNSAFE", None, 2), ("MODEL_ARCH_UNKNOWN", "resnet10t", 2),
    ("MODEL_ARCH_UNKNOWN", None, 9),
])  # fmt: skip
def test_what_images_cannot_decide_stays_refused(
    reason, given, count, trained, settings, monkeypatch, tmp_path
):
    refusal = AuditError(reason, "no.")
    fits_several(monkeypatch, [trained] * count, refusal)
    named = settings.model_copy(update={"model": given})
    with pytest.raises(AuditError) as caught:
        load_decided(tmp_path, inputs(named), Progress(True))
    assert caught.value is refusal


def test_rivals_differ_in_function_or_preprocessing(monkeypatch, tmp_path):
    views = {"a": 1, "b": 1, "c": 2, "d": 3}
    made = [Candidate(name, {}, name != "d", "f", "") for name in views]  # d is not exact
    monkeypatch.setattr("audit.model.checkpoint.candidates", lambda *_: made)
    monkeypatch.setattr(
        deciding, "load_model", lambda _, given: FakeSubject(given.model, views[given.model])
    )
    assert [s.name for s in deciding.matching_architectures(tmp_path, Settings())] == ["a", "c"]
