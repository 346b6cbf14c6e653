"""Weights without a name: the architecture is found by names and shapes alone."""

import pytest
import timm

from audit.model import signatures
from audit.model.files.descriptions import TensorEntry
from audit.model.identity import identify
from audit.model.index import attempt, build, examine, packed, polynomial, shapes_of
from audit.model.signatures import (
    Candidate,
    Rule,
    choose,
    find,
    implied,
    names_digest,
    read_index,
    unusable,
)
from tests.samples.networks import SPECS

CHANGED = {  # architecture: classes, channels, and the side where the weights tell it
    "beit_base_patch16_224": (5, 1, 288),
    "botnet26t_256": (7, 3, None),
    "cait_xxs24_224": (2, 3, 256),
    "coatnet_nano_rw_224": (12, 1, None),
    "convnext_atto": (3, 4, None),
    "crossvit_9_240": (10, 3, 240),
    "cs3darknet_focus_m": (6, 3, None),
    "densenet121": (9, 1, None),
    "dla34": (10, 1, None),
    "efficientnet_b0": (37, 3, None),
    "efficientvim_m1": (4, 3, None),
    "eva02_tiny_patch14_224": (8, 3, 336),
    "fastvit_t8": (10, 1, None),
    "gcvit_xxtiny": (10, 3, 448),
    "ghostnet_100": (11, 3, None),
    "gmixer_24_224": (6, 3, 256),
    "hrnet_w18_small": (3, 3, None),
    "levit_128s": (10, 3, 224),
    "maxvit_tiny_tf_224": (5, 3, 384),
    "mobilenetv3_small_050": (7, 1, None),
    "mvitv2_tiny": (9, 3, 256),
    "naflexvit_base_patch16_gap": (5, 1, None),
    "nest_tiny": (6, 3, 224),
    "nfnet_f0": (10, 3, None),
    "pit_ti_224": (10, 3, 224),
    "regnety_002": (3, 2, None),
    "resnet18": (100, 1, None),
    "resnetv2_18": (4, 3, None),
    "swin_tiny_patch4_window7_224": (21, 3, None),
    "tiny_vit_5m_224": (10, 3, None),
    "tresnet_m": (10, 3, None),
    "vgg11": (5, 3, None),
    "visformer_tiny": (6, 3, 448),
    "vit_tiny_patch16_224": (10, 1, 96),
    "volo_d1_224": (6, 3, 384),
    "xception41": (10, 3, None),
    "xcit_nano_12_p16_224": (2, 3, None),
}


def candidate(name: str, function: str = "") -> Candidate:
    return Candidate(name, {}, True, function, "")


def test_the_index_is_complete_and_made_for_the_installed_timm():
    listed = [e.architecture for entries in read_index().entries.values() for e in entries]

    assert unusable() == ""
    added = {"selftest_bagnet"}  # which the selftest puts into timm's registry
    assert sorted(listed) == sorted(set(timm.list_models()) - added)


@pytest.mark.parametrize("name", list(CHANGED))
def test_weights_are_found_whatever_their_classes_channels_and_size(name):
    classes, channels, side = CHANGED[name]
    sized = {} if side is None else {"img_size": side}
    model = build(name, num_classes=classes, in_chans=channels, **sized)

    found = {c.architecture: c for c in find(shapes_of(model))}

    expected = {"num_classes": classes, "in_chans": channels} | sized
    assert found[name].exact
    assert expected.items() <= found[name].kwargs.items()


def test_a_name_outside_the_table_is_told_from_its_neighbours():
    assert {c.architecture for c in find(shapes_of(build("resnet34")))} == {"resnet34"}
    assert not find({"weight": (3, 3)})
    assert not find({})


def test_without_its_classifier_the_classes_stay_unknown():
    shapes = shapes_of(build("resnet18", num_classes=0))

    (found,) = (c for c in find(shapes) if c.architecture == "resnet18")

    assert found.kwargs == {"in_chans": 3}
    assert "classifier is missing" in found.why


def test_other_arguments_leave_candidates_by_name_alone():
    found = find(shapes_of(build("convnext_atto", dims=(8, 16, 24, 32))))

    assert "convnext_atto" in {c.architecture for c in found}
    assert not any(c.exact for c in found)


def test_classes_that_weight_and_bias_disagree_on_are_no_match():
    shapes = shapes_of(build("resnet18")) | {"fc.bias": (999,)}

    assert not any(c.exact for c in find(shapes))


