"""Networks may run on another device, and give there what they give here."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from audit import checks
from audit.baselines import train as loop
from audit.baselines.device import device_of, moved
from audit.baselines.train import Recipe, accuracy, is_memory, predict, train
from audit.checks.dimension import jobs as id_requests
from audit.checks.transfer.retrain import Curve, Start, learn
from audit.core.errors import AuditError
from audit.core.progress import Progress
from audit.data.load import load_dataset
from audit.evidence import shared_jobs as requests
from audit.evidence.context import JobContext
from audit.evidence.device import on_device, require_agreement, require_learning
from audit.evidence.examine import Experiment, examine, set_up
from audit.evidence.profile import PROFILES
from audit.inputs import device as devices
from audit.inputs.device import chosen_device, has_amx
from audit.inputs.settings import chosen_profile, load_settings
from audit.kernels.gram import gram
from audit.kernels.neighbours import nearest
from audit.kernels.probes import basis_of
from audit.kernels.twonn import intrinsic_dimension
from audit.model.checkpoint import load_subject
from audit.runs.report import load_report
from tests.baselines.test_train import images, sibling
from tests.checks import test_retrain as test_retraining
from tests.checks.test_retrain import SPEC, cut_at, quiet
from tests.hostile.test_checkpoints import assert_refused
from tests.samples.accelerator import AWAY, Accelerator, Away, Mixed, accelerator, apart
from tests.samples.audits import make_folder, tiny_flags

RECIPE = Recipe(images_seen=640, batch=64, rate=0.01, crop=8, augment="mirror-crop")


def measurements(run):
    found = load_report(run).measurements
    return {(m.name, m.at): (m.value, m.n) for m in found}


def differ(one, other):
    return abs(one - other) > 1e-3 * max(1, abs(other)) or math.isnan(one) != math.isnan(other)


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True])
@apart
def test_an_audit_on_another_device_measures_the_same(
    beside, data, model, cache, finished, command, tmp_path, monkeypatch
):
    more = ["-q", "--check-preprocessing"]
    if beside:
        other = make_folder(tmp_path / "other", {"train": 40, "val": 40}, seed=5)
        more += ["--transfer-data", other, "--probe-data", other]
    command(model, *tiny_flags(data, cache, tmp_path / "here"), *more)
    monkeypatch.setattr(devices, "chosen_device", lambda name: AWAY)
    with accelerator() as there:
        command(model, *tiny_flags(data, tmp_path / "cache", tmp_path / "there"), *more)
    monkeypatch.undo()

    assert there.operations.count("aten::convolution_backward") > 100  # trained there
    expected, found = measurements(tmp_path / "here"), measurements(tmp_path / "there")
    assert len(found) > 200
    assert found.keys() == expected.keys()
    assert [key for key in found if differ(found[key][0], expected[key][0])] == []
    assert load_report(tmp_path / "there").document.provenance["device"] == str(AWAY)
    here = load_report(tmp_path / "here").document.provenance["device"]
    assert here == "cpu, but for what came from the cache"


@apart
def test_a_network_trains_where_it_is():
    data = images(side=16)
    here = train(sibling(), data, RECIPE, seed=0)
    with accelerator():
        network = on_device(sibling(), AWAY)
        there = train(network, data, RECIPE, seed=0)
        logits = predict(there, data)
        assert device_of(there) == AWAY
    torch.testing.assert_close(logits, predict(here, data))
    assert accuracy(here, data) > 0.9


@pytest.mark.parametrize("frozen", [True, False])
@apart
def test_what_lies_behind_a_cut_learns_there(frozen):
    start = Start(SPEC.build(1), cut_at("layer3"), frozen)
    curve, data = Curve(SPEC, test_retraining.images(), 128, (1.0,)), test_retraining.images()
    here = learn(curve, start, 5, quiet).network
    with accelerator():
        there = learn(replace(curve, device=AWAY), start, 5, quiet).network
        assert (device_of(there), device_of(start.donor)) == (AWAY, torch.device("cpu"))
        torch.testing.assert_close(predict(there, data), predict(here, data), rtol=1e-3, atol=1e-3)


@apart
def test_the_model_runs_there(data, model):
    dataset, subject = load_dataset(data), load_subject(model)
    examined = examine(subject, Experiment(dataset))
    setup, cuts = set_up(examined, PROFILES["quick"]), examined.cuts
    here = JobContext(dataset, subject, setup, cuts, all_cuts=cuts)
    jobs = [requests.subject_outputs(setup), id_requests.of_subject(setup, untrained=False)]
    with accelerator() as there:
        away = replace(here, device=AWAY)
        away.require_device()
        kinds = checks.kinds()
        for job in jobs:
            one, other = (
                kinds[job.kind].executor()(job, context, {}, quiet) for context in (here, away)
            )
            for name, values in one.arrays.items():
                np.testing.assert_allclose(other.arrays[name], values, rtol=1e-3, atol=1e-4)
    assert there.operations


KERNELS = {
    "neighbours": lambda x: nearest(x, 3).distances,
    "dimension": intrinsic_dimension,
    "gram": lambda x: gram([x], len(x), x.device).products,
    "read-outs": lambda x: basis_of(x).variance,
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(300, 4), (700, 40)])
@apart
def test_kernels_work_where_the_points_are(kernel, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    here = KERNELS[kernel](x)
    with accelerator() as there:
        found = KERNELS[kernel](x.to(AWAY))
        found = found.to("cpu") if isinstance(found, torch.Tensor) else found
    assert len(there.operations) > 5
    if kernel == "dimension":
        assert found == here
    else:
        torch.testing.assert_close(found, here)


@apart
def test_without_moving_what_it_is_given_a_network_says_so(monkeypatch):
    """Negative control: the simulated device refuses what a GPU refuses."""
    monkeypatch.setattr(loop, "called", lambda network, *inputs: network(*inputs))
    with accelerator(), pytest.raises(Mixed):
        train(on_device(sibling(), AWAY), images(side=16), RECIPE, seed=0)


@apart
def test_only_tensors_are_moved():
    window = loop.Window(0, 0, 4, 16, 16)
    with accelerator():
        found = moved((torch.ones(2), window, "x"), AWAY)
    assert found[0].device == AWAY
    assert found[1:] == (window, "x")
    assert device_of(torch.nn.ReLU()) == torch.device("cpu")


def test_the_processor_gets_no_copy():
    network = sibling()
    assert on_device(network, torch.device("cpu")) is network
    assert chosen_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "gpus", "words"),
    [
        ("cuda", 0, "torch sees 0 here"),
        ("cuda:2", 2, "torch sees 2 here"),
        ("gpu", 1, "neither cpu nor cuda"),
        ("cuda:-1", 1, "neither cpu nor cuda"),
        ("CUDA", 1, "neither cpu nor cuda"),
    ],
)
def test_a_device_that_cannot_be_used_is_refused(name, gpus, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(AuditError, match=f"DEVICE_UNUSABLE.*{name}.*{words}"):
        chosen_device(name)


def test_products_on_a_gpu_are_not_shortened(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert chosen_device("cuda:1") == torch.device("cuda", 1)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_the_command_refuses_it_before_it_looks_at_the_data(command, capsys, monkeypatch, model):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code = command(model, "--data", "nowhere", "--device", "cuda", "-q")
    assert_refused(code, capsys.readouterr().err, ("DEVICE_UNUSABLE",))


@pytest.mark.parametrize("wrong", [1.5, math.nan])
@apart
def test_a_device_that_computes_something_else_is_refused(wrong, monkeypatch):
    def spoiled(network, device):
        network = on_device(network, device)
        with torch.no_grad():
            network.fc.weight.mul_(wrong)
        return network

    network, x = sibling().eval(), torch.rand(4, 1, 16, 16)
    with accelerator():
        require_agreement(network, lambda net, x: net(x), x, AWAY)
        monkeypatch.setattr("audit.evidence.device.on_device", spoiled)
        with pytest.raises(AuditError, match="DEVICE_WRONG"):
            require_agreement(network, lambda net, x: net(x), x, AWAY)


@pytest.mark.parametrize(("gpu", "device", "said"), [(False, "cpu", False), (True, "cpu", True),
                                                     (True, "cuda", False)])  # fmt: skip
def test_a_gpu_that_is_left_idle_is_named(gpu, device, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    progress = Progress(quiet=True)
    assert devices.device_for(device, progress).type == device
    assert any("--device cuda" in line for line in progress.lines) == said


@pytest.mark.parametrize(("amp", "device", "has", "found"), [
    (None, "cpu", True, "bfloat16"), (None, "cpu", False, "float32"),
    (None, "cuda", True, "float32"), (False, "cpu", True, "float32"),
    (True, "cpu", False, "bfloat16"),
])  # fmt: skip
def test_nulls_learn_in_bfloat16_where_the_processor_is_made_for_it(
    amp, device, has, found, monkeypatch
):
    monkeypatch.setattr(devices, "has_amx", lambda: has)
    progress = Progress(quiet=True)
    settings = devices.resolve_precision(
        load_settings(None, {"amp": amp}), torch.device(device), progress
    )
    assert bool(progress.lines) == (amp is True and not has)  # that it may be slower
    assert chosen_profile(settings).precision == found


def test_a_torch_that_does_not_know_the_processor_leaves_32_bits(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert has_amx()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert has_amx()
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert not has_amx()


class Faulty(Accelerator):
    """A device that loses what convolutions should learn."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = super().__torch_dispatch__(func, types, args, kwargs)
        if func._schema.name == "aten::convolution_backward" and isinstance(found[1], Away):
            found[1].inner.zero_()
        return found


