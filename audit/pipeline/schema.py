"""JSON schemas of `report.yaml` and `compare.yaml`: what programs may rely on, from the records."""

import inspect
import json
import math
import re
from typing import Any

from pydantic import BaseModel

from audit import checks, record
from audit.comparison import change as compare
from audit.comparison import record as comparison_record
from audit.comparison.record import Result
from audit.record import SCHEMA_VERSION, Report, facts
from audit.reports import document as words
from audit.reports.comparison import document as comparison
from audit.stats import rank_correlation as correlation

_FIELD = re.compile(r"^    (\w+): ((?:.+\n?)(?:^ {8,}.+\n?)*)", re.MULTILINE)


def report_schema() -> dict[str, Any]:
    """Of `report.yaml`, with the sentence that the code has about every field.

    The names of measurements that this version makes are examples, no rule: a check may be added.
    """
    made = _schema(Report, f"report.yaml of null-audit, schema version {SCHEMA_VERSION}")
    made["$defs"]["Measurement"]["properties"]["name"]["examples"] = [*checks.vocabulary().expanded]
    return made


def compare_schema() -> dict[str, Any]:
    """Of `compare.yaml`, likewise."""
    version = comparison_record.SCHEMA_VERSION
    return _schema(Result, f"compare.yaml of null-audit, schema version {version}")


def text(schema: dict[str, Any]) -> str:
    """A schema as a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _schema(kind: type[BaseModel], title: str) -> dict[str, Any]:
    """The schema of a record with a version.

    YAML's `.nan` and `.inf` are numbers to a reader of the file, so a validator that read the
    YAML accepts them; JSON has no word for them, so they do not stand in the schema as defaults.
    """
    schema = kind.model_json_schema(mode="serialization")
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
    made["title"] = title
    made["properties"]["schema_version"] = {"const": kind.model_fields["schema_version"].default}
    made["required"] = ["schema_version", *schema["required"]]
    records = {
        name: found
        for module in (words, record, facts, compare, comparison, correlation, comparison_record)
        for name, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, BaseModel)
    }
    _explain(made, kind)
    for name, definition in made["$defs"].items():
        _explain(definition, records[name])
    return made


def _explain(definition: dict[str, Any], kind: type[BaseModel]) -> None:
    """Move what the docstring says of a field to the field; drop what JSON cannot say."""
    told = inspect.cleandoc(kind.__doc__ or "")
    definition["description"] = told.split("\n\nAttributes:")[0]
    docs = (inspect.cleandoc(base.__doc__ or "") for base in reversed(kind.__mro__))
    fields = {
        name: " ".join(about.split()) for text in docs for name, about in _FIELD.findall(text)
    }
    for name, property_ in definition["properties"].items():
        property_.pop("title", None)
        if isinstance(property_.get("default"), float) and math.isnan(property_["default"]):
            del property_["default"]
        if name in fields:
            property_["description"] = fields[name]
