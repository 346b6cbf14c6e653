"""Every hostile or broken policy: exit code 2, the right reason in one sentence, nothing run."""

import pytest

from tests.hostile.test_checkpoints import assert_refused
from tests.samples.hostile_policies import CASES


@pytest.mark.parametrize("name", CASES)
def test_hostile_policy_is_refused(name, tmp_path, command, capsys):
    case = CASES[name]
    (tmp_path / "in").mkdir()
    path = case.build(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()

    code = command("m.pt", "--data", "nowhere", "--policy", path, "--threads", 1, "-q")

    assert_refused(code, capsys.readouterr().err, case.reasons)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_careless_reader_would_run_the_tag(tmp_path, monkeypatch):
    """Negative control."""
    import yaml

    from tests.samples.hostile_policies import TEXTS

    monkeypatch.chdir(tmp_path)
    yaml.load(TEXTS["tag that runs code"], Loader=yaml.UnsafeLoader)

    assert (tmp_path / "canary").exists()