@apart
def test_a_device_on_which_nothing_is_learned_is_refused():
    network, x = sibling().eval(), torch.rand(4, 1, 16, 16)
    with accelerator():
        require_learning(AWAY)
    with Faulty():
        require_agreement(network, lambda net, x: net(x), x, AWAY)  # it runs as it should
        with pytest.raises(AuditError, match=r"DEVICE_WRONG.*learns"):
            require_learning(AWAY)


def test_nulls_are_not_fitted_on_a_device_that_does_not_learn(data, command, capsys, monkeypatch):
    monkeypatch.setattr(devices, "chosen_device", lambda name: AWAY)
    with Faulty():
        code = command("nulls", "fit", "--data", data, "-o", "nulls", "--no-cache", "-q")
    assert_refused(code, capsys.readouterr().err, ("DEVICE_WRONG",))


def test_memory_of_a_gpu_is_memory():
    assert is_memory(torch.OutOfMemoryError("CUDA out of memory"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_audit_on_a_gpu(data, model, finished, command, tmp_path):
    """Rounding differs there, so accuracies are held to be near only."""
    flags = tiny_flags(data, tmp_path / "cache", tmp_path / "run")
    assert command(model, *flags, "--device", "cuda", "-q") in (0, 1, 3)
    name = ("accuracy_gap.accuracy.subject", None)
    found, expected = measurements(tmp_path / "run")[name], measurements(finished[0])[name]
    assert found[0] == pytest.approx(expected[0], abs=0.01)
