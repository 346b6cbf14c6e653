"""The JSON schema of `report.yaml`: what programs may rely on, made from the records themselves."""

import inspect
import json
import math
import re
from typing import Any

from pydantic import BaseModel

from audit import record
from audit.record import SCHEMA_VERSION, Report
from reports import words

_FIELD = re.compile(r"^    (\w+): ((?:.+\n?)(?:^ {8,}.+\n?)*)", re.MULTILINE)


def report_schema() -> dict[str, Any]:
    """The schema, with the sentence that the code has about every field.

    YAML's `.nan` and `.inf` are numbers to a reader of the report, so a validator that read the
    YAML accepts them; JSON has no word for them, so they do not stand in the schema as defaults.
    """
    schema = Report.model_json_schema()
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
    made["title"] = f"report.yaml of null-audit, schema version {SCHEMA_VERSION}"
    made["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    made["required"] = ["schema_version", *schema["required"]]
    records = {
        name: kind
        for module in (words, record)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BaseModel)
    }
    _explain(made, Report)
    for name, definition in made["$defs"].items():
        _explain(definition, records[name])
    return made


def text() -> str:
    """The schema as a file."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _explain(definition: dict[str, Any], kind: type[BaseModel]) -> None:
    """Move what the docstring says of a field to the field; drop what JSON cannot say."""
    told = inspect.cleandoc(kind.__doc__ or "")
    definition["description"] = told.split("\n\nAttributes:")[0]
    fields = {name: " ".join(about.split()) for name, about in _FIELD.findall(told)}
    for name, property_ in definition["properties"].items():
        property_.pop("title", None)
        if isinstance(property_.get("default"), float) and math.isnan(property_["default"]):
            del property_["default"]
        if name in fields:
            property_["description"] = fields[name]
