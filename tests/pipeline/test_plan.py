"""Plans: counted, estimated, never run; and the largest profile that fits into a time."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch

from audit import checks
from audit.baselines.train import Recipe
from audit.checks.transfer.jobs import costs
from audit.core.errors import AuditError
from audit.evidence.decide import Training, set_up_nulls
from audit.evidence.profile import PROFILES
from audit.evidence.setup import CutPoint, NullInput
from audit.inputs.load import parse_time
from audit.jobs.kind import kinds_in
from audit.model.network import split
from audit.pipeline.plan import choose_profile, plan, seconds, without_subject
from audit.pipeline.speed import Speed, images_learned, noise, timed
from tests.samples.audits import TINY, sets, tiny_flags
from tests.samples.kinds import job_of, patch

KNOWN = Training(
    classes=("a", "b"), train_digest="t", n_train=100, channels=1, input=NullInput(size=28)
)
BY_SIZE = [PROFILES[name] for name in ("full", "default", "quick")]


def costing(full, default, quick):
    costs = {"full": full, "default": default, "quick": quick}
    return lambda profile: costs[profile.name]


def test_the_largest_profile_that_fits():
    for limit, name in [(1000, "full"), (99, "default"), (10, "quick")]:
        assert choose_profile(costing(100, 20, 5), BY_SIZE, limit)[0].name == name


def test_what_was_left_out_is_said():
    assert choose_profile(costing(1, 1, 1), BY_SIZE, 1)[1] == ""
    said = choose_profile(costing(100, 20, 5), BY_SIZE, 10)[1]
    assert said.startswith("left out, compared with the default profile: ")
    assert "3 seeds of each null (here 1)" in said
    assert "the circular twin" in said


def test_too_little_time_names_the_estimate():
    with pytest.raises(
        AuditError, match="TIME_TOO_SHORT: the quick profile needs an estimated 5 m"
    ):
        choose_profile(costing(9000, 900, 300), BY_SIZE, 100)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400)])
def test_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "5 days", "-3m", "3m!"])
def test_times_that_are_none(text):
    with pytest.raises(AuditError, match="CONFIG_INVALID"):
        parse_time(text)


def test_seconds_are_cost_times_speed_of_what_is_not_cached():
    setup = set_up_nulls(KNOWN, PROFILES["quick"], 0, None)
    jobs = [job_of("fit", label="a", params={"null": "bagnet-9"}, cost=10),
            job_of("fit", label="b", params={"null": "colour"}, cost=10),
            job_of("fit", label="c", params={"null": "sighted-9"}, cost=10),
            job_of("subject_outputs", label="d", params={"subject": "x"}, cost=10)]  # fmt: skip
    speed = Speed(null=1.0, subject=3.0, other=0.1)
    made = plan(setup, jobs, lambda job: job.label == "a", speed, models=2)
    rows = {row.kind: row for row in made.rows}
    assert (rows["fit"].jobs, rows["fit"].cached, rows["fit"].seconds) == (3, 1, 11.0)
    assert (rows["subject_outputs"].jobs, rows["subject_outputs"].seconds) == (2, 60.0)
    assert made.seconds == 71.0
    assert made.rows[0].kind == "fit"


@pytest.mark.parametrize(("size", "seconds"), [(1, 17.0), (2, 12.0), (3, 11.0), (9, 11.0)])
def test_jobs_of_nulls_side_by_side_take_the_longest_chain_or_their_share(size, seconds):
    """Ten seconds of nulls, of which a chain takes four."""
    setup = set_up_nulls(KNOWN, PROFILES["quick"], 0, None)
    first = job_of("choose", label="a", params={"null": "bagnet-9"}, cost=3)
    jobs = [first, job_of("fit", label="b", params={"null": "bagnet-9"}, after=(first,), cost=1),
            *(job_of("choose", label="c", params={"null": "sighted-9", "seed": i}, cost=3)
              for i in range(2)),
            job_of("stack", label="d", cost=70)]  # fmt: skip
    speed = Speed(null=1.0, subject=3.0, other=0.1)
    found = plan(setup, jobs, lambda _: False, speed, 1, size, kinds_in(checks.kinds(), "baseline"))
    assert found.seconds == pytest.approx(seconds)


def test_networks_of_every_model_are_trained_side_by_side():
    setup = set_up_nulls(KNOWN, PROFILES["quick"], 0, None)
    jobs = [job_of("transfer", label=str(i), params={"subject": "x", "i": i}, cost=10)
            for i in range(6)]  # fmt: skip
    speed, kinds = Speed(null=1.0, subject=1.0, alone=1.5), frozenset(["transfer"])
    found = [
        plan(setup, jobs, lambda _: False, speed, models, 2, kinds).seconds for models in (1, 3)
    ]
    assert found == [45.0, 135.0]


def test_learned_nulls_run_in_32_bits_and_take_what_that_takes():
    outputs = job_of("null_outputs", label="o", params={"null": "bagnet-9"}, cost=10)
    fit = outputs.model_copy(update={"kind": "fit"})
    speed = Speed(null=1.0, subject=1.0, running=2.0)
    assert [seconds(job, speed) for job in (outputs, fit)] == [20.0, 10.0]


def test_the_cost_of_a_network_of_half_of_the_classes():
    """A hundred images are seen, and a quarter as many for each of two rates: 150 steps."""
    sizes = {"transfer_images": 80, "transfer_seen": 100, "transfer_rates": (1.0, 0.3)}
    setup = set_up_nulls(KNOWN, PROFILES["quick"].model_copy(update=sizes), 0, None)
    setup = setup.model_copy(update={"transfer_classes": ("a",), "n_eval": 40})
    passes = 3 * 50 + 2 * 0.2 * 50 + 20  # batch norms, held-out images, evaluation of one half
    fixed = 0.25 * (50 + 20)
    assert costs(setup, "a", None, frozen=False) == (6 * 150 + 2 * passes + fixed, fixed)
    cut = CutPoint(name="head", depth=0.5, head=False)
    passes = 50 + 3 * 25 + 2 * 0.2 * 25 + 20  # half of the network is stored for both views
    assert costs(setup, "b", cut, frozen=True) == (6 * 75 + 2 * passes + fixed, fixed)


def test_jobs_that_build_on_the_subject_need_it():
    of_subject = job_of("subject_outputs", label="s", params={"subject": "x"})
    drawn = job_of("pictures", label="p", after=(of_subject,))
    null = job_of("fit", label="n")
    assert without_subject([of_subject, drawn, null]) == [null]


def test_timing_warms_up_first():
    calls = []
    assert 0 < timed(lambda: calls.append(8) or 8, 0.0) < 1
    assert calls == [8, 8]


@pytest.mark.parametrize(("share", "seconds"), [(1.0, 0.1), (0.5, 0.05), (2.0, 0.1)])
def test_the_fastest_round_counts_and_the_lesser_clock(share, seconds, monkeypatch):
    """Rounds of 0.2, 0.1 and 0.2 s after a slow one; `share` of the time we have the processor."""
    now, delays = [0.0], iter([9, 0.2, 0.1, 0.2])
    clocks = {"monotonic": lambda: now[0], "process_time": lambda: share * now[0]}
    monkeypatch.setattr("audit.pipeline.speed.time", SimpleNamespace(**clocks))

    def work():
        now[0] += next(delays)
        return 1

    assert timed(work, 0.45) == pytest.approx(seconds)


def test_every_image_of_a_round_is_counted():
    """A budget of 256 is two steps and one more, in which the rate falls."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    assert images_learned(network, noise(256, (1, 4, 4), 2), Recipe(images_seen=256)) == 384


