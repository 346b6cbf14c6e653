"""Preprocessing can be given, is shown with its source, and better alternatives are found."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from audit.api import load_policy
from audit.checks.preprocessing import check
from audit.checks.preprocessing.jobs import preprocessing as request
from audit.checks.preprocessing.run import alternatives, preprocessing
from audit.core.errors import AuditError
from audit.data.dataset import Dataset
from audit.data.idx import array_split
from audit.evidence.case import Case
from audit.evidence.context import JobContext
from audit.evidence.profile import profile
from audit.evidence.setup import NullInput, Setup
from audit.evidence.shared_jobs import train_facts
from audit.inputs.load import declared
from audit.inputs.model import described, overridden
from audit.inputs.settings import Settings
from audit.jobs.store import Outcome
from audit.model.spec import Preprocessing
from audit.policy.judge import judge
from audit.runs.report import load_report
from tests.samples.audits import tiny_flags

VIEW = Preprocessing(16, 3, (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0)
LEVELS = torch.tensor([0.2, 0.4, 0.6, 0.8])


class Brightness(nn.Module):
    """Knows four levels of red, and that blue is dark; expects mean and std 0.5, RGB."""

    def forward(self, x):
        red, blue = (x[:, i].mean(dim=(1, 2)) for i in (0, 2))
        return -(LEVELS - (red - blue + 1)[:, None] / 2).abs() * 9


def shop_of(view, **changes):
    """200 training images whose red minus blue, of 1 in all, is one of the four levels less 0.5."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    pixels = rng.integers(0, 20, (200, 16, 16, 3))
    half = np.array([-38, -13, 13, 38])[labels][:, None, None]
    pixels[..., 0] += 100 + half
    pixels[..., 2] += 100 - half
    split = array_split("train", pixels.astype(np.uint8), labels, [f"{i}" for i in range(200)])
    data = Dataset(tuple("abcd"), split, split, "", False, (), 0, "made")
    setup = Setup(
        profile=profile("quick"), seed=0, subject="m", architecture="a", subject_digest="",
        subject_size=16, view=repr(view), train_digest="t", eval_digest="", classes=data.classes,
        n_train=200, n_eval=200, channels=3,
        input=NullInput(size=16), nulls=(), check_preprocessing=True,
    ).model_copy(update=changes)  # fmt: skip
    subject = SimpleNamespace(model=Brightness(), preprocessing=view, name="m")
    return JobContext(data, subject, setup)


def measured(view):
    context = shop_of(view)
    job, groups = request(context.setup), np.arange(200)
    known = {train_facts(context.setup).key: Outcome(arrays={"train_groups": groups})}
    known[job.key] = preprocessing(job, context, known, lambda share: None)
    return check.measure(Case(context.setup, groups, groups, known, {}))


def test_the_right_preprocessing_is_not_warned_about():
    found = {m.name: m for m in measured(VIEW)}
    assert found["preprocessing.accuracy.as_is"].value == 1
    assert found["preprocessing.better"].value == 0


@pytest.mark.parametrize(("wrong", "better"), [
    ({"mean": (0.0,) * 3, "std": (1.0,) * 3}, "mean and std 0.5"),
    ({"mean": (0.5, 0.5, 0.1)}, "mean and std 0.5"),
])  # fmt: skip
def test_a_wrong_mean_is_warned_about(wrong, better):
    from dataclasses import replace

    found = measured(replace(VIEW, **wrong))
    (finding,) = [f for f in judge(found, load_policy()) if f.limit == "preprocessing"]
    assert (finding.verdict, finding.severity) == ("fail", "warn")
    words = check.section(found, ())
    assert better in words.summary
    assert "--mean" in words.summary


def test_swapped_channels_are_warned_about(monkeypatch):
    swapped = Brightness.forward
    monkeypatch.setattr(Brightness, "forward", lambda self, x: swapped(self, x.flip(1)))
    found = {m.name: m for m in measured(VIEW)}
    assert found["preprocessing.gain.bgr"].low > 0.3
    assert "blue, green, red" in found["preprocessing.better"].note


