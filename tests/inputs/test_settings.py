"""`audit.yaml` is read strictly: file and line are named, and nothing wins in silence."""

import re
from pathlib import Path

import pytest

from audit import checks
from audit.commands.options import resolve
from audit.commands.run import run
from audit.core.errors import AuditError
from audit.evidence.profile import Profile
from audit.inputs.call import Call
from audit.inputs.data import load_data
from audit.inputs.flags import bound, flag_of
from audit.inputs.repeat import repeat_words
from audit.inputs.settings import PATHS, Settings, chosen_policy, chosen_profile, load_settings
from tests.samples.audits import ROOT


def test_settings_name_file_and_line(tmp_path):
    cases = {
        "seed: 1\nsead: 2": "CONFIG_INVALID: .*audit.yaml, line 2 .*Did you mean 'seed'",
        "a: 1": "CONFIG_INVALID: .*line 1 does not know 'a'. `audit init` writes all settings",
        "changes:\n  seeds: two": "line 2 cannot use 'two' for 'changes.seeds': .*a whole number,",
        "data: x\nseed: much": "CONFIG_INVALID: .*line 2 cannot use 'much' for 'seed'",
        "limits:\n  gain: {at_least: x}": "POLICY_INVALID: .*audit.yaml, line 2, needs a finite",
        "waivers: {gain: {reason: r, until: 2020-01-01}}": "POLICY_WAIVER_EXPIRED: .*line 1,",
        "set: {seeds: 1}": "line 1 does not know 'set'. What --set says is `changes:",
        "threads: 2": "line 1 does not know 'threads'. It is a flag only: --threads",
        "limits: 3": "CONFIG_INVALID: .*line 1 cannot use 3 for 'limits'",
    }
    for written, message in cases.items():
        (tmp_path / "audit.yaml").write_text(written)
        with pytest.raises(AuditError, match=message):
            load_settings(tmp_path / "audit.yaml", {}, checks.vocabulary())


@pytest.mark.parametrize(("written", "use", "message"), [
    ("seed: 1\nprofile: quik", chosen_profile, "PROFILE_UNKNOWN: .*yaml, line 2: the profile must"),
    ("# x\ndata: x", load_data, "DATA_NOT_FOUND: .*audit.yaml, line 2: the audit needs a folder"),
    ("seed: 1\neval_data: x", load_data, "DATA_NOT_FOUND: .*audit.yaml, line 2: the audit"),
])  # fmt: skip
def test_what_is_noticed_later_names_the_line_too(written, use, message, tmp_path):
    (tmp_path / "audit.yaml").write_text(written)
    with pytest.raises(AuditError, match=message):
        use(load_settings(tmp_path / "audit.yaml", {}, checks.vocabulary()))
    name = written.rpartition("\n")[2].partition(":")[0]
    with pytest.raises(AuditError, match=r"^\w+: the "):  # a flag has no line
        use(
            load_settings(
                tmp_path / "audit.yaml",
                {name: Path("y") if name != "profile" else "y"},
                checks.vocabulary(),
            )
        )


@pytest.mark.parametrize(("changes", "message"), [
    ({"seeds": "two"}, "command line cannot use 'two' for '--set seeds': input should be a whole"),
    ({"sedes": 1}, r"in audit.yaml: changes\) does not know 'sedes'. Did you mean 'seeds'"),
    ({"id_images": 10_001}, "cannot use 10001 for 'id_images', which needs 0 to 10,000"),
    ({"xyzzy": 1}, "does not know 'xyzzy'. Known are gating, drawn, "),
    ({"\x1b[31ma": 1}, r"does not know '\\x1b\[31ma'"),
    ({"\x1b[31ma": "b"}, r"for '--set \\x1b\[31ma'"),
])  # fmt: skip
def test_what_is_wrong_with_a_change_of_the_profile(changes, message):
    with pytest.raises(AuditError, match=message):
        chosen_profile(load_settings(None, {"changes": changes}))


def test_null_is_not_set_and_flags_come_first(tmp_path):
    (tmp_path / "audit.yaml").write_text("seed: null\nimg_size: 8")
    settings = load_settings(
        tmp_path / "audit.yaml", {"img_size": 9, "data": None}, checks.vocabulary()
    )
    assert (settings.seed, settings.img_size, settings.data) == (0, 9, None)


def test_paths_are_relative_to_the_file_that_names_them(tmp_path):
    (tmp_path / "audit.yaml").write_text("".join(f"{name}: in/{name}\n" for name in PATHS))
    settings = load_settings(
        tmp_path / "audit.yaml", {"nulls": Path("here"), "data": None}, checks.vocabulary()
    )
    assert settings.nulls == Path("here")
    for name in set(PATHS) - {"nulls"}:
        assert getattr(settings, name) == tmp_path / "in" / name
    assert set(PATHS) == {"data", "train_data", "eval_data", "probe_data", "transfer_data",
                          "class_map", "nulls", "reference"}  # fmt: skip


def test_an_absolute_path_stays(tmp_path):
    (tmp_path / "audit.yaml").write_text("data: /images")
    assert load_settings(tmp_path / "audit.yaml", {}, checks.vocabulary()).data == Path("/images")


def test_limits_stand_in_one_place(tmp_path):
    settings = Settings(limits={"gain": {"at_least": 0.2}})
    assert chosen_policy(settings, None, checks.vocabulary()).limits[0].bound == 0.2
    with pytest.raises(AuditError, match=r"CONFIG_TWO_POLICIES: .*`limits` and --policy names"):
        chosen_policy(settings, tmp_path / "policy.yaml", checks.vocabulary())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_declared_once_with_its_meaning_and_its_option(name):
    field = Settings.model_fields[name]
    assert field.description[-1] in ".}"
    alone = name in ("limits", "waivers", "evaluation_chose_subject")  # in a configuration only
    assert (flag_of(field) is None) == alone


def test_every_option_is_repeated_as_it_was_said():
    """What `repeat_words` writes is what the options read."""
    settings = Settings(
        data="d", transfer_classes=("a", "b,c"), model_kwargs={"x": 1}, num_classes=3,
        img_size=(256, 128), mean=(0.5, 0.25), crop_pct=0.9, crop_mode="squash", amp=False,
        check_preprocessing=True, changes={"seeds": 2}, seed=4, max_time="3m",
    )  # fmt: skip
    words = [*repeat_words(settings, Call()), "m.pt"]
    flags = run.make_context("run", words).params
    del flags["models"]
    assert resolve(flags)[0].model_dump() == settings.model_dump()


@pytest.mark.parametrize("name", Profile.model_fields)
def test_a_field_of_the_profile_says_what_it_is_and_its_bounds(name):
    field = Profile.model_fields[name]
    assert field.description.endswith((".", "`."))
    assert (bound(field, "ge") is not None) == (field.annotation is int)


def test_settings_end_where_inputs_are_loaded():
    """Commands, Python and the session read them; no other code names the record."""
    files = {
        file.relative_to(ROOT / "audit").as_posix(): file for file in ROOT.glob("audit/**/*.py")
    }
    named = {
        name
        for name, file in files.items()
        if re.search(r"audit\.inputs\.(settings|fields)", file.read_text(encoding="utf-8"))
    }
    outside = {name for name in named if not name.startswith(("commands/", "inputs/"))}
    assert outside == {"api.py", "pipeline/session.py"}
