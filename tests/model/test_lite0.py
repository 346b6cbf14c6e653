"""Weights under the names of another implementation become timm's, or are refused."""

import argparse
import importlib.util
import re
from pathlib import Path

import pytest
import timm
import torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "efficientnet_lite0.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("efficientnet_lite0", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def network():
    return timm.create_model("tf_efficientnet_lite0")


@pytest.fixture(scope="module")
def foreign(network):
    """The network's weights under the package's names, in the package's order."""
    number, before, found = -1, "", {}
    for key, value in network.state_dict().items():
        *place, layer, part = key.split(".")
        if place and place != before:
            number, before = number + 1, place
        names = {"conv_stem": "_conv_stem", "conv_head": "_conv_head", "classifier": "_fc"}
        names |= {"bn1": "_bn0", "bn2": "_bn1"}
        if place:
            first = number == 0  # the first block does not expand
            names = {"conv_dw": "_depthwise_conv", "conv_pwl": "_project_conv"}
            names["conv_pw"] = "_project_conv" if first else "_expand_conv"
            names |= {f"bn{i}": f"_bn{i if first else i - 1}" for i in (1, 2, 3)}
        found[f"_blocks.{number}." * bool(place) + f"{names[layer]}.{part}"] = value
    return found


def test_every_weight_finds_its_place(example, network, foreign):
    renamed = example.mapped(foreign)

    assert [*renamed] == [*network.state_dict()]
    assert all(torch.equal(renamed[k], v) for k, v in network.state_dict().items())
    assert sum(re.match(r"_blocks\.\d+\._expand_conv", key) is not None for key in foreign) == 15


def test_the_checkpoint_says_how_images_are_prepared(example, foreign):
    saved = example.checkpoint(foreign)

    assert isinstance(saved["args"], argparse.Namespace)
    assert saved["args"].mean == pytest.approx([0.498] * 3, abs=1e-3)
    assert saved["args"].pretrained


def test_other_weights_are_refused(example, foreign):
    with pytest.raises(ValueError, match="tensors are needed"):
        example.mapped({"_fc.bias": foreign["_fc.bias"]})
    with pytest.raises(ValueError, match=r"_fc.bias \(3,\) is no classifier.bias"):
        example.mapped(foreign | {"_fc.bias": torch.zeros(3)})