@pytest.mark.parametrize(("changes", "why"), [
    ({"check_preprocessing": False}, "only with --check-preprocessing"),
    ({"training_images": False}, "the training images"),
])  # fmt: skip
def test_without_it_nothing_is_measured_and_it_says_why(changes, why):
    setup = shop_of(VIEW, **changes).setup
    assert check.needs(setup) == ()
    (only,) = check.measure(Case(setup, np.zeros(0), np.zeros(0), {}, {}))
    assert np.isnan(only.value)
    assert why in check.section([only], ()).summary


def test_only_what_differs_is_tried():
    names = [a.name for a in alternatives(VIEW, colour=True)]
    assert names == ["imagenet", "cifar10", "none", "bgr", "crop_875", "crop_950", "bilinear"]
    grey = Preprocessing(16, 1, (0.4491,), (0.226,), "bilinear", 0.875)
    assert [a.name for a in alternatives(grey, colour=False)] == [
        "cifar10", "half", "none", "crop_950", "crop_1000", "bicubic"]  # fmt: skip


def test_holm_stops_at_the_first_that_is_not_clearly_better():
    own = np.ones(100)
    others = {"a": np.zeros(100), "b": np.repeat([0.0, 1.0], [4, 96]), "c": np.ones(100)}
    found = check.stepdown(own, others, np.arange(100))
    assert [found[name][3] for name in ("a", "b", "c")] == [True, False, False]


def test_what_is_given_wins_and_is_shown(model):
    from audit.inputs.model import load_model

    settings = Settings(mean=(0.25,), crop_pct=0.5)
    view = load_model(model, settings).preprocessing
    assert (view.mean, view.crop_pct, view.interpolation) == ((0.25,), 0.5, "bicubic")
    subject = load_model(model, Settings(interpolation="bilinear"))
    assert repr(view) != repr(subject.preprocessing)  # which names the jobs of the subject
    words = described(load_model(model, settings), declared(settings).preprocessing)
    assert words.startswith("1 x 16 x 16, crop 0.5 (given), cut at the centre (timm's), bicubic")
    assert "mean (0.25) (given)" in words
    assert words.endswith("(checkpoint's)")


def test_as_many_values_as_channels_are_needed():
    subject = SimpleNamespace(preprocessing=VIEW, name="net")
    with pytest.raises(AuditError, match="MODEL_PREPROCESSING: --std needs one value or one a"):
        overridden(subject, Settings(std=(0.1, 0.2)))


def test_a_whole_audit_tries_alternatives(finished, model, data, cache, tmp_path, command):
    out = tmp_path / "checked"
    flags = [*tiny_flags(data, cache, out), "--check-preprocessing", "-q"]
    assert command(model, *flags) == finished[1].return_value
    measured = {m.name: m for m in load_report(out).measurements}
    assert measured["preprocessing.better"].value == 0
    assert measured["preprocessing.accuracy.as_is"].n == 180
    assert "preprocessing.gain.bgr" not in measured  # grey
    assert load_report(out).document.subject["input"].endswith("(checkpoint's)")


@pytest.mark.parametrize("flags", [
    ["--mean", "a,b"], ["--std", "0"], ["--mean", "nan"], ["--crop-pct", "1.5"],
    ["--interpolation", "magic"], ["--mean", "1,2,3,4"],
])  # fmt: skip
def test_nonsense_is_refused(flags, command, model, data, capsys):
    assert command(model, "--data", data, *flags) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_command_repeats_them():
    from audit.commands.options import Numbers
    from audit.inputs.call import Call
    from audit.inputs.repeat import repeat_words

    settings = Settings(mean=(0.1, 0.2, 0.3), crop_pct=0.9, check_preprocessing=True)
    words = " ".join(repeat_words(settings, Call()))
    assert words == "--mean=0.1,0.2,0.3 --crop-pct 0.9 --check-preprocessing"
    assert Numbers().convert("0.1,0.2 0.3", None, None) == (0.1, 0.2, 0.3)
