"""The example trains a model whose checkpoint the audit rebuilds, with the accuracy it printed."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from audit.model.checkpoint import load_subject

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_subject.py"
SIDE = 16


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_subject", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three classes by the channel that is bright; the last image of each is larger."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, n in (("train", 24), ("test", 8)):
        for label, name in enumerate(("blue sky", "ñandú", "zebra")):
            (root / split / name).mkdir(parents=True)
            for i in range(n):
                side = SIDE if i < n - 1 else 2 * SIDE
                pixels = rng.integers(0, 100, (side, side, 3), dtype=np.uint8)
                pixels[..., label] += 90
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def run(example, folder):
    def train(*flags: str) -> Path:
        common = ("--data-dir", str(folder), "--img-size", str(SIDE), "-b", "12")
        common += ("--model", "test_resnet", "-o", str(folder / "model.pt"))
        return example.train(example.parse([*common, *flags]))

    return train


def test_checkpoint_is_audited_with_the_accuracy_that_training_printed(run, folder, capsys):
    path = run("--epochs", "4", "--lr", "0.05")
    printed = capsys.readouterr().out.splitlines()

    subject = load_subject(path)

    p, right = subject.preprocessing, []
    for file in sorted((folder / "test").rglob("*.png")):
        image = Image.open(file).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        x = (torch.from_numpy(np.array(image)) / 255 - torch.tensor(p.mean)) / torch.tensor(p.std)
        answer = subject.model(x.permute(2, 0, 1)[None]).argmax().item()
        right.append(subject.class_names[answer] == file.parent.name)
    assert len(printed) == 4
    assert f"val {np.mean(right):.4f}" in printed[-1]
    assert np.mean(right) > 0.5


def test_checkpoint_says_how_it_was_trained(run):
    subject = load_subject(run("--epochs", "1"))

    assert subject.container == "timm training checkpoint"
    assert subject.class_names == ("blue sky", "zebra", "ñandú")
    assert (subject.pretrained, subject.preprocessing.crop_pct) == ("no", 1.0)
    assert (subject.spec.num_classes, subject.spec.img_size) == (3, SIDE)
    assert subject.training_args["epochs"] == 1
    assert subject.preprocessing.mean == pytest.approx([0.31] * 3, abs=0.03)


def test_architectures_bound_to_a_size_and_grey_input(run):
    kwargs = ("patch_size=4", "depth=1", "embed_dim=24", "num_heads=2")
    flags = ("--epochs", "1", "--in-chans", "1", "--opt", "adamw", "--sched", "cosine")

    path = run("--model", "vit_tiny_patch16_224", "--model-kwargs", *kwargs, *flags)

    subject = load_subject(path)
    assert subject.model(torch.zeros(1, 1, SIDE, SIDE)).shape == (1, 3)
    assert len(subject.preprocessing.mean) == 1


def test_same_seed_same_weights(run):
    digests = [load_subject(run("--epochs", "1", "--seed", seed)).weights_digest for seed in "110"]

    assert digests[0] == digests[1] != digests[2]


def test_limit_takes_from_all_classes_alike(example, folder):
    classes = ["blue sky", "ñandú", "zebra"]

    labels = [label for _, label in example.list_images(folder / "train", classes, 7)]

    assert sorted(labels) == [0, 0, 0, 1, 1, 2, 2]
    assert len(example.list_images(folder / "train", classes, None)) == 72


def test_crop_only_moves_and_mirrors(example):
    """A ramp stays a ramp of the same values, shifted by at most `pad` and maybe reversed."""
    ramp = torch.arange(16, dtype=torch.uint8).view(1, 1, 16, 1).expand(1, 16, 16, 1)

    crops = example.crop_and_mirror(ramp, torch.zeros(64, dtype=torch.long), pad=2)

    rows = crops[:, 0, :, 0].long()
    steps = rows.diff(dim=1)[:, 3:-3]  # the border may reflect
    assert set(steps.unique().tolist()) == {-1, 1}
    assert {(row.min().item(), row.max().item()) for row in rows} <= {
        (low, high) for low in (0, 1, 2) for high in (13, 14, 15)
    }
    assert len(rows.unique(dim=0)) == 10  # five shifts, mirrored or not


def test_a_folder_without_splits_is_refused_in_words(example, tmp_path):
    with pytest.raises(SystemExit, match="needs the folders"):
        example.train(example.parse(["--data-dir", str(tmp_path)]))


def test_training_goes_on_from_other_classes(run):
    first = run("--epochs", "1")
    state = torch.load(first, weights_only=False)["state_dict"]
    state["fc.weight"], state["fc.bias"] = torch.zeros(7, 512), torch.zeros(7)
    torch.save(state, first.with_name("seven.pt"))
    begin = ("--initial-checkpoint", str(first.with_name("seven.pt")))

    subject = load_subject(run("--epochs", "1", "--lr", "1e-9", *begin))

    assert (subject.spec.num_classes, subject.pretrained) == (3, "yes")
    assert torch.allclose(subject.model.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
    with pytest.raises(SystemExit, match="does not hold"):
        run("--model", "test_convnext", *begin)
