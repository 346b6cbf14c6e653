"""Several sets of weights in one file: one is audited, the others are named, none is mixed up."""

import pytest
import torch

from audit.model.checkpoint import load_subject
from audit.model.inspection import inspect_model
from tests.samples.checkpoints import ARCH, X, logits, network, refusal, saved


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return network()


@pytest.fixture(scope="module")
def state(net) -> dict[str, torch.Tensor]:
    return net.state_dict()


@pytest.fixture(scope="module")
def other(state) -> dict[str, torch.Tensor]:
    return {k: v * 1.5 if v.is_floating_point() else v for k, v in state.items()}


def under(prefix, state):
    return {prefix + key: value for key, value in state.items()}


def is_raw(path, net, **flags) -> bool:
    return torch.equal(logits(load_subject(path, model=ARCH, img_size=32, **flags)), net(X))


@pytest.mark.parametrize("key", ["ema_model", "averaged", "swa", "model_ema"])
def test_averaged_weights_are_found_under_any_name_that_says_so(key, net, state, other, tmp_path):
    path = saved(tmp_path / "m.pt", {"model": state, key: other})

    assert load_subject(path, model=ARCH).weights == "ema"
    assert is_raw(path, net, weights="raw")
    assert not is_raw(path, net)


def test_the_other_set_is_named_with_what_takes_it(state, other, tmp_path, command, capsys):
    path = saved(tmp_path / "m.pt", {"model": state, "ema": {"module": other, "decay": 0.9}})

    found = inspect_model(path, model=ARCH)
    assert (found.weights, found.weights_key, found.other_weights) == (
        *("ema", "ema.module"),
        {"raw": "model"},
    )
    assert load_subject(path, model=ARCH).beside == (
        "the file also holds 'model', which `--weights raw` takes",
    )
    assert command("inspect", path, "--weights", "raw") == 0
    assert "averaged (EMA) under 'ema.module'; --weights ema" in capsys.readouterr().out


def test_two_raw_sets_are_chosen_by_key(net, state, other, tmp_path):
    path = saved(tmp_path / "m.pt", {"model": other, "state_dict": state})

    assert is_raw(path, net)
    assert load_subject(path, model=ARCH).beside[0].endswith("`--weights model` takes")
    assert not is_raw(path, net, weights="model")
    assert load_subject(path, model=ARCH, weights="model").weights == "model"
    assert "only under 'state_dict', 'model'" in str(refusal(path, weights="moodel"))


def test_lightning_says_which_of_its_two_is_averaged(net, state, other, tmp_path):
    content = {"state_dict": under("model.", other), "current_model_state": under("model.", state)}
    path = saved(tmp_path / "m.ckpt", content | {"pytorch-lightning_version": "2.6"})

    assert load_subject(path, model=ARCH).weights == "ema"
    assert is_raw(path, net, weights="raw")


def test_equals_without_a_name_are_asked_for(net, state, other, tmp_path):
    path = saved(tmp_path / "m.pt", {"teacher": other, "student": state})

    error = refusal(path)
    assert (error.reason, "'teacher', 'student'" in str(error)) == ("MODEL_NO_WEIGHTS", True)
    assert is_raw(path, net, weights="student")


def test_averaged_models_of_torch_load(net, state, tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(torch.nn.DataParallel(net)).state_dict()

    assert is_raw(saved(tmp_path / "a.pt", averaged), net)
    path = saved(tmp_path / "b.pt", {"model": state, "model_ema": averaged})
    assert load_subject(path, model=ARCH).weights == "ema"


@pytest.mark.parametrize("prefix", ["backbone.", "encoder.", "m.", "0.", "model.module."])
@pytest.mark.parametrize("model", [ARCH, None])
def test_any_prefix_that_all_names_share_is_left_away(prefix, model, net, state, tmp_path):
    path = saved(tmp_path / "m.pt", {"state_dict": under(prefix, state)})

    subject = load_subject(path, model=model)

    assert torch.equal(logits(subject), net(X))
    assert subject.beside == ()


def test_what_stands_beside_the_network_is_left_out_and_named(net, state, tmp_path):
    more = {"criterion.weight": torch.ones(5), "train_acc.tp": torch.ones(3)}
    path = saved(tmp_path / "m.ckpt", {"state_dict": under("model.", state) | more})

    subject = load_subject(path)

    assert torch.equal(logits(subject), net(X))
    assert subject.beside == ("left out beside 'model.': 1 under 'criterion', 1 under 'train_acc'",)
    assert inspect_model(path).left_out == subject.beside[0]


def test_two_networks_under_prefixes_are_two_sets(net, state, other, tmp_path):
    content = {"state_dict": under("model.", state) | under("ema_model.", other)}
    path = saved(tmp_path / "m.ckpt", content)

    assert load_subject(path).weights == "ema"
    assert is_raw(path, net, weights="raw")
    assert not is_raw(path, net)


def test_where_no_part_fits_the_prefixes_are_said(tmp_path):
    weights = {f"{part}.{i}": torch.ones(2) for part in ("left", "right") for i in range(9)}

    error = refusal(saved(tmp_path / "m.pt", {"state_dict": weights}), model=None)

    assert error.reason == "MODEL_ARCH_UNKNOWN"
    assert "begin with 'left.', 'right.'" in str(error)


def test_weights_without_a_classifier_are_said_to_lack_it(state, tmp_path):
    headless = {k: v for k, v in state.items() if not k.startswith("fc.")}
    path = saved(tmp_path / "m.pt", headless)

    assert "the classifier is missing" in str(refusal(path))
    found = inspect_model(path)
    assert (found.reason, found.num_classes) == ("MODEL_ARCH_MISMATCH", None)


def test_quantised_weights_are_called_that(state, tmp_path):
    packed = state | {"fc._packed_params.dtype": torch.qint8}

    error = refusal(saved(tmp_path / "m.pt", packed))

    assert error.reason == "MODEL_DTYPE"
    assert "is quantised" in str(error)


@pytest.mark.parametrize("change", ["float", "absent"])
def test_counts_of_batches_may_be_floats_or_absent(change, net, state, tmp_path):
    counts = {k for k in state if k.endswith("num_batches_tracked")}
    content = {k: v.float() if k in counts else v for k, v in state.items()}
    if change == "absent":
        content = {k: v for k, v in content.items() if k not in counts}

    assert torch.equal(logits(load_subject(saved(tmp_path / "m.pt", content))), net(X))


@pytest.mark.parametrize("key", [int, str])
def test_class_names_by_position_are_class_names(key, state, tmp_path):
    names = {key(i): f"z{9 - i}" for i in range(5)}
    path = saved(tmp_path / "m.pt", {"state_dict": state, "classes": names})

    assert load_subject(path, model=ARCH).class_names == ("z9", "z8", "z7", "z6", "z5")
