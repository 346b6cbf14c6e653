"""Faults planted on purpose, and whether the audit finds them: data, models, cases, a table."""
