"""A tiny data set with planted classes, a tiny model, and one whole audit that tests read."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch
from PIL import Image

REAL_DATA = os.environ.get("AUDIT_DATA")  # an image folder, for slow tests
KEPT = ("AUDIT_SCREENSHOTS",)
for variable in [name for name in os.environ if name.startswith("AUDIT_") and name not in KEPT]:
    del os.environ[variable]  # they mirror flags, and tests give their own

ROOT = Path(__file__).parent.parent
TINY = {
    "images_seen": 1500,
    "transfer_images": 120,
    "transfer_seen": 240,
    "gating": 1,
    "cuts": 2,
    "seeds": 1,
    "doublings": 0,
}
KWARGS = {"channels": [8, 8, 16, 16], "stem_width": 8}
CLASSES = ("left", "right", "striped")


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
    """Random numbers begin anew."""
    seed = (config.getoption("seed") + more) % 2**32
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def picture(label, rng):
    """Left or right half bright, or stripes: 16 x 16 grey, noisy."""
    image = rng.normal(90, 30, (16, 16))
    if label == 2:
        image[::2] += 80
    else:
        image[:, 8 * label : 8 * label + 8] += 80
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def make_folder(root, per_class, classes=CLASSES, seed=0):
    """An image folder with train/ and val/."""
    rng = np.random.default_rng(seed)
    for split, count in per_class.items():
        for label, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture(label, rng).save(folder / f"{i:03d}.png")
    return root


@pytest.fixture(scope="session", autouse=True)
def in_32_bits():
    """Nulls of tests learn alike on every processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.device.has_amx", lambda: False)
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("data") / "set", {"train": 60, "val": 80})


@pytest.fixture(scope="session")
def model(tmp_path_factory, data):
    """A checkpoint as timm's training script writes it, of a network that knows the classes."""
    import timm

    from audit.data import decode, load_dataset
    from baselines.train import Images, Recipe, statistics, train

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


def invoked(*words):
    """The command line for fixtures that outlive a test: what it printed and returned."""
    from click.testing import CliRunner

    from audit.cli import audit

    result = CliRunner().invoke(audit, [*map(str, words)], standalone_mode=False)
    assert result.exception is None, result.output
    return result


def refused(command, capsys, reason, *words):
    """Exit code 2, and at last one sentence that starts with the reason; all that was said."""
    assert command(*words) == 2
    said = capsys.readouterr().err.strip()
    assert said.splitlines()[-1].startswith(f"audit: {reason}"), said
    return said


def sets(changes):
    """Flags that change fields of the profile."""
    return [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]


def tiny_flags(data, cache, out):
    words = ["--data", data, "--cache", cache, "--out", out, "--quick", "--threads", "2"]
    return [*words, *sets(TINY)]


@pytest.fixture(scope="session")
def finished(tmp_path_factory, data, model, cache):
    """The run folder of one whole audit."""
    out = tmp_path_factory.mktemp("runs") / "first"
    return out, invoked(model, *tiny_flags(data, cache, out), "--pretrained-on", "none")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: `build/` of an earlier build would hide what is missing."""
    place = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns("build", "*.egg-info", ".venv", ".git", "__pycache__")
    shutil.copytree(ROOT, place / "source", ignore=left_out)
    words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*words, place, place / "source"], check=True, capture_output=True, cwd=place)
    return next(place.glob("*.whl"))