@pytest.fixture
def idle(monkeypatch):
    """No job may run."""
    kinds = checks.kinds()
    patch(monkeypatch, **dict.fromkeys(kinds, lambda *_: pytest.fail("a plan runs nothing")))
    monkeypatch.setattr("audit.pipeline.speed.MOMENT", 0.01)


def test_a_plan_runs_and_writes_nothing(data, model, cache, tmp_path, command, capsys, idle):
    words = ["plan", model, *tiny_flags(data, tmp_path / "no-cache", tmp_path)]
    words = [word for word in words if word not in ("--out", tmp_path)]
    assert command(*words, "--json", "-q") == 0
    made = json.loads(capsys.readouterr().out)
    assert all(row["cached"] == 0 for row in made["rows"])
    assert set(made["profiles"]) == {"quick", "default", "full"}
    assert made["seconds"] > 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_cached_takes_no_time(data, model, cache, command, capsys, idle, finished):
    words = ["--data", data, "--cache", cache, "--quick", *sets(TINY)]
    assert command("plan", model, *words, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert [row["cached"] for row in made["rows"]] == [row["jobs"] for row in made["rows"]]
    assert made["seconds"] == 0
    assert command("plan", "--img-size", "16", *words) == 0
    printed = capsys.readouterr().out
    assert "transfer" not in printed
    assert "An estimate" in printed


def test_all_profiles_are_planned_in_the_precision_of_an_audit(
    data, model, cache, command, capsys, idle, monkeypatch
):
    monkeypatch.setattr("audit.inputs.device.has_amx", lambda: True)
    planned = []
    commands = sys.modules["audit.commands.plan"]
    plan_for = commands.plan_for

    def noted(*words):
        planned.append(words[2].precision)
        return plan_for(*words)

    monkeypatch.setattr(commands, "plan_for", noted)
    assert command("plan", model, "--data", data, "--cache", cache, "-q") == 0
    assert planned == ["bfloat16"] * 4
    assert command("plan", model, "--data", data, "--cache", cache, "-q", "--no-amp") == 0
    assert planned[4:] == ["float32"] * 4


@pytest.fixture
def traces(monkeypatch):
    """One entry for each time that a model is traced."""
    seen, real = [], split.find_cuts

    def counted(*words):
        seen.append(words)
        return real(*words)

    monkeypatch.setattr(split, "find_cuts", counted)
    return seen


def test_a_model_is_traced_once_however_many_profiles_are_planned(
    data, model, cache, command, idle, traces
):
    assert command("plan", model, "--data", data, "--cache", cache, "-q") == 0
    assert len(traces) == 1


def test_the_choice_of_a_profile_and_the_audit_share_one_trace(
    data, model, cache, tmp_path, command, traces, finished, monkeypatch
):
    """The full and the default profile take too long, the quick one is in the cache."""
    monkeypatch.setattr("audit.pipeline.speed.MOMENT", 0.01)
    words = [model, "--data", data, "--cache", cache, *sets(TINY), "--out", tmp_path / "out"]
    monkeypatch.setattr("audit.inputs.load.parse_time", lambda _: 0.0)
    assert command(*words, "--max-time", "1s", "-q") in (0, 1, 3)
    assert "took the quick" in (tmp_path / "out" / "log.txt").read_text()
    assert len(traces) == 1


def test_no_time_for_any_profile(data, model, tmp_path, command, capsys, idle):
    words = [model, "--data", data, "--no-cache", "-q", "--max-time", "1s"]
    assert command(*words) == 2
    assert "audit: TIME_TOO_SHORT: the quick profile" in capsys.readouterr().err
    assert not (tmp_path / "audit-runs").exists()


def test_max_time_takes_what_is_cached(
    data, model, cache, tmp_path, command, finished, monkeypatch
):
    """Of the larger profiles nothing is cached, so the quick one is taken, and it says so."""
    monkeypatch.setattr("audit.pipeline.speed.MOMENT", 0.01)
    changes = {k: v for k, v in TINY.items() if k not in ("seeds", "gating", "doublings")}
    flags = ["--data", data, "--cache", cache, *sets(changes), "--out", tmp_path / "out", "-q"]
    code = command(model, *flags, "--max-time", "1s", "--pretrained-on", "none")
    assert code in (1, 3)
    assert "left out, compared with the default" in (tmp_path / "out" / "report.md").read_text()
    assert "left_out: " in (tmp_path / "out" / "config.yaml").read_text()