def test_another_timm_finds_nothing_and_says_why(monkeypatch):
    monkeypatch.setattr(signatures.importlib.metadata, "version", lambda _: "9.9.9")

    assert not find(shapes_of(build("resnet18")))
    assert "9.9.9" in unusable()
    assert "audit.model.index" in unusable()


def test_a_look_up_builds_no_network(monkeypatch):
    shapes = shapes_of(build("vit_large_patch16_224"))
    read_index.cache_clear()
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("that takes seconds"))

    assert any(c.exact for c in find(shapes))


def test_a_hostile_number_of_strange_names_is_no_problem():
    shapes = {f"\udc80{i}": (2**62, i) for i in range(20_000)}

    assert not find(shapes)


def test_rules_follow_from_builds_by_hand():
    """A position embedding of 16-pixel patches and one class token: 1 + (s / 16)² entries."""
    assert polynomial({224: 197, 384: 577, 448: 785}) == (256, 0, 1, 256)
    assert polynomial({3: 48, 1: 16}) == (0, 16, 0, 1)
    rule = Rule("pos_embed", 1, "img_size", (256, 0, 1, 256), 100, 40)
    assert rule.holds(96, 37)
    assert not rule.holds(97, 37)
    assert rule.holds(100, 40)  # the default, whatever the polynomial says


def test_the_index_can_be_made_again():
    examined = examine("vit_tiny_patch16_224")
    index = read_index()
    entries = index.entries[names_digest(examined.shapes, index.classifiers)]

    (entry,) = (e for e in entries if e.architecture == "vit_tiny_patch16_224")

    assert set(entry.rules) == set(examined.rules)
    assert entry.function == examined.function
    assert packed([examined]) == packed([examined])


def test_architectures_that_compute_the_same_share_their_function():
    def functions(name: str) -> dict[str, str]:
        return {c.architecture: c.function for c in find(shapes_of(build(name)))}

    vits, resnets = functions("vit_base_patch16_224"), functions("resnet50")

    assert vits["vit_base_patch16_224"] == vits["deit_base_patch16_224"]
    assert len(set(resnets.values())) == len(resnets) == 3


def test_a_size_that_an_architecture_cannot_take_is_no_crash():
    assert attempt("resnet18", img_size=64) is None
    assert attempt("vit_tiny_patch16_224", img_size=64) is not None


def test_the_clearly_best_candidate_is_chosen():
    right = {"a": [True] * 90 + [False] * 10, "b": [True] * 60 + [False] * 40}

    assert choose([candidate("b"), candidate("a")], right).architecture == "a"
    assert choose([candidate("a")], right).architecture == "a"


def test_a_handful_of_images_decides_nothing():
    right = {"a": [True] * 65 + [False] * 35, "b": [True] * 60 + [False] * 40}

    assert choose([candidate("a"), candidate("b")], right) is None
    assert choose([candidate("a"), candidate("b")], {"a": [True], "b": [True]}) is None
    assert choose([candidate("a")], {}) is None


def test_candidates_that_compute_the_same_are_no_rivals():
    right = {"a": [True, False], "b": [True, False]}

    chosen = choose([candidate("a", "f"), candidate("b", "f")], right)

    assert chosen.architecture == "a"


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_an_outline_has_the_shapes_of_the_network(spec):
    assert shapes_of(spec.outline()) == shapes_of(spec.build(seed=0))


def test_classes_and_channels_are_told_by_the_rules_of_a_known_architecture():
    """The first layer of a TResNet takes 4 x 4 pixels at once: 16 channels mean one."""
    shapes = shapes_of(build("tresnet_m", num_classes=6, in_chans=1))

    assert shapes["body.conv1.conv.weight"][1] == 16
    assert implied("tresnet_m", shapes) == {"num_classes": 6, "in_chans": 1}
    assert implied("no_such_architecture", shapes) == {}


def test_the_architecture_of_the_told_size_comes_first():
    for name in ("cait_s24_224", "cait_s24_384"):
        assert find(shapes_of(build(name)))[0].architecture == name


def test_the_size_decides_between_architectures_that_compute_the_same():
    for name in ("eva02_tiny_patch14_224", "eva02_tiny_patch14_336"):
        shapes = shapes_of(build(name))
        weights = {key: TensorEntry("float32", shape) for key, shape in shapes.items()}

        assert len(find(shapes)) == 2
        assert identify(None, None, weights).architecture == name
