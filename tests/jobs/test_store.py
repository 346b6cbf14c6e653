"""The store: whole or not at all, verified, no pickle."""

import hashlib
import json
import math
import multiprocessing

import numpy as np
import pytest

from audit.core.errors import AuditError
from audit.jobs.job import merged
from audit.jobs.store import Outcome, Store
from audit.jobs.values import Failed
from audit.reports.document import FrozenModel
from tests.samples.kinds import job_of


class Found(FrozenModel):
    a: tuple[float, ...]
    b: dict[str, str]


class Renamed(FrozenModel):
    a: tuple[float, ...]
    c: dict[str, str]


OUTCOME = Outcome(
    Found(a=(1, math.nan, -math.inf), b={"c": "d"}), {"x": np.arange(6.0).reshape(2, 3)}
)


def test_round_trip(tmp_path):
    store = Store(tmp_path / "cache")
    store.put("fit", "k", OUTCOME)
    found = store.get("fit", "k", (Found,))
    assert found is not None
    assert found.read(Found).b == {"c": "d"}
    assert found.read(Found).a == pytest.approx(OUTCOME.values.a, nan_ok=True)
    np.testing.assert_array_equal(found.arrays["x"], OUTCOME.arrays["x"])


def test_absent_is_none(tmp_path):
    assert Store(tmp_path).get("fit", "nothing", (Found,)) is None
    assert Store(None).get("fit", "nothing", (Found,)) is None


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
    assert store.get("fit", "k", (Found,)) is None
    store.put("fit", "k", OUTCOME)  # done again
    assert store.get("fit", "k", (Found,)) is not None


def sealed(folder, values):
    """Other values in an entry whose digests fit them."""
    content = json.dumps(values).encode()
    (folder / "values.json").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["values.json"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(("values", "good"), [
    ({"a": [1, 2.5], "b": {"c": "d"}}, True),
    ({"a": [1, {"float": "nan"}], "b": {}}, True),
    ({"a": [1, 2.5], "b": {"c": "d"}, "planted": 1}, False),
    ({"a": [1, 2.5]}, False),
    ({"a": [1, 2.5], "B": {"c": "d"}}, False),
    ({"a": ["1"], "b": {"c": "d"}}, False),
    ({"a": [None], "b": {"c": "d"}}, False),
    ({"a": [1], "b": {"c": 2}}, False),
    ({}, False),
])  # fmt: skip
def test_values_that_do_not_fit_the_record_are_damage(tmp_path, values, good):
    store = Store(tmp_path)
    store.put("fit", "k", OUTCOME)
    sealed(tmp_path / "fit" / "k", values)
    assert (store.get("fit", "k", (Found,)) is not None) == good
    assert store.has("fit", "k") == good
    store.put("fit", "k", OUTCOME)
    assert store.get("fit", "k", (Found,)) is not None


def test_after_a_field_of_the_record_was_renamed_no_old_entry_is_read(tmp_path):
    store = Store(tmp_path)
    store.put("fit", "k", OUTCOME)
    assert store.get("fit", "k", (Renamed,)) is None
    assert not store.has("fit", "k")


def test_a_kind_may_have_several_records(tmp_path):
    store = Store(tmp_path)
    store.put("fit", "k", Outcome(Failed(reason="it diverged")))
    assert store.get("fit", "k", (Found, Failed)).values == Failed(reason="it diverged")


def test_values_are_read_as_what_they_are():
    assert OUTCOME.read(Found) is OUTCOME.values
    with pytest.raises(TypeError, match="Found instead of Renamed"):
        OUTCOME.read(Renamed)


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
