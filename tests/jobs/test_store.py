"""The store: whole or not at all, verified, no pickle."""

import multiprocessing

import numpy as np
import pytest

from audit.core.errors import AuditError
from audit.jobs.job import merged
from audit.jobs.store import Outcome, Store
from tests.samples.kinds import job_of

OUTCOME = Outcome({"a": [1, float("nan")], "b": {"c": "d"}}, {"x": np.arange(6.0).reshape(2, 3)})


def test_round_trip(tmp_path):
    store = Store(tmp_path / "cache")
    store.put("fit", "k", OUTCOME)
    found = store.get("fit", "k")
    assert found is not None
    assert found.values["b"] == {"c": "d"}
    assert np.isnan(found.values["a"][1])
    np.testing.assert_array_equal(found.arrays["x"], OUTCOME.arrays["x"])


def test_absent_is_none(tmp_path):
    assert Store(tmp_path).get("fit", "nothing") is None
    assert Store(None).get("fit", "nothing") is None


@pytest.mark.parametrize("name", ["values.json", "arrays.safetensors", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_is_noticed_and_set_aside(tmp_path, name, damage):
    store = Store(tmp_path)
    store.put("fit", "k", OUTCOME)
    file = tmp_path / "fit" / "k" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data if damage == "flip" else data[:5])
    if damage == "remove":
        file.unlink()
    assert store.get("fit", "k") is None
    store.put("fit", "k", OUTCOME)  # done again
    assert store.get("fit", "k") is not None


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(28, "disk full")

    monkeypatch.setattr("audit.jobs.store.os.fsync", broken)
    with pytest.raises(AuditError, match="CACHE_UNUSABLE"):
        Store(tmp_path).put("fit", "k", OUTCOME)
    assert list((tmp_path / "fit").iterdir()) == []


def hold(root, started, release):
    with Store(root).lock("fit", "k"):
        started.set()
        release.wait(20)


def test_lock_ends_with_its_process(tmp_path):
    context = multiprocessing.get_context("fork")
    started, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(tmp_path, started, release))
    Store(tmp_path)
    holder.start()
    assert started.wait(20)
    holder.kill()
    holder.join()
    with Store(tmp_path).lock("fit", "k"):
        pass


def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match="CACHE_UNUSABLE"):
        Store(tmp_path / "file")


def test_job_key_is_of_what_determines_the_result():
    job = job_of("fit", label="a", params={"seed": 0})
    assert job.key == job_of("fit", label="other words", params={"seed": 0}, cost=9).key
    assert job.key != job_of("fit", label="a", params={"seed": 1}).key
    assert job.key != job_of("fit", label="a", params={"seed": 0}, after=(job,)).key


def test_equal_jobs_are_merged_and_needs_come_first():
    first = job_of("choose", label="c")
    second = job_of("fit", label="f", after=(first,))
    again = job_of("fit", label="f2", after=(job_of("choose", label="c2"),))
    assert merged((second, first, again)) == [first, second]
