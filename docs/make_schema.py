"""Writes the schemas of report.yaml and compare.yaml; run it after a change of their records."""

from pathlib import Path

from audit.pipeline.schema import compare_schema, report_schema, text

if __name__ == "__main__":
    for name, schema in (("report", report_schema()), ("compare", compare_schema())):
        path = Path(__file__).with_name(f"{name}.schema.json")
        path.write_text(text(schema), encoding="utf-8")
