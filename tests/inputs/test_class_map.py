"""Which output stands for which class: said by a list, by the checkpoint, by timm, or asked."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from audit import checks
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.data.load import load_dataset
from audit.inputs.call import Call
from audit.inputs.classes import MOST_BYTES, output_classes, read_class_map
from audit.inputs.load import fitting_classes, load
from audit.inputs.model import load_model
from audit.inputs.settings import Settings
from audit.model.recorded import class_names, natural_order
from tests.samples.audits import make_folder


def test_one_name_a_line_whoever_wrote_it(tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufeffKatze\r\n\r\n  Hund \r\n".encode())

    assert read_class_map(tmp_path / "names.txt") == ("Katze", "Hund")


def large(path):
    path.write_bytes(b"a\n" + b"b" * MOST_BYTES)


def binary(path):
    path.write_bytes(b"\xff\xfe\0a")


def endless(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [large, binary, endless, os.mkfifo, Path.mkdir, Path.touch])
def test_what_is_no_list_of_names_is_refused_and_does_not_block(make, tmp_path):
    make(tmp_path / "names\x1b[31m.txt")

    with pytest.raises(AuditError, match="DATA_CLASS_MAP") as caught:
        read_class_map(tmp_path / "names\x1b[31m.txt")
    assert str(caught.value).isprintable()


@pytest.fixture
def numbers(tmp_path):
    return load_dataset(make_folder(tmp_path, {"train": 20, "val": 20}, ("9", "10", "11")))


@pytest.fixture(scope="module")
def subject(model):
    return load_model(model, Settings())


def test_a_model_without_names_does_not_take_the_order_of_the_one_before(data, subject):
    settings = Settings(data=data)
    inputs = load(settings, Call(), Progress(True), checks.vocabulary())
    named = replace(subject, class_names=("striped", "left", "right"))

    assert fitting_classes(inputs, named) == ("striped", "left", "right")
    assert inputs.experiment.dataset.classes == ("left", "right", "striped")
    assert fitting_classes(inputs, subject) == ("left", "right", "striped")


def test_a_list_of_other_names_is_refused_but_idx_files_know_only_numbers(numbers, subject):
    names = ("9", "10", "11")
    assert output_classes(names, subject, numbers) == names
    for strange in (("9", "10"), ("9", "10", "11", "12"), ("a", "b", "c")):
        with pytest.raises(AuditError, match=r"DATA_CLASS_MISMATCH: .* '(11|12|a)' is not among"):
            output_classes(strange, subject, numbers)
    idx = replace(numbers, source="idx files", classes=("0", "1", "2"))
    assert output_classes(("a", "b", "c"), subject, idx) == ("0", "1", "2")
    assert output_classes(("2", "0", "1"), subject, idx) == ("2", "0", "1")
    for labels in (("0", "1"), ("1", "2", "3")):
        with pytest.raises(AuditError, match="DATA_CLASS_MISMATCH"):
            output_classes(("a", "b", "c"), subject, replace(idx, classes=labels))


def test_the_order_of_labels_says_nothing_where_folders_sort_in_two_ways(numbers, subject):
    turned = replace(numbers, classes=("10", "11", "9"))

    for dataset in (numbers, turned):
        with pytest.raises(AuditError, match="DATA_CLASS_ORDER"):
            output_classes(None, subject, dataset)
        by_timm = replace(subject, natural_order=True)
        assert output_classes(None, by_timm, dataset) == ("9", "10", "11")
    embedded = replace(turned, source="embedded")
    assert output_classes(None, subject, embedded) == ("10", "11", "9")


@pytest.mark.parametrize(
    ("keys", "args", "natural"),
    [
        ({"arch", "version", "args"}, {}, True),
        ({"arch", "version"}, {"class_map": "", "dataset": ""}, True),
        ({"arch", "best_acc1", "optimizer"}, {}, False),  # PyTorch's example of ImageNet
        ({"model", "args"}, {"model": "resnet18"}, False),  # DeiT and its descendants
        ({"arch", "version"}, {"class_map": "map.txt"}, False),
        ({"arch", "version"}, {"dataset": "torch/image_folder"}, False),
    ],
)
def test_only_what_timm_wrote_has_its_order(keys, args, natural):
    assert natural_order(dict.fromkeys(keys), args) == natural


@pytest.mark.parametrize(
    ("recorded", "names"),
    [
        ({"b": 0, "a": 1}, ("b", "a")),
        ({"0": "b", "1": "a"}, ("b", "a")),
        ({1: "a", 0: "b"}, ("b", "a")),
        ({"1": 0, "0": 1}, ("1", "0")),  # folders named by numbers
        ({"a": 0, "b": 0}, None),
        ({"a": 1, "b": 2}, None),
        ({"9" * 5000: "a", "1": "b"}, None),
    ],
)
def test_a_mapping_gives_names_where_its_positions_are_whole(recorded, names):
    assert class_names({"class_to_idx": recorded}, 2) == names
