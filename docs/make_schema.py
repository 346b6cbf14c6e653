"""Writes docs/report.schema.json; run it after a change of the report's records."""

from pathlib import Path

from audit.schema import text

if __name__ == "__main__":
    Path(__file__).with_name("report.schema.json").write_text(text(), encoding="utf-8")
