"""A tiny data set with planted classes, a tiny model, and one whole audit that tests read."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import zlib

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # what tests compute is too small to share
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

from tests.samples.audits import KWARGS, ROOT, invoked, make_folder, tiny_flags

REAL_DATA = os.environ.get("AUDIT_DATA")  # an image folder, for slow tests
KEPT = ("AUDIT_SCREENSHOTS",)
for variable in [name for name in os.environ if name.startswith("AUDIT_") and name not in KEPT]:
    del os.environ[variable]  # they mirror flags, and tests give their own


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=0, help="what each test's random numbers start at")


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    """No fixture depends on what was set up before it; each has numbers of its own."""
    begin(request.config, zlib.crc32(fixturedef.argname.encode()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    """No test depends on which tests ran before it, or on how fast."""
    begin(item.config)


def begin(config, more=0):
    """Random numbers begin anew, and networks as small as these are fastest on one thread."""
    torch.set_num_threads(1)
    seed = (config.getoption("seed") + more) % 2**32
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.fixture(scope="session", autouse=True)
def in_32_bits():
    """Nulls of tests learn alike on every processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.inputs.device.has_amx", lambda: False)
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("data") / "set", {"train": 60, "val": 80})


@pytest.fixture(scope="session")
def model(tmp_path_factory, data):
    """A checkpoint as timm's training script writes it, of a network that knows the classes."""
    import timm

    from audit.baselines.images import Images, statistics
    from audit.baselines.train import Recipe, train
    from audit.data import decode
    from audit.data.load import load_dataset

    dataset = load_dataset(data)
    pixels = torch.from_numpy(decode(dataset.train, 16, 1))
    images = Images(pixels, torch.from_numpy(dataset.train.labels), *statistics(pixels))
    torch.manual_seed(0)
    net = timm.create_model("resnet10t", in_chans=1, num_classes=3, **KWARGS)
    train(net, images, Recipe(images_seen=1500, rate=3e-3, optimizer="adamw"), seed=0)
    args = argparse.Namespace(model="resnet10t", model_kwargs=KWARGS, num_classes=3, in_chans=1,
                              img_size=16, mean=images.mean.tolist(), std=images.std.tolist(),
                              crop_pct=1.0, pretrained=False)  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "model.pt"
    torch.save({"arch": "resnet10t", "state_dict": net.state_dict(), "args": args}, path)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs the command line in this process: returns the exit code."""
    from audit.cli import main

    def run(*words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["audit", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory, data, model, cache):
    """The run folder of one whole audit."""
    out = tmp_path_factory.mktemp("runs") / "first"
    return out, invoked(model, *tiny_flags(data, cache, out), "--pretrained-on", "none")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: `build/` of an earlier build would hide what is missing."""
    place = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns("build", "*.egg-info", ".venv*", ".git", "__pycache__")
    shutil.copytree(ROOT, place / "source", ignore=left_out)
    words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*words, place, place / "source"], check=True, capture_output=True, cwd=place)
    return next(place.glob("*.whl"))
