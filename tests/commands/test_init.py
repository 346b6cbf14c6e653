"""`audit init` writes what `load_settings` reads, and never over another file."""

import re

from audit import checks
from audit.api import load_policy
from audit.commands.init import about, text
from audit.inputs.settings import Settings, chosen_policy, load_settings
from audit.policy.limits import resolved
from audit.reports import yaml

LIMIT = re.compile(r"^  # (\w+: \{.*\})$", re.MULTILINE)


def test_the_file_is_written_once_and_changes_nothing(command, tmp_path, capsys):
    assert command("init") == 0
    assert (
        load_settings(tmp_path / "audit.yaml", {}, checks.vocabulary()).model_dump()
        == Settings().model_dump()
    )
    before = (tmp_path / "audit.yaml").read_bytes()
    assert command("init") == 2
    assert "audit: OUT_EXISTS: init needs a new file" in capsys.readouterr().err
    assert (tmp_path / "audit.yaml").read_bytes() == before


def test_a_folder_that_is_not_there(command, tmp_path, capsys):
    assert command("init", tmp_path / "no" / "audit.yaml") == 2
    assert "audit: OUT_UNUSABLE: init needs a folder" in capsys.readouterr().err


def test_every_setting_stands_there_with_its_meaning():
    assert set(yaml.load(text())) == set(Settings.model_fields) == set(about())


def test_the_default_limits_can_be_uncommented(tmp_path):
    (tmp_path / "audit.yaml").write_text(LIMIT.sub(r"  \1", text()))
    known = checks.vocabulary()
    policy = chosen_policy(load_settings(tmp_path / "audit.yaml", {}, known), None, known)
    default = resolved(load_policy())["limits"]
    assert {k: v for k, v in resolved(policy)["limits"].items() if k in default} == default
    assert len(policy.limits) == len(default) + 4
    assert [waiver.limit for waiver in policy.waivers] == ["gain"]
