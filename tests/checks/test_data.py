"""What the report says of the data: sizes, copies, balance, and the names of files."""

import numpy as np
import pytest
from PIL import Image

from audit.api import load_policy
from audit.checks.data import check
from audit.checks.data.jobs import listing as request_listing
from audit.checks.data.run import listing
from audit.data.load import load_dataset
from audit.evidence.context import JobContext
from audit.evidence.decide import set_up_nulls, training
from audit.evidence.outputs import facts, train_facts
from audit.evidence.profile import profile
from audit.evidence.setup import NullInput
from audit.evidence.shared_jobs import facts as request_facts
from audit.jobs.scheduler import JobResults
from audit.pipeline.audit import make_case
from audit.policy.judge import judge

RNG = np.random.default_rng(0)


def picture(width=16, height=12):
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """30 images a class and split; a leak, a conflict, a copy, an odd size and broken files."""
    root = tmp_path_factory.mktemp("facts") / "set"
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for i in range(30):
                picture().save(root / split / name / f"{i:02d}.png")
    train, val = root / "train", root / "val"
    leak = (train / "cat" / "00.png").read_bytes()
    (val / "cat" / "leak.png").write_bytes(leak)
    (train / "dog" / "conflict.png").write_bytes((train / "cat" / "01.png").read_bytes())
    (val / "dog" / "again.png").write_bytes((val / "dog" / "00.png").read_bytes())
    picture(40, 9).save(val / "dog" / "odd.png")
    (val / "dog" / "cut.png").write_bytes(leak[:50])
    (val / "dog" / "notes.txt").write_text("no image")
    return root


@pytest.fixture(scope="module")
def found(folder):
    return measured(load_dataset(folder, max_bad_images=1))


def measured(dataset):
    setup = set_up_nulls(training(dataset, NullInput(size=16)), profile("quick"), 0, dataset)
    context, tick = JobContext(dataset, None, setup), lambda share: None
    (before,) = request_facts(setup).after
    known = {before.key: train_facts(before, context, {}, tick)}
    for request, executor in ((request_facts, facts), (request_listing, listing)):
        known[request(setup).key] = executor(request(setup), context, known, tick)
    case = make_case(setup, JobResults(known))
    return {(m.name.removeprefix("data."), m.at): m for m in check.measure(case)}


def value(found, name):
    return found[name, None].value


def named(found, kind):
    return [m.note for (name, _), m in found.items() if name == f"file.{kind}"]


def test_sizes_are_those_of_the_files(found):
    assert [value(found, f"eval_width.{s}") for s in ("smallest", "median", "largest")] == [
        16, 16, 40]  # fmt: skip
    assert [value(found, f"eval_height.{s}") for s in ("smallest", "median", "largest")] == [
        9, 12, 12]  # fmt: skip
    assert value(found, "train_width.largest") == 16


def test_files_are_named(found):
    assert named(found, "leak") == ["eval/cat/leak.png and train/cat/00.png"]
    assert [set(line.split(" and ")) for line in named(found, "eval_copy")] == [
        {"eval/dog/00.png", "eval/dog/again.png"}
    ]
    assert [set(line.split(" and ")) for line in named(found, "conflict")] == [
        {"train/cat/01.png", "train/dog/conflict.png"}
    ]
    assert named(found, "unreadable") == ["eval/dog/cut.png is cut short or damaged"]
    assert named(found, "skipped") == ["eval/dog/notes.txt"]


def test_counts_and_shares(found):
    counts = {"exact_leaks": 1, "label_conflicts": 1, "eval_copies": 1, "train_copies": 1,
              "unreadable": 1, "skipped": 1, "counted": 61, "left_out": 2,
              "groups": 61}  # fmt: skip
    assert {name: value(found, name) for name in counts} == counts
    assert value(found, "eval_duplicates") == pytest.approx(1 / 63)
    assert value(found, "train_duplicates") == pytest.approx(1 / 61)
    assert [value(found, f"eval_images.{name}") for name in ("cat", "dog")] == [31, 32]


def test_leaks_gate_and_the_others_warn(found):
    findings = {f.limit: f for f in judge([*found.values()], load_policy())}
    for limit, severity in (("exact_leaks", "gate"), ("eval_duplicates", "warn"),
                            ("label_conflicts", "warn"), ("unreadable", "warn")):  # fmt: skip
        assert (findings[limit].verdict, findings[limit].severity) == ("fail", severity)
    assert findings["train_duplicates"].verdict == "pass"


def test_what_is_left_out_is_said_with_its_reason(found):
    assert "1 are copies of training images, 0 are near copies of them, 1 repeat another" in (
        found["left_out", None].note
    )
    summary = check.section([*found.values()], ()).summary
    assert "2 copies are left out" in summary
    assert "n counts the other 61 images" in summary


def test_the_section_names_files_and_draws_the_balance(found):
    section = check.section([*found.values()], ())
    rows = {row["what"]: row["value"] for row in section.rows}
    assert rows["width of the evaluation images in pixels"] == "16 to 40, median 16"
    assert "copy in training: eval/cat/leak.png and train/cat/00.png" in rows
    assert "cannot be read: eval/dog/cut.png is cut short or damaged" in rows
    assert section.charts[0].series[0].y == (31.0, 32.0)


def test_of_many_files_twenty_are_named_and_the_rest_is_counted(found):
    many = [found["file.skipped", 0.0].model_copy(update={"at": float(i)}) for i in range(20)]
    count = found["skipped", None].model_copy(update={"value": 25.0})
    rows = {row["what"]: row["value"] for row in check.section([count, *many], ()).rows}
    assert rows["left out, no image: more"] == "5"


def test_many_classes_are_drawn_by_rank(found):
    one = found["eval_images.cat", None]
    many = [one.model_copy(update={"of": f"c{i}", "value": float(i)})
            for i in range(100)]  # fmt: skip
    (chart,) = check.section(many, ()).charts
    assert (chart.kind, chart.series[0].y[:2]) == ("line", (99.0, 98.0))


def test_without_training_images_their_sizes_are_unknown_not_zero(folder):
    data = load_dataset(folder, max_bad_images=1)
    setup = set_up_nulls(training(data, NullInput(size=16)), profile("quick"), 0, data)
    (m,) = [m for m in check.sizes(setup, {})
            if m.name == "data.train_width.median"]  # fmt: skip
    assert np.isnan(m.value)
    assert "not at hand" in m.note
