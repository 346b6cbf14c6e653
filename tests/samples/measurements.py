"""Measurements for tests, by the name that policies use."""

from audit.record import Measurement, Quantity
from audit.runs.upgrade import quantity


def measurement(name, value, unit="points", **more):
    return Measurement(**quantity(name), value=value, unit=unit, **more)


def of(name):
    """What a measurement of that name is of."""
    return Quantity(**quantity(name))


def as_version_1(report):
    """What an earlier version would have stored of a report, as plain data."""
    raw = report.model_dump(mode="python") | {"schema_version": 1}
    del raw["facts"], raw["document"]["data_source"], raw["document"]["data_digest"]
    later = {*Quantity.model_fields, "category", "clause"}
    raw["measurements"] = [
        {key: value for key, value in m.items() if key not in later} for m in raw["measurements"]
    ]
    return raw
